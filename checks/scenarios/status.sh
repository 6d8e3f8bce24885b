# `rcc status` tells of the firewall, the relay, the broker and every sandbox, and of what killed launchers left.
ready
cd /home/dev/project || exit
status() { as-user dev rcc status "$@"; }
# of SESSION EXPRESSION: that of its entry.
of() { status --json | python3 -c "import json, sys; s = {s['id']: s for s in json.load(sys.stdin)['sandboxes']}['$1']; print(s$2)"; }
check "with nothing there, it says so" says '^firewall  in force, version [0-9a-f]+$' '^relay     no relay is running' \
    '^plugins   ' '^no sandboxes are running$' -- status
check "a relay starts" as-user dev rcc relay start --detach
check "and is told" says '^relay     yours, process [0-9]+: 0 sessions' -- status

as-user dev rcc run --detach --name connected -- sleep 4711 >/dev/null
as-user dev rcc run --profile offline --name alone -- sleep 4711 &
alone=$!
check "sandboxes run" within 10 bash -c '[[ $(as-user dev rcc ps --json | grep -c "\"id\"") == 2 ]]'
check "one is connected and detached" says '^connected +embedded +public +connected .* detached +/home/dev/project$' -- status
check "the other is neither" says '^alone +embedded +offline +offline .* its own +/home/dev/project$' -- status
check "what it uses is known" says "^True$" -- of connected "[\"memory_bytes\"] > 1 << 20"
check "its ceilings too" says 'pids: .*(of this machine|without being asked)' -- of alone '["by_default"]'
check "another user sees none of it" says '^no sandboxes are running$' -- rcc status
kill -9 $(processes "pas[st]*")
check "a network that was cut is told" within 5 bash -c 'as-user dev rcc status | grep -E "^connected +embedded +public +cut "'
as-user dev rcc stop --all >/dev/null
wait $alone
check "none is left" says '^no sandboxes are running$' -- status
as-user dev mkdir -p /run/rcc/4242/engine/lost
check "what a killed launcher left is told" says '^left      lost: its launcher is gone, its container ' -- status
as-user dev rmdir /run/rcc/4242/engine/lost
service_stop
nft delete table inet rcc
check "rules that are gone stand out" says '^firewall  not in force \(absent\)' -- status
