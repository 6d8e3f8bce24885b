# By Podman without root a sandbox is as it is without an engine: what it sees, what it reaches, how it ends.
#
# It needs podman and crun, and an image at /run/checks/../target/checks/image/bookworm.tar (checks/engines/run).
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
umount -l /sys/fs/cgroup 2>/dev/null
mount -t cgroup2 none /sys/fs/cgroup || broken "cgroup v2" /dev/null
mkdir -p /home/dev/.config/containers
# containers [LINE...]: dev's containers.conf. This machine may hand no cgroups to users.
containers() {
    printf '%s\n' '[containers]' 'cgroups = "disabled"' "$@" '[engine]' 'cgroup_manager = "cgroupfs"' \
        'events_logger = "none"' "runtime = \"${oci-crun}\"" >/home/dev/.config/containers/containers.conf
}
containers
chown -R dev:dev /home/dev/.config
as-user dev podman import -q "$IMAGE" localhost/agent >/run/import.log 2>&1 || broken "an image is there" /run/import.log
in_image=(--runtime podman --image localhost/agent)
rcc_run() { as-user dev rcc run "${in_image[@]}" "$@"; }
offline() { rcc_run --profile offline -- "$@"; }
containers_left() { as-user dev podman ps -aq; }
none_left() { [[ -z $(containers_left) ]]; }
# at_terminal: python with a Terminal class and `rcc`, the words that start a sandbox.
at_terminal() {
    python3 - <<END
import time
from terminal import Terminal
rcc = ["as-user", "dev", "rcc", "run", "--runtime", "podman", "--image", "localhost/agent", "--profile", "offline", "--"]
$(cat)
END
}

check "the plan tells the runtime, the image and why" says '"name": "podman"' '"image": "localhost/agent"' 'asked for' -- \
    rcc_run --dry-run -- true
check "auto is the one without an engine, and tells why" says '"name": "embedded"' 'auto: ' -- \
    as-user dev rcc run --dry-run -- true
for runtime in docker orbstack apple; do
    check "$runtime is not there yet, and that is said" says 'is not there yet' -- \
        exits 125 as-user dev rcc run --runtime $runtime --image x -- true
done
check "an image must be named" says 'needs an image' -- exits 125 as-user dev rcc run --runtime podman -- true
check "an image must be there" says "no image 'nonesuch'" 'rcc image pull' -- \
    exits 125 as-user dev rcc run --runtime podman --image nonesuch -- true

check "the exit status is the command's" exits 42 offline sh -c 'exit 42'
check "killed by a signal" exits 143 offline sh -c 'kill $$'
check "not found is 127" exits 127 offline nonesuch
check "the user is the same" says '^4242:4242 dev$' -- offline sh -c 'echo $(id -u):$(id -g) $(id -un)'
check "no capability is left, and none comes back" says 'CapBnd:.0000000000000000' 'CapEff:.0000000000000000' \
    'NoNewPrivs:.1' 'Seccomp:.2' -- offline cat /proc/self/status
check "files belong to the user" offline touch made
check "on the host as well" says '^4242:4242$' -- stat -c %u:%g /home/dev/project/made
check "the root is read-only, /tmp is not" offline sh -c 'touch /tmp/a /var/tmp/a && ! touch /a /usr/a /etc/a'
check "the system is the image's" offline test ! -e /usr/local/bin/rcc
check "excluded files are invisible" fails offline grep -r hunter2 /home/dev/project
check "what the host would execute is read-only" fails offline sh -c 'echo x >.git/hooks/pre-commit'
check "and can't be moved away" fails offline mv .git git
check "nothing else of the user's home is there" fails offline cat /home/dev/.ssh/id_ed25519
check "no socket of an engine" says '^0$' -- \
    offline sh -c 'find / -path /proc -prune -o -name "*.sock" -print 2>/dev/null | wc -l'
check "the host name says nothing" says '^sandbox$' -- offline hostname
check "nothing of the caller's environment is passed" never_says SECRETS -- \
    as-user dev env SECRETS=1 rcc run "${in_image[@]}" --profile offline -- env
check "nothing is left of all these" within 5 none_left

check "the size of the terminal is right from the start, and follows" at_terminal <<'END'
t = Terminal(*rcc, "sh", "-c", "stty size; trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done", rows=31, columns=97)
t.expect("31 97\r\n"); t.expect("up")
t.resize(50, 133); t.expect("50 133\r\n")
t.type("\x03"); assert t.status() == 130
END
check "job control: stop, continue, interrupt" at_terminal <<'END'
t = Terminal(*rcc, "bash", "--norc", "-i")
t.expect("[$] "); t.type("sleep 100\n"); time.sleep(0.5); t.type("\x1a"); t.expect("Stopped")
t.type("fg\n"); time.sleep(0.3); t.type("\x03"); t.type("echo status $?\n"); t.expect("status 130")
t.type("exit 7\n"); assert t.status() == 7
END
check "pipes: bytes as they are, streams apart" says '^out$' -- bash -c \
    "as-user dev rcc run ${in_image[*]} --profile offline -- sh -c 'printf out; printf err >&2' 2>/dev/null"
check "pipes: 10 MB through it" says 10485760 -- bash -c \
    "head -c 10485760 /dev/urandom | tee >(sha256sum >/run/a) | as-user dev rcc run ${in_image[*]} --profile offline -- cat |
        tee >(sha256sum >/run/b) | wc -c; sleep 0.2; cmp /run/a /run/b"
check "SIGTERM to rcc ends the command" exits 143 bash -c \
    "as-user dev rcc run ${in_image[*]} --profile offline -- sh -c 'sleep 100' & sleep 4; kill \$!; wait \$!"

check "control: outside of a sandbox every place is reached" reach --all -- as-user dev
check "profile public reaches the public places alone" reach -- as-user dev rcc run "${in_image[@]}" --
check "profile offline reaches nothing" reach --none -- as-user dev rcc run "${in_image[@]}" --profile offline --

credential canary canary-7f3a90c1d2e4b586
anything canary
check "a relay runs" as-user dev rcc relay start --detach
sandbox_with a dev project "${in_image[@]}" --relay
check "a tool of a plugin runs outside, where it was called" says '^/home/dev/project/src$' -- inside a 'cd src && any pwd'
check "with its exit status" exits 7 inside a 'any sh -c "exit 7"'
check "the sandbox is at the relay" says '^project-[^ ]+ +here' -- as-user dev rcc relay session list
leave a

# in_container TOKEN: a sandbox that keeps sending; $! is its launcher.
in_container() { beat dev "$1" 203.0.113.10 443 "${in_image[@]}"; }
token=$(token)
in_container "$token"
launcher=$!
check "control: a sandbox is beating" within 15 beating "$token"
service_stop
check "all rules flushed" nft flush ruleset
sleep 1
check "cuts its network" silent "$token"
check "and it says so" says 'rcc firewall (apply|status)' -- cat "/run/$token"
rm -f /home/dev/project/started
check "no rules: nothing starts" exits 125 rcc_run -- touch started
check "really nothing" test ! -e /home/dev/project/started
kill $launcher 2>/dev/null
wait $launcher 2>/dev/null
check "applied again" rcc firewall apply
service_start

sandboxes_gone() { [[ -z $(processes "pas[st]*") && -z $(processes rcc) ]]; }
for victim in launcher pasta; do
    token=$(token)
    in_container "$token"
    beat=$!
    check "control: a sandbox is beating" within 15 beating "$token"
    case $victim in
        launcher) kill -9 "$beat" ;;
        pasta) kill -9 $(processes "pas[st]*") ;;
    esac
    sleep 0.5
    check "$victim killed: no network" silent "$token"
    kill "$beat" 2>/dev/null
    wait "$beat" 2>/dev/null
    check "$victim killed: its processes end" within 5 sandboxes_gone
    check "$victim killed: its container goes" within 10 none_left
done
token=$(token)
in_container "$token"
beat=$!
check "control: a sandbox is beating" within 15 beating "$token"
attendant=$(as-user dev rcc ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["supervisor"])')
check "the attendant is killed" kill -9 "$attendant"
check "attendant killed: no network" silent "$token"
wait "$beat" 2>/dev/null
check "attendant killed: its processes end" within 5 sandboxes_gone
check "attendant killed: its container goes" within 10 none_left

containers 'volumes = ["/home/dev/.ssh:/keys"]'
check "what containers.conf adds is refused" says 'mounted on /keys' -- exits 125 offline true
oci=runc containers
check "an OCI runtime with known ways out is refused" says 'CVE-2025-31133' 'crun' -- exits 125 offline true
containers
gone() { as-user dev podman create --label rcc.session=gone-0000 --label "rcc.runtime-dir=$1" localhost/agent true; }
gone /run/rcc/4242 >/dev/null 2>&1
check "the container of a launcher that is gone" [ -n "$(containers_left)" ]
check "goes at the next start" offline true
check "like that one itself" within 5 none_left
elsewhere=$(gone /run/user/4242/rcc 2>/run/gone.log)
check "one whose sessions are kept elsewhere may live" offline true
check "and stays" says "^$elsewhere$" -- as-user dev podman ps -aq --no-trunc
as-user dev podman rm "$elsewhere" >/dev/null
# The loader would only list rcc's libraries, and run nothing of it.
as-user dev podman import -q -c 'ENV LD_TRACE_LOADED_OBJECTS=1' -c 'ENV PATH=/opt/images:/bin' "$IMAGE" localhost/loader \
    >/dev/null 2>&1
check "an image's variables are not those of rcc inside, and its PATH comes last" says ':/opt/images$' -- \
    as-user dev rcc run --runtime podman --image localhost/loader --profile offline -- sh -c 'echo $PATH'
# What writes until it is killed never finds the place free.
late='( trap "" HUP TERM; while :; do echo "{}" >.mcp.json; done 2>/dev/null ) & sleep 1'
check "control: nothing is in the place before" test ! -e /home/dev/project/.mcp.json
check "what writes in the background when the command ends" offline sh -c "$late"
check "does not write where a placeholder was" test ! -e /home/dev/project/.mcp.json
# A loader that would be the first to run in each program of the image but one, and what it would leave.
mkdir -p /run/own/{run,etc,tmp,proc,sys,dev,home,bin,lib64}
cc -static -x c -o /run/own/bin/plain - <<<'#include <stdio.h>
int main(void) { puts("plain"); }'
cc -static -nostartfiles -x c -o /run/own/lib64/ld-linux-x86-64.so.2 - <<<'#include <unistd.h>
#include <fcntl.h>
#include <sys/syscall.h>
void _start(void) {
    syscall(SYS_openat, AT_FDCWD, "/home/dev/project/loaded", O_CREAT, 0644);
    syscall(SYS_write, 1, "loader\n", 7);
    syscall(SYS_exit_group, 0);
}'
cp /bin/true /run/own/bin/dynamic
tar -C /run/own -c . | as-user dev podman import -q - localhost/own >/dev/null 2>&1
own() { as-user dev rcc run --runtime podman --image localhost/own --profile offline -- "$@"; }
check "an image with neither shell nor C library runs what it has" says '^plain$' -- own /bin/plain
check "its loader has not run for rcc inside" test ! -e /home/dev/project/loaded
check "control: it runs for what needs it" says '^loader$' -- own /bin/dynamic
rm -f /home/dev/project/loaded
cp /usr/local/bin/rcc-guest /run/guest.static
printf 'int main(void) { return 0; }' | cc -x c -o /usr/local/bin/rcc-guest -
check "a guest that needs a loader is refused, with the remedy" says 'not linked statically' 'crt-static' -- \
    exits 125 rcc_run --profile offline -- true
cp /run/guest.static /usr/local/bin/rcc-guest
check "nothing else was wrong" offline true
check "nothing is left at the end" within 5 none_left

# Before `rcc init` a Podman that runs already.
as-user dev podman system migrate >/dev/null 2>&1
cp -a /etc/subuid /etc/subgid /run/
echo dev:100000:65536 | tee /etc/subuid >/etc/subgid
as-user dev podman unshare true
cp -a /run/subuid /run/subgid /etc/
check "a Podman that is older than the identities is refused, with the remedy" \
    says 'does not know the network identity' 'podman system migrate' -- exits 125 rcc_run -- true
check "migrated" as-user dev podman system migrate
check "it runs" rcc_run -- true
