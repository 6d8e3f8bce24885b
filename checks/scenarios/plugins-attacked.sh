# Plugins, attacked from inside of a sandbox, and broken from outside: credentials, files, rules, floods, kill -9, a full disk.
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
cp -a /home/dev/project /home/dev/shop
rcc() { as-user dev rcc "$@"; }
secret=canary-7f3a90c1d2e4b586
credential canary $secret
# The journal lies on a disk that can be filled.
state=/home/dev/.local/share/rcc/plugins
install -d -o dev -g dev /home/dev/.local /home/dev/.local/share /home/dev/.local/share/rcc $state
mount -t tmpfs -o "size=32m,mode=0700,uid=4242,gid=4242" journal $state
anything canary
manifest ruled <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/git"
profile = "offline"
executes = []
project = "read-only"
[environment]
pass = ["TERM"]
[commands]
allowed = ["log", "config"]
[options]
flags = ["-l, --list", "--oneline"]
values = ["-n"]
TOML
manifest alone <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profile = "offline"
executes = ["/usr/bin/cat", "/usr/bin/dash"]
project = "inert"
[options]
unlisted = "pass"
TOML
manifest still <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profile = "offline"
[options]
unlisted = "pass"
TOML
sandbox_with a dev project
sandbox_with b dev shop
a=$(sessions_of project) b=$(sessions_of shop)
pid=$(broker)
run=$(runtime)

# The credential. What is looked for is found in the tool, so that nothing passes because it is nowhere.
check "the tool has it" [ "$(inside a "canary sh -c 'printf %s \$SECRET_TOKEN | wc -c'")" = ${#secret} ]
leaks() { # COMMAND: what it says in the sandbox has the credential in it
    inside a "$1" >/run/said
    /usr/bin/python3 "$lib/leaked.py" $secret </run/said
}
for attempt in "echo $secret" "printf x%s $secret | base64 -w 12" "printf abc%s $secret | od -An -v -tx1" "printf xy%s $secret | base64 -w 0 | tr +/ -_"; do
    check "what is looked for is found where it is: ${attempt//$secret/CANARY}" leaks "$attempt"
done
for attempt in 'canary env' 'canary cat /proc/self/environ' 'canary sh -c "echo \$SECRET_TOKEN >&2"' \
    'canary sh -c "printf %s \$SECRET_TOKEN | base64"' 'canary sh -c "printf 'x%s' \$SECRET_TOKEN | base64"' \
    'canary sh -c "echo a:\$SECRET_TOKEN | base64 -w 0"' 'canary sh -c "printf %s \$SECRET_TOKEN | od -An -v -tx1 | tr -d \" \\n\""' \
    'canary /usr/bin/python3 -c "import os, urllib.parse as u; print(u.quote(os.environ[\"SECRET_TOKEN\"], safe=\"\"))"' \
    'canary sh -c "for c in \$(printf %s \$SECRET_TOKEN | head -c 10) \$(printf %s \$SECRET_TOKEN | tail -c +11); do printf %s \$c; sleep 0.2; done"' \
    'plugin exec canary "" env' 'canary sh -c "cat /proc/[0-9]*/environ"' 'canary sh -c "echo \$SECRET_TOKEN >/home/dev/project/src/leak; cat src/leak"'; do
    check "it is not in what comes back: $attempt" fails leaks "$attempt"
done
inside a 'canary sleep 30 & any sleep 30 &' >/dev/null 2>&1
for attempt in 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline' 'ps axeww' 'grep -r canary- /run /tmp /home /etc /var 2>/dev/null' \
    'any sh -c "cat /proc/[0-9]*/environ; cat /etc/rcc/credentials/canary; grep -r canary- /run /tmp /home /etc"' \
    'canary sh -c "cat /etc/rcc/credentials/canary; grep -rs canary- /run /etc /home /tmp"' \
    'grep -a canary- /proc/[0-9]*/mem' 'cat ~/.local/share/rcc/plugins/audit/* /proc/'"$pid"'/environ'; do
    check "nor anywhere else: $attempt" fails leaks "$attempt"
done
check "nor is it on record" fails sh -c "cat $state/audit/* $state/broker.log | /usr/bin/python3 $lib/leaked.py $secret"
check "nor in a command line or an environment of the broker's" fails sh -c "cat /proc/$pid/environ /proc/$pid/cmdline | grep -qa $secret"
check "of its memory no dump is written, and none of its user's looks into it" [ "$(stat -c %U "/proc/$pid/environ")" = root ]
check "nor read by a process of its user's" fails setpriv --reuid 4242 --regid 4242 --clear-groups cat "/proc/$pid/environ"
check "what its tool writes to the project is written nowhere" fails test -e /home/dev/project/src/leak

# Where it runs.
for place in / /etc /home/dev /home/dev/shop /home/dev/project/.. /home/dev/project/../shop "/home/dev/project/src/../../shop"; do
    check "no tool runs in $place" says 'project' -- exits 126 plugin a exec any "$place" pwd
done
inside a 'ln -sfn /etc src/out; ln -sfn /home/dev/shop src/shop' >/dev/null
for place in out shop; do
    check "nor through a link to $place" fails plugin a exec any "/home/dev/project/src/$place" cat passwd
done
check "of its project it has what the sandbox has, and .env is none of it" never_says hunter2 -- inside a 'any sh -c "cat .env; true" 2>/dev/null'
check "of the home nothing" fails inside a 'any cat /home/dev/.ssh/id_ed25519'
check "of another session's project nothing" fails inside a 'any ls /home/dev/shop'
for attempt in 'touch src/x' 'rm src/main.py' 'sh -c "echo >>src/main.py"' 'ln -s x src/y' 'chmod 777 src'; do
    check "a project that can be read only is not written: $attempt" fails inside a "canary $attempt"
done
check "nor is what the host executes, by one that writes" fails inside a 'any sh -c "echo x >>.git/hooks/pre-commit || echo x >>.git/config"'
check "it is as it was" [ "$(cat /home/dev/project/src/main.py)$(ls /home/dev/project/.git/hooks)" = 'print("hello")' ]
inside a 'cp /bin/true src/mine; cp /bin/cat src/cat; printf "#!/bin/sh\necho ran\n" >src/script
    chmod +x src/mine src/cat src/script' >/dev/null
for file in src/mine ./src/script /usr/bin/id /usr/bin/python3; do
    check "where programs are named, no other is executed: $file" exits 126 inside a "alone $file"
done
check "those are" [ "$(inside a 'alone cat src/script | head -1')" = '#!/bin/sh' ]

# What is asked.
check "what the rules allow runs" never_says 'not allowed' -- inside a 'ruled config --list; true'
for attempt in 'push' 'config --global x y' '-c core.pager=id log' '--exec-path=/tmp log' 'log --output=x' 'log -n' '--git-dir=/tmp log' \
    '"log; id"' "\$'log\\nx'" '""' 'config -lz' 'LOG'; do
    check "what they do not is not run: $attempt" says 'ruled: ' -- exits 126 inside a "ruled $attempt"
done
check "each is on record as refused" says 'refused .*push' -- rcc plugin logs ruled
check "no variable comes that is not passed" never_says 'EVIL|LD_PRELOAD|GIT_|PROMPT' -- \
    inside a 'EVIL=1 LD_PRELOAD=libc.so.6 GIT_SSH_COMMAND=id PROMPT_COMMAND=id GIT_DIR=/x any env'
check "nor does another PATH, HOME or user" says '^HOME=/home/dev$' '^PATH=/usr' '^USER=dev$' -- \
    inside a 'p=$(command -v any); PATH=/tmp HOME=/tmp USER=root $p env'
check "nor by the wire" never_says 'LD_PRELOAD|EVIL' -- plugin a raw any \
    "$(framed '{"action":"exec","args":["env"],"cwd":"/home/dev/project","env":{"LD_PRELOAD":"/tmp/x","EVIL":"1"}}')"

# Others' sockets.
for path in "$run/broker.sock" "$run/sessions" "$run/sessions/$b".* "/proc/$pid/root$run/broker.sock" "$state/audit"; do
    check "on the host there is ${path##*/}" test -e "$path"
    check "a sandbox has it not" fails inside a "ls $path"
    check "nor has a tool's" fails inside a "any ls $path"
done
check "a sandbox cannot change its own" fails inside a 'touch /run/rcc/plugins/x || rm /run/rcc/plugins/any.sock || ln -s x /run/rcc/plugins/bin/x'
check "a tool has no sockets of plugins at all" fails inside a 'any ls /run/rcc/plugins'
check "no process of the host's is seen by a tool" [ "$(inside a 'any sh -c "ls -d /proc/[0-9]* | wc -l"')" -lt 30 ]

# Floods, from one of them; the other one's calls go on.
prompt() { # a call in the other sandbox, well within a second
    local start=${EPOCHREALTIME/./}
    inside b 'any true' && ((${EPOCHREALTIME/./} - start < 1500000)) || { echo "$(((${EPOCHREALTIME/./} - start) / 1000)) ms"; return 1; }
}
inside b 'any true' >/dev/null
check "a call is prompt" prompt
inside a "plugin silent any 300 8 >/tmp/silent 2>&1 & plugin silent canary 300 8 >/tmp/silenter 2>&1 &
    for n in 1 2 3; do plugin raw any 000fffff7b >/dev/null 2>&1 & done
    (while :; do plugin raw any ffffffff >/dev/null 2>&1; done) & for n in 1 2; do any yes >/dev/null & done" >/dev/null
sleep 2
check "so it is while the other one has 300 connections that say nothing, and floods" prompt
check "it takes no more clients of a session than it has places" [ "$(ls "/proc/$pid/fd" | wc -l)" -lt 400 ]
check "the flood was one" says 'holding|refused' 'holding|refused' -- inside a 'cat /tmp/silent; echo; cat /tmp/silenter'
check "the broker has not grown" [ "$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")" -lt 200000 ]
inside a 'kill $(jobs -p) 2>/dev/null; pkill yes; pkill any; true' >/dev/null 2>&1
check "when it is over, calls are taken again" within 15 inside a 'any true'

size() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; }
before=$(size)
check "signals are taken no faster than they are passed on" says '^sent [0-9]{5,6}$' -- inside a 'plugin signals any 6'
check "so they are held nowhere" [ $(($(size) - before)) -lt 8000 ]
check "a tool that stops what runs it, again and again, holds up nobody" says '^again$' '^stopped$' -- inside a '
    any sh -c "while kill -STOP \$PPID; do echo stopped; sleep 0.02; done" >/tmp/stops 2>&1 & stops=$!
    sleep 1; any echo again; kill -9 $stops; head -1 /tmp/stops'
check "and its sandbox goes on" inside a 'any true'

# A disk that is full: what cannot be put on record is not done.
fill() { dd if=/dev/zero of=$state/filler bs=64k >/dev/null 2>&1 || true; while printf x >>$state/filler; do :; done 2>/dev/null; }
fill
# What is left of the journal's last page has room for an entry or two.
check "nothing is done that cannot be recorded" says 'recorded' 'space' -- \
    exits 126 inside a 'for n in 1 2 3; do rm -f made; any sh -c "touch made # $(head -c 1900 /dev/zero | tr "\0" x)"; done'
check "it was not" fails inside a 'test -e made'
rm $state/filler
check "with space again it is" within 10 inside a 'any true'
check "and the journal is whole" says 'whole' -- rcc plugin logs --verify

# The network of a tool is its profile's, and guarded as a sandbox's is.
check "a tool reaches what is public, and nothing else" reach -- as-user dev rcc run --profile offline -- any
check "a tool offline reaches nothing" reach --none -- as-user dev rcc run -- still
denied() { inside a 'any sh -c "exec 3<>/dev/tcp/192.168.77.20/443"; any /usr/bin/python3 -c "import socket; socket.create_connection((\"192.168.77.20\", 443), 2)"' >/dev/null 2>&1; as-user dev rcc denials | grep -q -- '--any'; }
check "what is denied is told to be its" within 10 denied
beat=$(token)
inside a "any /usr/bin/python3 -c $(printf %q "$(<"$lib/beat.py")") $beat 203.0.113.10 443 >/dev/null 2>&1 &" >/dev/null
arrives() { (($(arrived "$beat") > 0)); }
check "a tool sends" within 15 arrives
touch "/run/$beat"
service_stop
nft delete table inet rcc
sleep 1
check "without the rules it is cut" fails beating "$beat"
check "and no call is made" says 'rules|firewall|network' -- fails inside b 'any true'
service_start
check "with them again it is" within 20 inside b 'any true'

# Killed.
# shellcheck disable=SC2046 # numbers
kill -9 $(pgrep -f plugin-chamber)
check "a tool's sandbox that is killed is made again" within 10 inside a 'any true'
inside a 'any sleep 100; echo $? >/tmp/slept' >/dev/null 2>&1 &
waiting=$!
running() { rcc plugin status | grep -qE '^any +exec +1 '; }
check "a call runs" within 10 running
check "one of them is stopped by its user" rcc plugin stop canary
kill -9 "$pid"
check "a broker that is killed is told, with what to do" says 'any: ' 'rcc plugin status' -- exits 125 inside b 'any true'
wait $waiting
check "a call that ran is told to have ended" [ "$(inside a 'cat /tmp/slept')" = 125 ]
check "the sandbox goes on" [ "$(inside a 'echo here')" = here ]
check "and has its plugins again, by another broker" within 10 inside a 'any true'
check "so has the other one" within 10 inside b 'any true'
check "which is one" [ "$(pgrep -u dev -cf 'plugin start --passing')" = 1 ]
check "what was stopped does not come back with it" says "the plugin 'canary' is stopped" 'rcc plugin start canary' -- exits 126 inside a 'canary true'
check "until its user says so" rcc plugin start canary
check "and then it does" inside a 'canary true'
check "of the first one's sandboxes nothing is left" fails pgrep -f "plugin-chamber $pid\$"
check "a call is as before" [ "$(inside a 'echo text | any cat')" = text ]
check "the journal goes on, and is whole" says 'whole' -- rcc plugin logs --verify
printf 'canary\nca' >$state/disabled
kill -9 "$(broker)"
check "where it is not known what was stopped, all is" within 10 says "$state/disabled, which says what is stopped" 'plugin start' -- exits 126 inside b 'any true'
check "the status says so" says '^any .*disabled, which says what is stopped' -- rcc plugin status
check "what its user starts is started" rcc plugin start any
check "and is used" inside b 'any true'
check "and nothing else, by the next broker either" says "the plugin 'canary' is stopped" -- exits 126 inside a 'canary true'
rcc plugin start canary
pid=$(broker)
inside b 'any sh -c "while :; do echo x >>src/ticks; sleep 0.1; done" &' >/dev/null 2>&1
ticking() { local before; before=$(stat -c %s /home/dev/shop/src/ticks) && sleep 0.5 && (($(stat -c %s /home/dev/shop/src/ticks) > before)); }
check "a call of the other session runs" within 10 ticking
kill -9 "${launchers[b]}"
wait "${launchers[b]}" 2>/dev/null
gone() { ! rcc plugin status | grep -q "^$b " && ! ls "$run/sessions" | grep -q "^$b\."; }
check "a launcher that is killed takes its session with it" within 10 gone
check "and the calls of it" within 10 fails ticking
check "the other session stays" inside a 'any true'
check "a broker that is told to end ends, and is not started again" rcc plugin stop
sleep 2
check "so nothing of it is left" fails pgrep -u dev -f 'plugin start|plugin-chamber'
check "a sandbox is told what is missing" says 'any: |no plugin' -- fails inside a '/run/rcc/plugins/bin/any true || RCC_PLUGINS=/run/rcc/plugins bash -c "exec -a any /run/rcc/bin/rcc true"'
check "a new one has plugins" rcc run -- any true
check "what was on record is still" says 'whole' -- rcc plugin logs --verify
