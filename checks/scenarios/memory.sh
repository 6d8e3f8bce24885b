# A sandbox that uses 1 GiB occupies 1 GiB, and gives it back when it frees it.
ready
read -r -d '' use <<'END'
import mmap, os, time
def wait(name):
    while not os.path.exists(name): time.sleep(0.05)
open("idle", "w"); wait("go")
used = mmap.mmap(-1, 1 << 30)
for page in range(0, 1 << 30, 4096): used[page] = 1
open("used", "w"); wait("free")
used.close(); open("freed", "w"); wait("end")
END
# occupied: the megabytes that `rcc ps` shows for the only sandbox.
occupied() { as-user dev rcc ps --json | python3 -c 'import json, sys; [s] = json.load(sys.stdin); print(s["memory_bytes"] >> 20)'; }
between() {
    local now
    now=$(occupied) || return
    ((now >= $1 && now <= $2)) || { echo "$now MiB"; return 1; }
}
cd /home/dev/project || exit
as-user dev rcc run --profile offline -- /usr/bin/python3 -c "$use" &
check "it starts" within 10 test -e idle
check "idle it occupies little" between 1 64
touch go
check "it uses 1 GiB" within 60 test -e used
check "that shows up as about 1 GiB" between 1024 1104
touch free
check "it frees it" within 10 test -e freed
check "that goes away" between 1 64
touch end
wait $!
check "it is gone" says '^\[\]$' -- as-user dev rcc ps --json
