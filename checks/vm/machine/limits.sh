# Limits of memory, processes and processors hold in a cgroup that a real systemd delegates, and the host is unharmed.
. "$lib/../vm/words"
. "$lib/../vm/limits"
boot
login dev
inside() { as dev "cd project && rcc run --profile offline -- /usr/bin/python3 -c $(printf %q "$1")"; }
limits_hold '/user@1000.service/.*rcc-project-' inside

# available: what this machine has left, in MiB.
available() { vm 'sed -n "s/^MemAvailable: *\([0-9]*\) kB/\1/p" /proc/meminfo' | awk '{ print int($1 / 1024) }'; }
as dev 'cd project && rcc run --profile offline -- /usr/bin/python3 - >/dev/null' <<'END' &
import mmap, os, time
def wait(name):
    while not os.path.exists(name): time.sleep(0.2)
open("idle", "w"); wait("go")
used = mmap.mmap(-1, 1 << 30)
for page in range(0, 1 << 30, 4096): used[page] = 1
open("used", "w"); wait("free")
used.close(); open("freed", "w"); wait("end")
END
check "a sandbox starts" within 60 as dev test -e project/idle
idle=$(available)
as dev touch project/go
check "it fills 1 GiB" within 120 as dev test -e project/used
full=$(available)
as dev touch project/free
check "it frees it" within 60 as dev test -e project/freed
freed=$(available)
echo "  (left: $idle MiB when idle, $full with 1 GiB in use, $freed after)"
check "in use, it is missing from the machine's memory" test $((idle - full)) -ge 900
check "and comes back while the sandbox lives on" test $((idle - freed)) -le 150
as dev touch project/end
wait $!

check "the host is well" says '^running$' -- vm systemctl is-system-running
check "and its rules are in force" vm rcc firewall status
