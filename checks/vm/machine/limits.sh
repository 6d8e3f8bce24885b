# Limits of memory, processes and processors hold in a cgroup that a real systemd delegates, and the host is unharmed.
. "$lib/../vm/words"
boot
login dev
as dev 'mkdir -p ~/.config/rcc'

limits() { as dev 'umask 022; cat >~/.config/rcc/config.toml' <<<"[limits]"$'\n'"$1"; }
inside() { as dev "cd project && rcc run --profile offline -- /usr/bin/python3 -c $(printf %q "$1")"; }

limits 'memory = "200MiB"'
check "who takes more memory than allowed is killed" exits 137 inside '
taken = bytearray(400 << 20)
for page in range(0, len(taken), 4096): taken[page] = 1'
check "in its own cgroup, and nobody else" says 'constraint=CONSTRAINT_MEMCG.*/user@1000.service/.*rcc-project-' -- \
    vm 'journalctl --boot --dmesg --grep oom-kill: --output cat'
check "once" says '^1$' -- vm 'journalctl --boot --dmesg --grep oom-kill: --output cat | wc -l'
check "who takes less is not" inside 'taken = bytearray(100 << 20)'

limits 'pids = 50'
check "processes end at the limit" says '^[34][0-9] ' -- inside '
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        made += 1
except OSError as error:
    print(made, error, flush=True)'

limits 'cpus = 0.5'
check "half a processor is half a processor" says '^0\.[3-5]' -- inside '
import time
start, used = time.monotonic(), time.process_time()
while time.monotonic() - start < 8: pass
print((time.process_time() - used) / 8)'
as dev 'rm ~/.config/rcc/config.toml'

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
