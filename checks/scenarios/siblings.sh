# Two sandboxes of one user cannot see each other: network, processes, /tmp, sockets, files.
ready
mkdir /home/dev/other && chown dev:dev /home/dev/other

# The first sandbox listens everywhere it can, and writes down who comes.
read -r -d '' listen <<'END'
import os, pathlib, socket, threading
def serve(sock):
    while True:
        peer, _ = sock.accept()
        with open("visits", "a") as visits: visits.write("x")
tcp = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\0sibling"); abstract.listen()
named = socket.socket(socket.AF_UNIX); named.bind("/tmp/sibling.sock"); named.listen()
pathlib.Path("/tmp/sibling.txt").write_text("mine")
pathlib.Path("/dev/shm/sibling").write_text("mine")
for sock in (tcp, abstract, named): threading.Thread(target=serve, args=(sock,)).start()
socket.create_connection(("127.0.0.1", 7000))
END
read -r -d '' visit <<'END'
import glob, os, socket
met = []
addresses = ["127.0.0.1", "::1", "192.168.77.2", "198.51.100.2", "2001:db8:77::2", "fd77::2", "10.99.0.2", "172.17.0.1", "169.254.1.1", "192.168.77.1"]
for address in addresses:
    try: socket.create_connection((address, 7000), timeout=1); met.append(address)
    except OSError: pass
for path in ("\0sibling", "/tmp/sibling.sock"):
    try: socket.socket(socket.AF_UNIX).connect(path); met.append(repr(path))
    except OSError: pass
met += [path for path in ("/tmp/sibling.txt", "/dev/shm/sibling", "/home/dev/project") if os.path.exists(path)]
for path in glob.glob("/proc/[0-9]*/cmdline"):
    if b"the-first-" + b"one" in open(path, "rb").read(): met.append(path)
print(*met)
END
as-user dev rcc run -- /usr/bin/python3 -c "$listen" the-first-one >/run/first 2>&1 &
first=$!
check "control: the first one visits itself" within 10 grep -q x /home/dev/project/visits
second() { as-user dev env -C /home/dev/other rcc run "$@" -- /usr/bin/python3 -c "$visit"; }
sees_nothing() {
    local met
    met=$(second "$@") || return
    [[ -z ${met// /} ]] || { echo "met: $met"; return 1; }
    [[ $(</home/dev/project/visits) == x ]] || { echo "the first one was visited"; return 1; }
}
check "a second one in profile public sees nothing of it" sees_nothing
check "a second one in profile offline sees nothing of it" sees_nothing --profile offline
check "the first one still runs" kill -0 $first
check "the two have different identities" says '2' -- bash -c \
    'as-user dev env -C /home/dev/other rcc run -- sleep 3 & sleep 1.5
     for p in $(pidof pasta passt pasta.avx2 passt.avx2); do grep ^Uid /proc/$p/status; done | sort -u | wc -l'
kill "$first" 2>/dev/null
wait "$first" 2>/dev/null

# Two on one project: the placeholders of the one that ends first stay for the other.
as-user dev rcc run --profile offline -- sh -c 'touch up; while [ ! -e end ]; do sleep 0.1; done' </dev/null >/run/older 2>&1 &
older=$!
check "two on one project: the older one is up" within 10 test -e /home/dev/project/up
as-user dev rcc run --profile offline -- sh -c 'touch end; sleep 2; ! echo evil >.envrc' </dev/null >/run/younger 2>&1 &
younger=$!
wait $older
status=$?
check "the older one ends" [ $status == 0 ]
check "and reports no change that was none" never_says 'look at these' -- cat /run/older
wait $younger
status=$?
check "what it made still protects the younger one" [ $status == 0 ]
check "and goes with it" fails ls -d /home/dev/project/{.envrc,.rcc.toml,.git/commondir}
