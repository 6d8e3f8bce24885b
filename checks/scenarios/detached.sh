# Sandboxes that go on without a terminal: they are left and found again, their output is kept, and nobody else's.
ready
export PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1
at_terminal() {
    python3 - "$user" <<END
import os, re, signal, subprocess, sys, time, termios
from terminal import Terminal
user = sys.argv[1]
def rcc(*words): return ["as-user", user, "rcc", *words]
def said(*words): return subprocess.run(rcc(*words), capture_output=True, text=True)
$(cat)
END
}
detach() { as-user "$user" rcc run --profile offline --detach --name "$@"; }
gone() { [[ -z $(as-user "$user" rcc ps --json | grep -o "\"id\": \"$1\"") ]]; }
for user in dev root; do
    check "$user: it starts, says its name and leaves the terminal" says '^talk$' -- \
        detach talk -- sh -c 'echo began; while read -r line; do echo "heard $line"; done; stty size; sleep 100'
    check "$user: it is listed, and it is marked" says 'talk .*detached' -- as-user "$user" rcc ps
    check "$user: its name is taken" fails detach talk -- true
    check "$user: what it showed can be read" within 5 says '^began' -- as-user "$user" rcc logs talk
    check "$user: somebody comes, sees what was there, types, and leaves" at_terminal <<'END'
t = Terminal(*rcc("attach", "talk"), rows=33, columns=99)
t.expect("began\r\n"); t.type("one\r"); t.expect("heard one\r\n")
t.type("\x10\x11"); t.expect("'talk' goes on"); assert t.status() == 0
END
    check "$user: a second one sees it as well, and the size follows who came last" at_terminal <<'END'
first = Terminal(*rcc("attach"), rows=33, columns=99); first.expect("heard one")
second = Terminal(*rcc("attach", "talk"), rows=40, columns=120); second.expect("heard one")
second.type("two\r")
for t in (first, second): t.expect("heard two\r\n")
time.sleep(0.3); second.type("\x04"); first.expect("40 120"); second.expect("40 120")
os.kill(second.pid, signal.SIGKILL); os.waitpid(second.pid, 0)
first.type("\x10\x11"); first.expect("goes on"); assert first.status() == 0
END
    check "$user: who comes again is there at once" at_terminal <<'END'
times = []
for _ in range(5):
    start = time.monotonic()
    t = Terminal(*rcc("attach", "talk")); t.expect("began"); times.append(time.monotonic() - start)
    t.type("\x10\x11"); t.status()
print(sorted(times)); assert sorted(times)[2] < 1
END
    check "$user: the terminal is as before, also when the sandbox is stopped meanwhile" at_terminal <<'END'
t = Terminal("sh", "-c", 'stty -a >/tmp/before; "$@"; s=$?; stty -a >/tmp/after; exit $s', "sh", *rcc("attach", "talk"))
t.expect("began"); assert said("stop", "talk").returncode == 0
assert t.status() == 143, t.seen
assert open("/tmp/before").read() == open("/tmp/after").read()
END
    check "$user: nothing of it is left running" within 5 gone talk
    check "$user: its log is there after its end" says '^began' 'heard two' -- as-user "$user" rcc logs talk
    check "$user: the last lines alone" never_says began -- as-user "$user" rcc logs talk --tail 2
    check "$user: nobody can come any more" says "no detached sandbox 'talk' is running" -- fails as-user "$user" rcc attach talk
    check "$user: who follows the log sees all of it and its end" at_terminal <<'END'
assert said("run", "--profile", "offline", "--detach", "--name", "counts", "--", "sh", "-c",
    "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; exit 3").returncode == 0
log = subprocess.run(rcc("logs", "--follow", "counts"), capture_output=True, text=True, timeout=20)
assert [f"line {i}" for i in range(1, 6)] == log.stdout.splitlines(), log
END
    check "$user: as many as want to follow a log, and it stays free for who comes" at_terminal <<'END'
said("run", "--profile", "offline", "--detach", "--name", "read", "--", "sh", "-c", "echo up; sleep 1000")
readers = [subprocess.Popen(rcc("logs", "-f", "read"), stdout=subprocess.PIPE) for _ in range(20)]
for reader in readers: assert b"up" in reader.stdout.readline()
time.sleep(0.5)
t = Terminal(*rcc("attach", "read")); t.expect("up"); t.type("\x10\x11"); t.expect("goes on"); assert t.status() == 0
said("stop", "read")
for reader in readers: assert reader.wait(timeout=10) == 0
END
    check "$user: whoever is there learns the exit status" at_terminal <<'END'
said("run", "--profile", "offline", "--detach", "--name", "short", "--", "sh", "-c", "read x; exit 42")
t = Terminal(*rcc("attach", "short")); time.sleep(0.5); t.type("\r"); assert t.status() == 42
END
    check "$user: what ends at once has a name and a log as well" says '^quick$' '^over' -- bash -c \
        "as-user $user rcc run --profile offline --detach --name quick -- echo over && as-user $user rcc logs -f quick"
    check "$user: what is refused says why" says 'nonesuch' -- exits 125 \
        as-user "$user" rcc run --profile nonesuch --detach -- true
    check "$user: output that nobody reads holds nothing up and is bounded" bash -c "
        as-user $user rcc run --profile offline --detach --name flood -- sh -c 'head -c 60000000 /dev/zero | tr \"\\0\" x; echo over; sleep 100' &&
        for _ in \$(seq 100); do as-user $user rcc logs flood --tail 1 | grep -q over && break; sleep 0.3; done
        as-user $user rcc logs flood --tail 1 | grep over || exit 1
        size=\$(du -bc \$(getent passwd $user | cut -d: -f6)/.local/share/rcc/logs/flood.log* | tail -1 | cut -f1); echo \$size; ((size <= 17000000)) &&
        as-user $user rcc stop flood"
    check "$user: control: one more runs" detach orphan -- sleep 1000
    kill -9 "$(pgrep -f '^rcc keep orphan ')"
    check "$user: when its keeper is killed the sandbox ends" within 5 gone orphan
    check "$user: and its name is free again" detach orphan -- true
    check "$user: of two with one name at once, one is there and whole, and the other is told" at_terminal <<'END'
words = rcc("run", "--profile", "offline", "--detach", "--name", "twin", "--", "sh", "-c", "echo whole; sleep 1000")
both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
said_by = [process.communicate(timeout=30)[0] for process in both]
assert sorted(process.returncode for process in both) == [0, 125], said_by
assert any("already" in text or "is running" in text for text in said_by), said_by
assert "whole" in said("logs", "twin").stdout
t = Terminal(*rcc("attach", "twin")); t.expect("whole"); t.type("\x10\x11"); assert t.status() == 0
assert said("stop", "twin").returncode == 0
END
    check "$user: questions to a terminal are not asked again, and its modes are put back" at_terminal <<'END'
said("run", "--profile", "offline", "--detach", "--name", "asks", "--", "sh", "-c",
    r"printf '\033[c\033[6n\033]11;?\007\033[?1049h\033[?25lready'; sleep 1000")
time.sleep(0.5)
t = Terminal(*rcc("logs", "asks")); t.expect("ready"); t.status(); shown = t.seen
t = Terminal(*rcc("attach", "asks")); t.expect("ready"); t.type("\x10\x11"); t.expect("goes on"); t.status()
assert b"\x1b[c" in subprocess.run(rcc("logs", "asks"), capture_output=True).stdout
assert "\x1b[?1049l" in shown and "\x1b[?25h" in shown and "\x1b[r" not in shown, repr(shown)
said("stop", "asks")
END
    check "$user: one that reads nothing can be left, and others come to it" at_terminal <<'END'
said("run", "--profile", "offline", "--detach", "--name", "deaf", "--", "sh", "-c", "stty raw -echo; echo up; sleep 1000")
t = Terminal(*rcc("attach", "deaf")); t.expect("up")
for _ in range(300): t.type("x" * 4000)
t.type("\x10\x11"); t.expect("goes on"); assert t.status() == 0
t = Terminal(*rcc("attach", "deaf")); t.expect("up"); t.type("\x10\x11"); t.expect("goes on"); assert t.status() == 0
said("stop", "deaf")
END
    check "$user: a lock of the caller's is not kept" bash -c "
        touch /run/lock-$user; chmod 666 /run/lock-$user; exec 9>/run/lock-$user; flock 9
        as-user $user rcc run --profile offline --detach --name holds -- sleep 1000
        exec 9>&-; flock -n /run/lock-$user true && as-user $user rcc stop holds"
    check "$user: who interrupts the start has no sandbox" at_terminal <<'END'
for delay in (0.01, 0.03, 0.05, 0.08, 0.12, 0.2):
    starter = subprocess.Popen(rcc("run", "--profile", "offline", "--detach", "--name", "never", "--", "sleep", "1000"), stdout=subprocess.PIPE)
    time.sleep(delay); starter.kill(); starter.wait()
    # One that was fast enough has told the name.
    if starter.stdout.read(): said("stop", "never")
    starter.stdout.close()
for _ in range(100):
    if '"never"' not in said("ps", "--json").stdout: break
    time.sleep(0.1)
else: sys.exit("it runs")
END
    check "$user: a name cannot lead elsewhere" fails detach ../x -- true
done
check "nobody else's sandbox can be seen, entered or read" bash -c '
    as-user dev rcc run --profile offline --detach --name secret -- sleep 1000 &&
    ! as-user root rcc attach secret && ! as-user root rcc logs secret &&
    [[ $(stat -c %a /home/dev/.local/share/rcc/logs/secret.log) == 600 ]]'
check "inside there is no way to the keeper" bash -c '
    as-user dev rcc run --profile offline -- true && ! as-user dev rcc run --profile offline -- sh -c "ls /run/rcc/kept /run/rcc/*/kept /run/user/*/rcc /home/dev/.local/share/rcc/logs 2>/dev/null | grep ."'
as-user dev rcc stop secret >/dev/null
check "with a network it goes the same way" as-user dev rcc run --detach --name net -- sleep 1000
kill -9 "$(processes "pas[st]*" | head -1)"
check "and that it was cut is in the log" within 5 says 'was cut: pasta ended' -- as-user dev rcc logs net
check "what else is there can be ended" as-user dev rcc stop net
user=dev
check "control: one that works, and one that rests" bash -c '
    as-user dev rcc run --detach --name busy -- sh -c "while :; do :; done" &&
    as-user dev rcc run --profile offline --detach --name idle -- sleep 1000'
check "what they use is shown: processor, memory, processes" says '^busy +[1-9][0-9.]*% +[1-9][0-9]* MiB' '^idle +[0-9]\.[0-9]%' -- \
    as-user dev rcc stats
check "of one alone" never_says idle -- as-user dev rcc stats busy
check "what is not there is an error" says "no sandbox 'gone'" -- fails as-user dev rcc stats gone
check "at a terminal it goes on until it is interrupted" at_terminal <<'END'
t = Terminal(*rcc("stats")); t.expect("busy"); t.expect("busy"); t.expect("busy"); t.type("\x03"); assert t.status() == 130
END
check "for programs, a line for each look" says '^\[\{"session":"busy","cpu_percent":' -- as-user dev rcc stats --json --once
check "all of them can be ended" as-user dev rcc stop --all
