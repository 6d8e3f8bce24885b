# Ceilings of memory and processes that nobody asked for are in force, and a sandbox's idle page cache is given back
# when, and only when, the machine is short of memory.
. "$lib/../vm/words"
boot
login dev

as dev 'cd project && truncate -s 1G big && rcc run --profile offline -- /usr/bin/python3 - >/dev/null' <<'END' &
import os, time
def wait(name):
    while not os.path.exists(name): time.sleep(0.2)
open("idle", "w"); wait("go")
# A file without content: it fills the page cache all the same.
with open("big", "rb", buffering=0) as file:
    while file.read(1 << 20): pass
open("read", "w"); wait("end"); open("ended", "w")
END
check "a sandbox starts" within 240 as dev test -e project/idle
of_sandbox() { as dev rcc ps --json | python3 -c "import json, sys; [s] = json.load(sys.stdin); print(s$1)"; }
cgroup=/sys/fs/cgroup$(vm cat "/proc/$(of_sandbox '["supervisor"]')/cgroup" | sed -n 's/^0:://p')
ceiling=$(of_sandbox '["ceilings"]["memory"]')
total=$(vm cat /proc/meminfo | sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p')
# The test is that of three gibibytes: what leaves one, which is less than three quarters.
check "without a word the ceiling leaves 1 GiB to the machine" test "$ceiling" -eq $(((total << 10) - (1 << 30)))
check "and is in force" says "^$((ceiling / 4096 * 4096))$" -- vm cat "$cgroup/memory.max"
check "nothing is swapped" says '^0$' -- vm cat "$cgroup/memory.swap.max"
check "one of processes as well" says "^$(of_sandbox '["ceilings"]["pids"]')$" -- vm cat "$cgroup/pids.max"
check "ps tells of what it is a part" says "of this machine's" -- as dev rcc ps --json
check "and so do stats" says '"memory_max_bytes":[0-9]+.*of this machine' -- as dev rcc stats --once --json
as dev 'mkdir -p ~/.config/rcc other && echo "limits = { memory = \"none\", pids = \"none\" }" >~/.config/rcc/config.toml'
check "none takes them away" says 'nothing is to be held' -- \
    as dev 'cd other && rcc run --profile offline --dry-run -- true'
as dev 'rm ~/.config/rcc/config.toml'

# mib WHAT: so much of that.
mib() {
    case $1 in
        cache) vm cat "$cgroup/memory.stat" | awk '/^inactive_file / { print int($2 / 1048576) }' ;;
        *) vm cat /proc/meminfo | awk -v what="$1:" '$1 == what { print int($2 / 1024) }' ;;
    esac
}
at_least() { (($(mib "$1") >= $2)); }
at_most() { (($(mib "$1") <= $2)); }
figures() { echo "  ($1: the sandbox's idle cache $(mib cache) MiB, free $(mib MemFree) MiB, available $(mib MemAvailable) MiB)"; }

as dev touch project/go
check "it reads 1 GiB" within 180 as dev test -e project/read
check "which the machine keeps" at_least cache 900
figures "before"

# squeezed: somebody waits for memory for most of the next minute, at a ceiling of their own.
squeezed() {
    vm systemctl reset-failed squeezed.service 2>/dev/null
    vm systemd-run --quiet --unit squeezed -p MemoryHigh=24M -p MemorySwapMax=0 -p RuntimeMaxSec=60 -- \
        /usr/bin/python3 -c \''
kept = []
while True: kept.append(bytearray(1 << 20))'\'
}
pressed() { vm cat /proc/pressure/memory | awk '/^some/ { split($2, share, "="); exit !(share[2] >= 10) }'; }
check "somebody comes to a ceiling of their own" squeezed
check "and waits for memory" within 120 pressed
sleep 25
check "with memory free, nothing is given back" at_least cache 900
figures "pressure, but free memory"
vm systemctl stop squeezed.service

# Until less than an eighth is free, and far from what makes the kernel look for memory by itself.
fill() {
    local number=0
    until at_most MemFree 320; do
        ((++number <= 40)) || return 1
        vm "truncate -s 100M /var/tmp/fill-$number && cat /var/tmp/fill-$number >/dev/null"
    done
}
check "the machine fills with files" fill
check "the sandbox's are still there" at_least cache 900
sleep 25
check "short of memory, but nobody waits: nothing is given back" at_least cache 900
figures "short"
free=$(mib MemFree)
check "somebody waits" squeezed
check "the sandbox's idle cache is given back" within 60 at_most cache 100
figures "after"
check "and is the machine's again" at_least MemFree $((free + 700))
vm systemctl stop squeezed.service
check "the sandbox lives on" as dev touch project/end
check "and ends by itself" within 60 as dev test -e project/ended
wait $!
check "the host is well" says '^(running|degraded)$' -- vm systemctl is-system-running
