# By Podman without root, in a user session of systemd's: what a sandbox sees and reaches, that its limits hold, how it
# ends, and what a power cut leaves. The scenarios of engines/ have no cgroups to look at.
. "$lib/../vm/words"
. "$lib/../vm/limits"
. "$lib/../vm/agent-image"
boot
login dev
echo "  ($(as dev podman --version), $(as dev 'crun --version | head -1'))"
check "Podman's socket is the user's systemd's" as dev 'systemctl --user enable --now podman.socket'
check "an image's files are packed" agent_image
check "Podman takes them" as dev podman import --quiet image.tar localhost/agent

# in_podman [OPTION...] -- COMMAND...: the words of a shell.
in_podman() {
    local options=()
    while [[ $1 != -- ]]; do options+=("$1"); shift; done
    as dev "cd project && rcc run --runtime podman --image localhost/agent ${options[*]} -- $(printf '%q ' "${@:2}")"
}
offline() { in_podman --profile offline -- "$@"; }
none_left() { [[ -z $(as dev podman ps --all --quiet) ]]; }

check "a sandbox runs" in_podman -- true
check "systemd started Podman for it" says '^active$' -- as dev systemctl --user is-active podman.service
check "the project is in it, its secrets are not" says '^print\(1\)$' '^none$' -- \
    offline sh -c 'cat src/main.py; grep -rs hunter2 /home || echo none'
check "it is its user, and has no capability" says '^dev 1000$' 'CapBnd:.0000000000000000' -- \
    offline sh -c 'echo $(id -un) $(id -u); cat /proc/self/status'
check "what it makes is the user's" offline touch made
check "on the machine as well" says '^dev dev$' -- as dev 'stat -c "%U %G" project/made'
check "its status is the command's" exits 42 offline sh -c 'exit 42'
check "it is in a cgroup of the user's systemd" says '/user@1000.service/.*libpod-' -- \
    as dev 'cd project && (rcc run --runtime podman --image localhost/agent --profile offline -- sleep 15 &
        sleep 12; cat /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.subtree_control
        find /sys/fs/cgroup/user.slice -name "libpod-*"; wait)'

# reached: which of the machine's own addresses and of the network's a command gets to.
read -r -d '' reached <<'END'
import socket
for place in [("10.0.2.15", 22), ("127.0.0.1", 22), ("10.0.2.2", 22), ("10.0.2.3", 53), ("169.254.169.254", 80)]:
    try:
        socket.create_connection(place, 3).close()
        print("reached", *place)
    except OSError as error:
        print("not", *place, error)
END
check "control: the machine's own sshd is reached outside" says 'reached 10.0.2.15 22' 'reached 127.0.0.1 22' -- \
    as dev "python3 -c $(printf %q "$reached")"
check "inside, neither it nor the local network" never_says '^reached' -- in_podman -- python3 -c "$reached"
check "and really looked" says 'not 10.0.2.15 22' 'not 169.254.169.254 80' -- in_podman -- python3 -c "$reached"
check "offline there is not even an interface" says '^lo$' -- offline sh -c 'ls /sys/class/net'

inside() { offline python3 -c "$1"; }
limits_hold '/user@1000.service/.*libpod-' inside
check "nothing is left of all these" within 30 none_left

check "one goes on without a terminal" says '^talk$' -- in_podman --profile offline --detach --name talk -- \
    sh -c 'echo began; sleep 1000'
check "it is listed" says 'talk .*detached' -- as dev rcc ps
check "and is a container" says 'rcc.session=talk|talk' -- as dev 'podman ps --format "{{.Labels}}"'
check "what it showed can be read" within 30 says '^began' -- as dev rcc logs talk
check "it is stopped" as dev rcc stop talk
check "and gone" says '^\[\]$' -- as dev rcc ps --json
check "with its container" within 30 none_left

check "another one" in_podman --detach --name cut -- sleep 1000
vm sync
power_cut
boot
login dev
check "after a power cut no sandbox is listed" says '^\[\]$' -- as dev rcc ps --json
check "and the next one runs" in_podman -- true
check "which removes what the cut left" within 30 none_left
login stranger
as stranger 'mkdir -p project'
check "a user without identities is told who gives them" says 'has no network identities' 'sudo rcc init' -- \
    exits 125 as stranger 'cd project && rcc run --runtime podman --image localhost/agent -- true'
check "no unit failed" says '^running$' -- vm systemctl is-system-running
