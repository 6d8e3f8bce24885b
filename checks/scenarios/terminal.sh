# The terminal inside is a real one: size, resize, signals, job control, exit status; pipes stay pipes.
ready
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
rcc() { as-user "$user" rcc run --profile offline -- "$@"; }
# at_terminal SCRIPT: python with a Terminal class and `rcc`, the words that start a sandbox.
at_terminal() {
    python3 - "$user" <<END
import sys, time, termios
from terminal import Terminal
rcc = ["as-user", sys.argv[1], "rcc", "run", "--profile", "offline", "--"]
$(cat)
END
}
for user in dev root; do
    check "$user: the size is right from the start, and follows" at_terminal <<'END'
t = Terminal(*rcc, "sh", "-c", "stty size; trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done", rows=31, columns=97)
t.expect("31 97\r\n"); t.expect("up")
t.resize(50, 133); t.expect("50 133\r\n")
t.type("\x03"); assert t.status() == 130
END
    check "$user: it is a terminal, with a name and colours" at_terminal <<'END'
t = Terminal(*rcc, "sh", "-c", "tty; echo $TERM; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo yes")
t.expect("/dev/pts/[0-9]+\r\n"); t.expect("xterm-256color"); t.expect("yes"); assert t.status() == 0
END
    check "$user: job control: stop, list, continue, interrupt" at_terminal <<'END'
t = Terminal(*rcc, "bash", "--norc", "-i")
t.type("sleep 100\n"); time.sleep(0.5); t.type("\x1a"); t.expect("Stopped")
t.type("jobs\n"); t.expect("Stopped +sleep 100")
t.type("fg\n"); time.sleep(0.3); t.type("\x03"); t.type("echo status $?\n"); t.expect("status 130")
t.type("exit 7\n"); assert t.status() == 7
END
    check "$user: end of file ends it" at_terminal <<'END'
t = Terminal(*rcc, "sh", "-c", "cat; echo done; exit 3")
time.sleep(0.5); t.type("line\n\x04"); t.expect("done"); assert t.status() == 3
END
    check "$user: afterwards the terminal is as before, also when it is killed" at_terminal <<'END'
for script, status in (("stty raw -echo; exit 4", 4), ("stty raw -echo; kill -9 $$", 137)):
    t = Terminal("sh", "-c", 'stty -a >/tmp/before; "$@"; s=$?; stty -a >/tmp/after; exit $s', "sh", *rcc, "sh", "-c", script)
    assert t.status() == status
    assert open("/tmp/before").read() == open("/tmp/after").read()
END
    check "$user: no character can be put into the caller's input (TIOCSTI)" at_terminal <<'END'
push = "import fcntl,termios\nfor c in b'echo INJECTED\\n':\n try: fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))\n except OSError as e: print('refused', e.errno); break"
t = Terminal("sh", "-c", '"$@"; echo back; cat', "sh", *rcc, "/usr/bin/python3", "-c", push)
t.expect("refused"); t.expect("back"); time.sleep(0.3); t.type("\x04"); t.status()
assert "INJECTED" not in t.seen, t.seen
END
    check "$user: exit status of the command" exits 42 rcc sh -c 'exit 42'
    check "$user: killed by a signal" exits 143 rcc sh -c 'kill $$'
    check "$user: not found is 127, not executable 126" exits 127 rcc nonesuch
    check "$user: not executable" exits 126 rcc /etc/passwd
    check "$user: pipes: bytes as they are, streams apart" says '^out$' -- \
        bash -c "as-user $user rcc run --profile offline -- sh -c 'printf out; printf err >&2' 2>/dev/null"
    check "$user: pipes: 10 MB through it" says 10485760 -- \
        bash -c "head -c 10485760 /dev/urandom | tee >(sha256sum >/run/a) | as-user $user rcc run --profile offline -- cat | tee >(sha256sum >/run/b) | wc -c; sleep 0.2; cmp /run/a /run/b"
    check "$user: pipes: no terminal where there is none" says '^pipe$' -- bash -c \
        "echo | as-user $user rcc run --profile offline -- sh -c '[ -t 0 ] || [ -t 1 ] || echo pipe' | cat"
    check "$user: a closed reader ends it" exits 141 bash -c "timeout 10 as-user $user rcc run --profile offline -- yes | head -1; exit \${PIPESTATUS[0]}"
    check "$user: SIGTERM to rcc ends the command" exits 143 bash -c \
        "as-user $user rcc run --profile offline -- sh -c 'sleep 100' & sleep 1; kill \$!; wait \$!"
done
