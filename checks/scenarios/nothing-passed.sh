# Nothing is passed that was not asked for: agents, engines, displays, buses, environment, file descriptors.
ready
read -r -d '' serve <<'END'
import os, socket, sys, threading
def answer(sock):
    while True: sock.accept()[0].close()
for path in sys.argv[1:]:
    sock = socket.socket(socket.AF_UNIX)
    if path[0] == "@": path = "\0" + path[1:]
    else: os.makedirs(os.path.dirname(path), exist_ok=True)
    sock.bind(path)
    if path[0] != "\0": os.chmod(path, 0o777)
    sock.listen(); threading.Thread(target=answer, args=(sock,)).start()
END
read -r -d '' visit <<'END'
import os, socket, sys
for path in sys.argv[1:]:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect("\0" + path[1:] if path[0] == "@" else path)
        print("reached", path)
    except OSError: pass
END
sockets=(
    /run/user/4242/bus /run/user/4242/wayland-0 /run/user/4242/podman/podman.sock /run/user/4242/ssh-agent.socket
    /run/docker.sock /var/run/docker.sock.2 /run/containerd/containerd.sock /run/dbus/system_bus_socket
    /tmp/.X11-unix/X0 @/tmp/.X11-unix/X0 @/tmp/dbus-session /home/dev/.ssh/agent.sock /nix/var/nix/daemon-socket/socket
)
python3 -c "$serve" "${sockets[@]}" &
last=${sockets[-1]}
check "control: the sockets are there" within 3 test -S "$last"
environment=(
    SSH_AUTH_SOCK=/home/dev/.ssh/agent.sock DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/4242/bus DISPLAY=:0
    WAYLAND_DISPLAY=wayland-0 XDG_RUNTIME_DIR=/run/user/4242 DOCKER_HOST=unix:///run/docker.sock
    AWS_SECRET_ACCESS_KEY=hunter2 GITHUB_TOKEN=hunter2 LD_PRELOAD= BASH_ENV=/home/dev/project/evil.sh
)
for user in dev root; do
    check "$user: control: outside, every socket answers" \
        within 3 says "reached ${sockets[0]}" "reached ${sockets[-1]}" -- as-user $user /usr/bin/python3 -c "$visit" "${sockets[@]}"
    for profile in public offline; do
        check "$user, $profile: inside, none does" never_says reached -- \
            as-user $user rcc run --profile $profile -- /usr/bin/python3 -c "$visit" "${sockets[@]}"
    done
    check "$user: of the environment nothing is there" never_says 'hunter2|SSH_AUTH|DBUS|DISPLAY|DOCKER|BASH_ENV|/run/user' -- \
        as-user $user env "${environment[@]}" rcc run -- env
    check "$user: nor in the environment of PID 1" never_says hunter2 -- \
        as-user $user env "${environment[@]}" rcc run -- sh -c "cat /proc/*/environ | tr '\\0' '\\n'; true"
    check "$user: open files of the caller are closed" says '^closed$' -- bash -c \
        "as-user $user rcc run -- sh -c 'cat <&9 2>/dev/null || echo closed' 9</etc/shadow"
done
