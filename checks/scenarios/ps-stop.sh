# `rcc ps` lists the caller's sandboxes, `rcc stop` ends one with all its processes.
ready
check "none at first" says '^\[\]$' -- as-user dev rcc ps --json
as-user dev rcc run -- sh -c 'trap "" TERM HUP INT; sleep 4711 & touch up; while :; do sleep 1; done' &
check "one starts" within 10 test -e /home/dev/project/up
id=$(as-user dev rcc ps --json | python3 -c 'import json, sys; [s] = json.load(sys.stdin); print(s["id"])')
check "it has an id" test -n "$id"
check "ps shows its project and profile" says /home/dev/project public -- as-user dev rcc ps
check "another user does not see it" says '^\[\]$' -- rcc ps --json
sleeping() { grep -lz '^471[1]$' /proc/[0-9]*/cmdline 2>/dev/null; }
check "control: its processes are there" sleeping
check "stopping an unknown one fails and says so" fails as-user dev rcc stop nonesuch
check "stop" as-user dev rcc stop "$id"
check "its processes are gone, though they ignored the signal" within 1 fails sleeping
check "so is its pasta" within 1 no_pasta
check "and its entry" says '^\[\]$' -- as-user dev rcc ps --json
check "stopping it again fails and says so" fails as-user dev rcc stop "$id"

rm -f /home/dev/project/up
as-user dev rcc run -- sh -c 'touch up; sleep 4711' &
check "another one starts" within 10 test -e /home/dev/project/up
launcher=$(processes rcc | head -1)
kill -9 "$launcher"
check "its launcher killed: the processes are gone" within 1 fails sleeping
check "and no entry is left" says '^\[\]$' -- as-user dev rcc ps --json

rm -f /home/dev/project/up
as-user dev rcc run -- sh -c 'touch up; sleep 4711' &
check "one more starts" within 10 test -e /home/dev/project/up
install -D -o dev -g dev -m 0644 /dev/stdin /home/dev/.config/rcc/config.toml <<<'nonsense = 1'
check "control: with such a configuration nothing starts" fails as-user dev rcc run -- true
check "what runs is stopped all the same, and the mistake is told" says '1 mistake' -- as-user dev rcc stop --all
check "its processes are gone as well" within 1 fails sleeping
