# Calls of plugins: a client that knows the protocol's page alone, and the wrapper, by which a tool is as if it ran inside.
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
credential canary canary-7f3a90c1d2e4b586
anything canary
manifest words <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profile = "offline"
timeout = "2s"
output_max = "1 MiB"
concurrency = 2
[options]
unlisted = "pass"
TOML
sandbox_with a dev project

# The simple form.
check "a foreign client runs a tool" says '^hi$' -- plugin a exec any "" echo hi
check "with its exit status" exits 7 plugin a exec any "" sh -c 'exit 7'
check "and that of a signal" exits 137 plugin a exec any "" sh -c 'kill -9 $$'
check "a tool that is not there is told" exits 127 plugin a exec any "" no-such-tool
check "the tool's directory is the client's" says '^/home/dev/project/src$' -- plugin a exec any /home/dev/project/src pwd
check "many calls at once are answered, each with its own" says 'good: 64' -- plugin a many any 64
check "so are more than may run" says 'good: 16' -- plugin a many words 16
check "one that takes too long is ended, and told so" says '2 s, the time that its manifest gives' -- exits 124 plugin a exec words "" sleep 60
check "so is one that says too much" says 'more than 1048576 bytes' -- exits 124 plugin a exec words "" head -c 2000000 /dev/zero
check "what is no JSON is answered" says '^closed .*"success":false' -- plugin a raw any 000000027b7b
check "what is no action too" says '^closed .*"exit_code":126' -- plugin a raw any "$(framed '{"action":"eat"}')"
check "a field that is not known is refused" says '"success":false' -- plugin a raw any \
    "$(framed '{"action":"exec","args":["true"],"cwd":"/","uid":0}')"
check "a frame of 4 GiB is refused by its length, and the connection closed" says '^closed' -- plugin a raw any ffffffff7b
check "so is one of nothing" says '^closed' -- plugin a raw any 00000000
check "a frame that is never finished is waited for, by itself" says '^open' -- plugin a raw any 000000ff7b

# The wrapper.
same() { # ARGUMENT...: a command says the same with the tool in front of it
    [[ $(inside a "$*"; echo $?) == "$(inside a "any $*"; echo $?)" ]] || { inside a "$*"; inside a "any $*"; return 1; }
}
for command in 'sh -c "echo out; sleep 0.3; echo err >&2; exit 3"' 'sh -c "kill -TERM \$\$"' 'cat /etc/passwd' \
    'printf "%s|" "" " " "*" "ä\xc3\x28" -- --x' 'sh -c "pwd; ls -a src"' 'true' 'false' 'sh -c "exit 255"'; do
    check "the same as inside: $command" same "$command"
done
check "the wrapper ends by the same signal" exits 139 inside a '(any sh -c "kill -SEGV \$\$") 2>/dev/null'
check "standard input is the tool's" [ "$(inside a 'echo text | any cat')" = text ]
check "it ends where the tool is content" within 10 inside a 'yes | any head -1'
check "and output where its reader is" [ "$(inside a 'any yes | head -1')" = y ]
status=$(inside a 'any sh -c "yes; echo \$? >made" | head -1 >/dev/null; sleep 0.3; cat made')
check "of which the tool learns" [ "${status:-0}" != 0 ]
big() { # 64 MiB through the tool in both directions
    inside a 'set -o pipefail; head -c 67108864 /dev/urandom >/tmp/big; sum=$(sha256sum </tmp/big)
        [ "$(any cat </tmp/big | sha256sum)" = "$sum" ] && [ "$(cat /tmp/big | any sha256sum)" = "$sum" ]'
}
check "64 MiB come intact both ways" big
check "what is not text, too" [ "$(inside a 'head -c 300000 /dev/urandom >/tmp/b; any cat </tmp/b | cmp - /tmp/b && echo same')" = same ]
check "a signal to the wrapper comes to the tool" says '^got$' '^5$' -- \
    inside a 'any sh -c "trap \"echo got; exit 5\" USR1; while :; do sleep 0.05; done" & w=$!; sleep 1; kill -USR1 $w; wait $w; echo $?'
check "a wrapper that is killed ends the tool" says '^quiet$' -- inside a 'any sh -c "while :; do date +%N >beat; sleep 0.05; done" & w=$!
    sleep 1; kill -9 $w; sleep 1; before=$(cat beat); sleep 0.5; [ "$before" = "$(cat beat)" ] && echo quiet'
check "64 wrappers at once" [ "$(inside a 'for n in $(seq 64); do any echo $n & done; wait' | grep -c '^[0-9]')" = 64 ]
check "no shell's words are anybody else's" says '^\$\(id\);`id`\|x$' -- inside a "any echo '\$(id);\`id\`|x'"
check "the environment that is passed is" says '^TERM=xterm-256color$' -- inside a 'any env'
leave a

# A terminal.
cat >/run/terminal_scenario.py <<'PY'
import sys
sys.path.insert(0, "/run/checks/lib")
from terminal import Terminal
user = ["as-user", "dev", "rcc", "run", "--"]
seen = Terminal(*user, "any", "sh", "-c", "tty; stty size; printf '\\033[1mbold\\033[0m\\n'; read x; stty size; echo got=$x; exec sleep 60", rows=33, columns=101)
seen.expect(r"/dev/pts/\d+\r\n33 101\r\n\x1b\[1mbold")
seen.resize(44, 90)
seen.type("typed\r")
seen.expect(r"44 90\r\ngot=typed")
seen.type("\x03")
assert seen.status() == 130, "Ctrl-C"
seen = Terminal(*user, "bash", "--norc", "-i")
seen.expect(r"\$ ")
seen.type("any sh -c 'echo up; exec cat'\r")
seen.expect("\rup\r\n")
seen.type("line\r\x04")
seen.expect(r"line\r\nline\r\n.*\$ ")
seen.type("any sh -c 'echo up; cat; echo down'\r")
seen.expect("\rup\r\n")
seen.type("\x1a")
seen.expect(r"Stopped[^\n]*\n.*\$ ")
seen.type("echo $((6 * 7)) between\r")
seen.expect("42 between")
seen.type("fg\r")
seen.expect(r"echo down'\r\n")
seen.type("more\r")
seen.expect(r"more\r\nmore\r\n")
seen.type("\x04")
seen.expect(r"down\r\n.*\$ ")
seen.type("any tty | cat; exit 9\r")
seen.expect("(not a tty|/dev/pts)")
assert seen.status() == 9
PY
check "a tool has a terminal: its size, colours, keys, Ctrl-C, Ctrl-D and Ctrl-Z" /usr/bin/python3 /run/terminal_scenario.py
