# Plugins as their user has them: the commands, manifests that come and go, sessions, and when a broker begins and ends.
# shellcheck source=/dev/null
. "$lib/relay"
# shellcheck source=/dev/null
. "$lib/plugins"
ready
cp -a /home/dev/project /home/dev/shop
rcc() { as-user dev rcc "$@"; } # what is not root's is this user's
root() { as-user root rcc "$@"; }
brokers() { pgrep -u "$1" -f 'rcc plugin start|exe plugin start'; }
none() { ! brokers "$1"; }
own=/home/dev/.config/rcc/plugins

# Where there are none.
check "without plugins there is nothing of them in a sandbox" \
    never_says 'plugins' -- rcc run -- sh -c 'env; ls -A /run/rcc; cat /proc/mounts'
check "and no broker was started for it" none dev
check "none are listed, and how to add one is" says 'there are no plugins' 'rcc plugin add' -- rcc plugin list
check "as JSON, that is an empty list" [ "$(rcc plugin list --json)" = "[]" ]
check "checked is nothing" says 'there are no plugins' -- rcc plugin check
check "no broker has no status, and how to start one is told" says 'no broker .* is running' 'rcc plugin start' -- exits 125 rcc plugin status
check "to stop what does not run is no failure" says 'nothing to stop' -- rcc plugin stop
check "nothing was ever logged" says 'no plugin was ever used' -- exits 125 rcc plugin logs
check "nor is there anything to verify" says 'no plugin was ever used' -- exits 125 rcc plugin logs --verify

# Manifests that come with rcc, and others.
check "root adds one for everybody" root plugin add example
check "it is there, and root's" [ "$(stat -c '%U %a' /etc/rcc/plugins/example.toml)" = "root 644" ]
check "it is right" says 'no mistakes' -- rcc plugin check example
check "a call can be judged without being made" says 'allowed' -- rcc plugin check example -- show --verbose
check "and refused" says 'remote delete' -- exits 1 rcc plugin check example -- remote delete x
check "a second time it is not written over" says 'force' -- exits 125 as-user root rcc plugin add example
check "one that nobody made is told" says 'no-such' -- exits 125 rcc plugin add no-such
rm /etc/rcc/plugins/example.toml
check "a user adds none with a credential" says 'root' -- exits 125 rcc plugin add gh
check "nothing was written" fails test -e $own/gh.toml
manifest mine $own <<'TOML'
version = 1
kind = "exec"
summary = "The user's own"
program = "cat"
profile = "offline"
TOML
manifest greedy $own <<'TOML'
version = 1
kind = "exec"
program = "cat"
[credentials.x]
file = "/etc/shadow"
variable = "X"
TOML
chown -R dev:dev /home/dev/.config
check "a user's own is in force, and one with a credential is told" \
    says 'mine +exec +yours +offline +- ' 'cannot use .*/greedy.toml' 'rcc plugin check' -- exits 1 rcc plugin list
check "why is told by a check" says 'credentials' -- exits 1 rcc plugin check greedy
rm $own/greedy.toml

# One that a launcher starts.
check "a session has a wrapper and a socket for each" \
    says '^mine.sock$' '^/run/rcc/plugins/bin/mine$' -- rcc run -- sh -c 'ls /run/rcc/plugins; command -v mine'
check "its broker ends with it" within 10 none dev
check "\`--no-plugins\` does without" \
    never_says 'plugins' -- rcc run --no-plugins -- sh -c 'env; ls -A /run/rcc; cat /proc/mounts; command -v mine || true'
check "and starts none" none dev
credential canary canary-7f3a90c1d2e4b586
anything canary
check "nothing is wrong with what root made" says 'canary +exec +root.s +offline +canary' -- rcc plugin list
sandbox_with a dev project
sandbox_with b dev shop
a=$(sessions_of project) b=$(sessions_of shop)
check "two sandboxes have one broker" [ "$(brokers dev | wc -l)" = 1 ]
check "which is the user's, and ends with the last" says "process $(brokers dev)" 'ends with the last session' "^$a " "^$b " -- rcc plugin status
check "a tool runs where it is called" [ "$(inside b 'cd src && any pwd')" = /home/dev/shop/src ]
check "in a sandbox of its own, which its session alone has" \
    says "^$b +[0-9]+s +any " "^$a +[0-9]+s +- " -- rcc plugin status
check "and writes what it may write there" inside a 'any sh -c "echo new >made" && grep new made'
check "the user's own tool runs" [ "$(inside a 'echo text | mine')" = text ]
check "no other one does" says 'No such file' -- fails inside a 'cat .env; mine /home/dev/.ssh/id_ed25519'
for name in a b; do
    check "a credential is with its tool, and not with the output ($name)" \
        says 'SECRET_TOKEN=\[rcc: credential removed\]' -- inside $name 'canary env'
done

# Manifests while sessions are there.
manifest late <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profile = "offline"
[options]
unlisted = "pass"
TOML
late() { [[ $(inside a 'hash -r; late echo here') == here ]]; }
check "one that comes can be used at once" within 3 late
check "that it is in force is on record" says 'in force +late' -- rcc plugin logs late
manifest late <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profil = "offline"
TOML
wrong() { says 'cannot use /etc/rcc/plugins/late.toml' 'stays in force' -- rcc plugin status; }
check "a mistake in it is told" within 3 wrong
check "where it is, too" says 'profil' '\[/etc/rcc/plugins/late.toml:4:' -- exits 1 rcc plugin check late
check "what it said before stays in force" late
manifest late <<'TOML'
version = 1
kind = "exec"
program = "/usr/bin/env"
profile = "offline"
[options]
unlisted = "pass"
[commands]
allowed = ["true"]
TOML
changed() { says 'not allowed' 'late.toml' -- exits 126 inside a 'late echo here'; }
check "one that changes holds from the next call on" within 3 changed
rm /etc/rcc/plugins/late.toml
removed() { exits 127 inside a '/run/rcc/bin/rcc --version >/dev/null; late true'; }
check "one that goes is gone" within 3 removed
check "what asks for it is told so" says "no plugin 'late'" '/etc/rcc/plugins/late.toml' -- \
    exits 127 inside a 'ln -sf /run/rcc/bin/rcc /tmp/late; RCC_PLUGINS=/run/rcc/plugins /tmp/late true'
check "that it went is on record" says 'removed +late' -- rcc plugin logs late

# Stopped and started by name.
inside a 'any sleep 300; echo $? >/tmp/slept' >/run/slept 2>&1 &
sleeping=$!
running() { rcc plugin status | grep -qE '^any +exec +1 '; }
check "what runs is counted" within 10 running
check "a plugin is stopped" rcc plugin stop any
wait $sleeping
check "what ran of it has ended" [ "$(inside a 'cat /tmp/slept')" != 0 ]
check "it says so, and what to do" says "the plugin 'any' is stopped" 'rcc plugin start any' -- exits 126 inside b 'any true'
check "so does the status" says '^any +exec .*disabled' -- rcc plugin status
check "others go on" [ "$(inside b 'echo text | mine')" = text ]
check "it is started again" rcc plugin start any
check "and is used again" inside a 'any true'
check "one that is not there cannot be stopped" says "there is no plugin 'nothing'" 'rcc plugin list' -- exits 125 rcc plugin stop nothing

# What is on record.
check "a call, with its end" says "called +#[0-9]+ any pwd by $b in /home/dev/shop/src" 'ended +#[0-9]+ 0 after' -- rcc plugin logs
check "a refusal" says "refused .* late echo here by $a.*not allowed" -- rcc plugin logs
check "of one session alone" never_says "by $b" -- rcc plugin logs --session "$a"
check "of one plugin alone" never_says ' any ' -- rcc plugin logs mine
check "as JSON" /usr/bin/python3 -c '
import json, subprocess
lines = [json.loads(line) for line in subprocess.check_output(["as-user", "dev", "rcc", "plugin", "logs", "--json"]).splitlines()]
assert [line["n"] for line in lines] == list(range(1, len(lines) + 1)), lines
assert any(line["event"] == "called" and line["tool"] == "any" and line["args"] == ["pwd"] for line in lines), lines'
timeout 60 as-user dev rcc plugin logs --follow mine >/run/follow 2>&1 &
following=$!
followed() { inside a 'echo x | mine' >/dev/null; grep -q 'called .* mine' /run/follow; }
check "it is followed as it happens" within 10 followed
kill $following
check "it verifies" says 'whole' -- rcc plugin logs --verify

# Root is a user, too.
sandbox_with r root project
check "another user has another broker" [ "$(brokers root | wc -l) $(brokers dev | wc -l)" = "1 1" ]
check "which knows nothing of the first one's sessions" never_says "$a|$b|mine" -- root plugin status
check "root's tools run for root as well" [ "$(inside r 'any pwd')" = /root/project ]
check "what another one's credential is, nobody reads" says 'canary' -- fails inside r 'canary true && false'
leave r
check "that broker ends, and the other one does not" within 10 none root
check "it goes on" inside b 'any true'

# The end of sessions, and one that its user starts.
run=$(runtime)
leave a
check "a session's directory goes with it" says "^$b\.[0-9a-f]{32}$" -- ls "$run/sessions"
check "and its tools' sandboxes" never_says "$a" -- rcc plugin status
leave b
check "the last one ends the broker" within 10 none dev
check "nothing is left of its sandboxes" [ -z "$(pgrep -f plugin-chamber)" ]
rcc plugin start --detach >/run/start || broken "the broker starts" /run/start
pid=$(tr -dc 0-9 </run/start)
check "a second start says that it runs" says "runs already, as process $pid" -- rcc plugin start --detach
check "in the foreground that is a failure" says 'runs already' 'rcc plugin stop' -- exits 125 rcc plugin start
check "nobody else comes to its socket" [ "$(stat -c '%a %U' "$run/broker.sock") $(stat -c '%a %U' "$run")" = "600 dev 700 dev" ]
check "it serves a session, and stays" rcc run -- any true
check "after it" [ "$(broker)" = "$pid" ]
check "it ends when it is told to" rcc plugin stop
check "and is gone" within 5 fails test -e "/proc/$pid"
check "the journal goes on, and verifies" says 'whole' -- rcc plugin logs --verify
journal=$(ls /home/dev/.local/share/rcc/plugins/audit/*.jsonl | head -1)
sed -i '0,/"args":\["pwd"\]/s//"args":["pvd"]/' "$journal"
check "what was changed in it is found" says 'not as it was written' -- exits 125 rcc plugin logs --verify
