# The image that rcc builds is what an agent needs, and rcc removes no other.
#
# It needs podman, crun, mmdebstrap and, to be pulled from, docker-registry; packages come from where this machine has its
# own, so that what builds runs in the machine's network, the namespace that is open at descriptor 9 (checks/engines/run).
ready
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup || broken "cgroup v2" /dev/null
mkdir -p /home/dev/.config/{containers,rcc}
printf '%s\n' '[containers]' 'cgroups = "disabled"' '[engine]' 'cgroup_manager = "cgroupfs"' 'events_logger = "none"' \
    'runtime = "crun"' >/home/dev/.config/containers/containers.conf
printf '%s\n' '# mine' 'runtime = "podman"' '' '# none above' '[limits]' 'pids = 500' >/home/dev/.config/rcc/config.toml
chown -R dev:dev /home/dev/.config
config=/home/dev/.config/rcc/config.toml
mount -t tmpfs -o mode=1777 build /mnt/log || broken "a place to build in" /dev/null
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
image() { as-user dev env TMPDIR=/mnt/log rcc image "$@"; }
# online ARGUMENTS...: the same where packages are.
online() { nsenter --net=/proc/self/fd/9 as-user dev env TMPDIR=/mnt/log rcc image "$@"; }
export -f image
cp "$RESOLV" /etc/resolv.conf
podman_() { as-user dev podman "$@"; }
id_of() { podman_ image inspect --format '{{.Id}}' "$1"; }
offline() { as-user dev rcc run --profile offline "$@"; }
# What Podman keeps among temporary files is its own, and small.
temporary() { find /mnt/log -mindepth 1 \( -size +1M -o -name 'mmdebstrap*' -o -name 'rcc-*' \); }
idle() { temporary; ls /run/rcc/4242/images; [[ -z $(temporary) && -z $(ls /run/rcc/4242/images) && -z $(processes mmdebstrap) ]]; }

name=localhost/rcc:$(rcc --version | cut -d' ' -f2)
check "no image is there yet" never_says localhost -- image list
check "a run without one says how to get one" says 'rcc image build' 'rcc image pull' -- \
    exits 125 offline --image localhost/none -- true
for bad in -all --all 'a b' 'a?force=true' ../../info 'a%2f'; do
    check "no name of an image: $bad" exits 2 image pull -- "$bad"
done
for bad in -oDebug=1 'git,curl' git- '?essential' 'a b'; do
    check "no name of a package: $bad" exits 2 image build "--with=$bad"
done
check "a digest is no name of a new image" says 'has no digest' -- exits 125 image build "x@sha256:00"

check "an image is built from this machine's packages, without a registry" \
    says "$name is there" 'for all runs, in .*config.toml' "image = \"localhost/rcc@sha256:" -- online build
check "nothing of the work is left" within 5 idle
check "it is listed, as rcc's" says "^$name +[0-9a-f]{12} .*built by rcc" -- image list
check "for programs as well" python3 - <<END
import json, subprocess
rows = json.loads(subprocess.check_output(["as-user", "dev", "rcc", "image", "list", "--json"]))
assert [(row["name"], row["configured"], row["pinned"]) for row in rows] == [("$name", False, False)], rows
assert rows[0]["size_bytes"] > 50e6 and len(rows[0]["id"]) == 64, rows
END
check "an agent finds its programs" offline --image "$name" -- \
    sh -ec 'for p in git rg python3 curl less ps bash; do command -v $p; done; python3 -c "import ssl, json"; git --version'
check "and certificates" offline --image "$name" -- test -s /etc/ssl/certs/ca-certificates.crt
check "but not where this machine's packages are from" says '^0$' -- \
    offline --image "$name" -- sh -c 'cat /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/auth.conf 2>/dev/null | wc -c'

old=$(id_of "$name")
check "built again, with a package more, and pinned" says "says now: image" -- online build --with jq --pin
new=$(id_of "$name")
check "the configuration has its digest and is otherwise as it was" says '^# mine.runtime = "podman".image = "localhost/rcc@sha256:[0-9a-f]{64}"..# none above.\[limits\].pids = 500.$' -- \
    bash -c "tr '\n' . <$config"
check "a run takes it without a word more" says '^jq' -- offline -- jq --version
check "a plan tells which it is" says "\"image_id\": \"$new\"" -- offline --dry-run -- true
check "it is listed so" says "^$name .*configured, pinned" -- image list
check "the one before has no name any more" says "^<none> +${old:0:12}" -- image list
pinned=$(sed -n 's/^image = "\(.*\)"/\1/p' $config)
podman_ rmi "$new" >/dev/null 2>&1 || true
check "control: the pinned one is gone" fails podman_ image exists "$new"
check "a digest that is not there is not replaced by what has the name" says "no image '$pinned'" -- \
    exits 125 offline -- true
check "nor does a plan know it" says '"image_id": null' -- offline --dry-run -- true

# Others' images, with rcc's label on them.
podman_ import -q -c 'LABEL rcc.image=0.0.1' "$IMAGE" localhost/rcc:0.0.1 >/run/import.log 2>&1 ||
    broken "a foreign image with the label" /run/import.log
podman_ tag localhost/rcc:0.0.1 localhost/forged:1 >/dev/null
podman_ tag "$old" localhost/mine:1
check "what the user called otherwise stays" says "keeps localhost/mine:1 .*: you called it localhost/mine:1" -- image prune
podman_ untag "$old" localhost/mine:1
container=$(podman_ create "$old" true 2>/dev/null)
check "what a container uses stays" says "keeps ${old:0:12}: a container uses it" -- image prune
podman_ rm "$container" >/dev/null
check "a rehearsal tells what goes, and how much" says "would remove ${old:0:12}, [0-9]+ MiB" '^1 images, [0-9]+ MiB' -- \
    image prune --dry-run
check "and removes nothing" podman_ image exists "$old"
printf 'FROM %s\nLABEL mine=1\n' "$old" | podman_ build -q --network none - >/run/derived 2>/run/build.log
derived=$(tail -1 /run/derived)
check "what others made of it has its label, and is not rcc's" says "keeps ${derived:0:12}: .*has not built it" '^0 images' -- \
    image prune
check "and keeps it" podman_ image exists "$old"
podman_ tag "$old" localhost/mine:1
podman_ rmi "$derived" >/dev/null 2>&1
podman_ untag "$old" localhost/mine:1
check "what rcc built and replaced goes" says "removed ${old:0:12}" -- image prune
check "it is gone" fails podman_ image exists "$old"
check "a forged label removes nothing" podman_ image exists localhost/rcc:0.0.1
check "and is told" says 'forged:1.*rcc has not built it' -- image prune

# A build that does not come to its end.
full() {
    local status=0
    mount -t tmpfs -o mode=1777,size=48m small /mnt/log
    online build localhost/full:1 || status=$?
    [[ -z $(find /mnt/log -name 'rcc-*') ]] || status=1
    umount -l /mnt/log
    return "$status"
}
check "a full disk is told" says 'No space left' 'no image was made' -- exits 125 full
check "and leaves none" fails podman_ image exists localhost/full:1
# interrupted SIGNAL: the build gets it in its middle.
interrupted() {
    online build localhost/given-up:1 &
    local build=$! program
    within 60 bash -c 'ls /mnt/log/rcc-image-*/mmdebstrap.*/var/lib/dpkg/status'
    sleep 2
    for program in $(processes rcc); do
        if tr '\0' ' ' <"/proc/$program/cmdline" | grep -q 'image build'; then kill "-$1" "$program"; fi
    done
    wait $build
}
check "interrupted, it says so" says 'interrupted' -- exits 130 interrupted INT
check "ended, it says so" says 'interrupted' -- exits 130 interrupted TERM
check "and nothing is left" within 20 idle
check "of the image either" fails podman_ image exists localhost/given-up:1

if [[ ! -x /usr/bin/docker-registry ]]; then
    echo "  (docker-registry is not installed: nothing was pulled)"
    return 0 2>/dev/null || exit 0
fi
printf '%s\n' 'version: 0.1' 'storage: {filesystem: {rootdirectory: /run/registry}}' 'http: {addr: 127.0.0.1:5000}' >/run/registry.yml
docker-registry serve /run/registry.yml >/run/registry.log 2>&1 &
printf '[[registry]]\nlocation = "localhost:5000"\ninsecure = true\n[[registry]]\nlocation = "localhost:5001"\ninsecure = true\n' \
    >/home/dev/.config/containers/registries.conf
within 10 bash -c '</dev/tcp/127.0.0.1/5000' || broken "a registry" /run/registry.log
podman_ push -q localhost/rcc:0.0.1 localhost:5000/team/agent:1 >/run/push.log 2>&1 || broken "an image to pull" /run/push.log
podman_ rmi localhost/rcc:0.0.1 localhost/forged:1 >/dev/null
check "an image is pulled, and its digest told" says 'localhost:5000/team/agent:1 is there' \
    'image = "localhost:5000/team/agent@sha256:[0-9a-f]{64}"' -- image pull localhost:5000/team/agent:1
check "quietly" says '^[0-9a-f]{64}$' -- image pull -q localhost:5000/team/agent:1
check "and pinned" says "says now: image" -- image pull --pin localhost:5000/team/agent:1
pinned=$(sed -n 's/^image = "\(.*\)"/\1/p' $config)
check "it runs" offline -- true
podman_ rmi -f localhost:5000/team/agent:1 >/dev/null
check "gone, it is missed with its remedy" says "rcc image pull $pinned" -- exits 125 offline -- true
check "by its digest it comes again" says 'is there' -- image pull "$pinned"
check "and runs" offline -- true
podman_ rmi -f "$pinned" >/dev/null
check "on a terminal it moves, and what stays is the end" python3 - <<'END'
from terminal import Terminal
t = Terminal("as-user", "dev", "rcc", "image", "pull", "localhost:5000/team/agent:1")
t.expect("pulling"); t.expect("\x1b"); t.expect("is there", 30); assert t.status() == 0
END
check "a tag that is not there" says 'failed to pull localhost:5000/team/agent:2' -- \
    exits 125 image pull localhost:5000/team/agent:2
# Who says what acts on a terminal.
python3 - <<'END' &
import http.server
class Liar(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"errors":[{"code":"DENIED","message":"\\u001b]52;c;eA==\\u0007\\u001b[2J gotcha"}]}'
        self.send_response(403); self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_HEAD = do_GET
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 5001), Liar).serve_forever()
END
within 10 bash -c '</dev/tcp/127.0.0.1/5001'
check "what a registry says is shown" says 'gotcha|denied|403|forbidden' -- exits 125 image pull localhost:5001/a:1
check "and does not act" bash -c "image pull localhost:5001/a:1 2>&1 | python3 -c '
import sys
assert b\"\\x1b\" not in sys.stdin.buffer.read()'"
kill $!
