# By Docker without root a sandbox is as it is without an engine, and what Docker would add is refused.
#
# It needs docker.io, rootlesskit, slirp4netns and crun, and an image (checks/engines/run).
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup || broken "cgroup v2" /dev/null
login=/run/user/4242 # as systemd makes it at the login
mkdir -p $login /home/dev/.config/docker
chmod 0700 $login
# configured RUNTIME: dev's Docker takes that OCI runtime.
configured() {
    printf '{ "default-runtime": "%s", "runtimes": { "crun": { "path": "/usr/bin/crun" } } }\n' "$1" \
        >/home/dev/.config/docker/daemon.json
}
configured crun
chown -R dev:dev $login /home/dev/.config
answers() { [[ -S $login/docker.sock ]] && as-user dev docker version; }
# Without bridges nothing of the machine is needed that may not be there. A rootlesskit that asks getsubids(1) may take
# the same range for two, where the file has it by uid.
docker_start() {
    command as-user dev env XDG_RUNTIME_DIR=$login DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--subid-source=static \
        "$(dockerd_rootless)" --iptables=false --bridge=none >/run/dockerd.log 2>&1 &
    docker=$!
    within 60 answers || broken "Docker without root answers" /run/dockerd.log
}
docker_stop() { kill "$docker" && wait "$docker"; }
dockerd_rootless() { command -v dockerd-rootless.sh || echo /usr/share/docker.io/contrib/dockerd-rootless.sh; }
host=DOCKER_HOST=unix://$login/docker.sock
as-user() { command as-user "$1" env "$host" "${@:2}"; }
docker_start
runtime=docker
as_dev=(as-user dev env "$host")
import() { as-user dev docker import "${@:3}" - "$2" <"$1"; }
import "$IMAGE" localhost/agent >/run/import.log 2>&1 || broken "an image is there" /run/import.log
# shellcheck source=/dev/null
. "$lib/../engines/same"

check "the user's own number is made inside, and the one outside is the user's" says '^ *4242 +0 +1$' -- \
    offline cat /proc/self/uid_map
check "no user namespace can be made inside" fails offline unshare --user true
check "Docker's socket is nowhere" offline sh -c \
    "test ! -e $login && test ! -e /run/docker.sock && test ! -e /var/run/docker.sock"
check "nothing but the loopback without a network" says '^lo$' -- offline ls /sys/class/net
import "$IMAGE" localhost/volume -c 'VOLUME /data' >/dev/null 2>&1
check "an image for which Docker would mount something is refused, with the remedy" says '/data' 'without VOLUME' -- \
    exits 125 "${as_dev[@]}" rcc run --runtime docker --image localhost/volume --profile offline -- true
import "$IMAGE" localhost/entry -c 'ENTRYPOINT ["/bin/false"]' -c 'CMD ["no"]' -c 'USER 65534' \
    -c 'HEALTHCHECK CMD touch /home/dev/project/healthy' >/dev/null 2>&1
check "an image's entry point, user and command are not used" says '^4242$' -- \
    "${as_dev[@]}" rcc run --runtime docker --image localhost/entry --profile offline -- id -u
# foreign: speaks at the first launcher's socket that appears, as another program of dev's.
foreign() {
    command as-user dev timeout 60 python3 -c '
import glob, socket, time
while True:
    for path in glob.glob("/run/rcc/4242/engine/*/launcher"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            try:
                client.connect(path)
                client.recv(1)
            except OSError:
                continue
            raise SystemExit
'
}
foreign &
foreigner=$!
check "who else speaks at the launcher's socket is not taken for the container" \
    says "somebody else than the container's first process" -- exits 125 offline true
kill $foreigner 2>/dev/null
wait $foreigner 2>/dev/null
check "and the next one is well" offline true
check "a Docker somewhere else is not spoken to" says 'DOCKER_HOST is tcp' -- \
    exits 125 as-user dev env DOCKER_HOST=tcp://127.0.0.1:2375 rcc run "${in_image[@]}" -- true
check "no Docker is said, with the remedy" says 'no Docker without root answers' 'dockerd-rootless-setuptool.sh' -- \
    exits 125 as-user dev env DOCKER_HOST=unix:///nonesuch rcc run "${in_image[@]}" -- true
install -m 0755 /dev/stdin /run/deaf.py <<'END'
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("/run/docker.sock")
s.listen()
while True: s.accept()
END
python3 /run/deaf.py &
deaf=$!
check "root's is told apart, and refused" says "is root's" -- \
    exits 125 as-user dev env DOCKER_HOST=unix:///run/docker.sock rcc run "${in_image[@]}" -- true
kill $deaf
check "nothing is left at the end" within 5 none_left

docker_stop
configured runc
docker_start
if runc --version | grep -qE '^runc version (0|1\.[01]\.)'; then
    check "an OCI runtime with known ways out is refused" says 'CVE-2025-31133' 'daemon.json' -- exits 125 offline true
fi
docker_stop
configured crun

# Before `rcc init` a Docker that runs already.
cp -a /etc/subuid /etc/subgid /run/
echo dev:100000:65536 | tee /etc/subuid >/etc/subgid
docker_start
cp -a /run/subuid /run/subgid /etc/
check "a Docker that is older than the identities is refused, with the remedy" \
    says 'does not know the network identity' 'restart docker' -- exits 125 rcc_run -- true
docker_stop
docker_start
check "it runs when that has been started again" rcc_run -- true
docker_stop
