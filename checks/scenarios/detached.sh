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
    check "$user: a name cannot lead elsewhere" fails detach ../x -- true
done
check "nobody else's sandbox can be seen, entered or read" bash -c '
    as-user dev rcc run --profile offline --detach --name secret -- sleep 1000 &&
    ! as-user root rcc attach secret && ! as-user root rcc logs secret &&
    [[ $(stat -c %a /home/dev/.local/share/rcc/logs/secret.log) == 600 ]]'
check "inside there is no way to the keeper" bash -c '
    ! as-user dev rcc run --profile offline -- sh -c "ls /run/rcc/kept /run/rcc/*/kept /run/user/*/rcc /home/dev/.local/share/rcc/logs 2>/dev/null | grep ."'
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
