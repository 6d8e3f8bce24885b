# The system's relay: users who do not reach each other, until root's file lets one way through.
# shellcheck source=/dev/null
. "$lib/relay"
ready

# Two more users: one who is to use the relay, and one who is not.
for user in mate:4343 guest:4444; do
    echo "${user%:*}:x:${user#*:}:${user#*:}:,,,:/home/${user%:*}:/bin/bash" >>/etc/passwd
    echo "${user%:*}:x:${user#*:}:" >>/etc/group
    install -d -m 0700 "/home/${user%:*}"
    cp -a /home/dev/project "/home/${user%:*}/"
    chown -R "${user#*:}:${user#*:}" "/home/${user%:*}"
done

check "without systemd nothing is installed, and it says how to go on" \
    says 'systemd, which does not run here' 'rcc relay start --system' rcc-agents /run/rcc-relay -- \
    exits 125 rcc relay install --system --member dev
check "nor does an ordinary user become it" says 'runs as rcc-relay' 'systemctl start rcc-relay' -- \
    exits 125 as-user dev rcc relay start --system
check "nothing of it was done" fails getent group rcc-agents
check "it is root's to install" says 'sudo rcc relay install --system' -- exits 125 as-user dev rcc relay install --system
check "its status says what starts it" says 'no relay is running' 'systemctl start rcc-relay' -- exits 125 as-user dev rcc relay --system status

# By hand, as the documentation has it.
groupadd --system rcc-agents
useradd --system --no-create-home --home-dir /var/lib/rcc-relay --shell /usr/sbin/nologin --gid rcc-agents rcc-relay
gpasswd --add dev rcc-agents >/dev/null
gpasswd --add mate rcc-agents >/dev/null
install -d -m 0755 -o rcc-relay -g rcc-agents /run/rcc-relay
install -d -m 0700 -o rcc-relay -g rcc-agents /var/lib/rcc-relay
start() {
    (umask 0077 && exec env -i setpriv --reuid rcc-relay --regid rcc-agents --clear-groups --inh-caps=-all \
        --bounding-set=-all --no-new-privs /usr/local/bin/rcc relay start --system) >>/run/relay.log 2>&1 &
    relay=$!
    within 10 as-user dev rcc relay --system status || broken "the system's relay starts" /run/relay.log
}
start
socket=/run/rcc-relay/relay.sock
check "it runs as a user of its own" [ "$(stat -c '%U' "/proc/$relay")" = rcc-relay ]
check "a member uses it without being asked which" says "the system's relay, rcc .*, process $relay" -- as-user dev rcc relay status
check "its socket is for the group alone" [ "$(stat -c '%a %U %G' $socket)" = "660 rcc-relay rcc-agents" ]
check "who is not in it cannot connect" says 'permission denied' 'usermod -aG rcc-agents' -- exits 125 as-user guest rcc relay --system status
check "by no program" says 'Permission denied' -- exits 2 outside guest $socket '{"type":"query","query":"list_sessions"}'
check "a run that would join if it could starts without it" never_says RCC_RELAY -- as-user guest rcc run --profile offline -- env
check "one that must does not" says 'permission denied' -- exits 125 as-user guest rcc run --profile offline --relay -- true
check "no member ends it" says 'root stops it' -- exits 125 as-user dev rcc relay --system stop
check "a second one does not start" says 'a relay runs already' -- exits 125 \
    setpriv --reuid rcc-relay --regid rcc-agents --clear-groups /usr/local/bin/rcc relay start --system

sandbox dev dev project --relay --profile offline
sandbox mate mate project --relay --profile offline
sandbox other dev project --relay --profile offline
dev=$(inside dev 'echo $RCC_SESSION') mate=$(inside mate 'echo $RCC_SESSION') other=$(inside other 'echo $RCC_SESSION')
dev=${dev//$'\n'/} mate=${mate//$'\n'/} other=${other//$'\n'/}
send() { echo "relay \$own '{\"type\":\"${3-send}\",\"${4-to}\":\"$1\",\"text\":\"$2\"}'"; }
took() { inside "$1" 'relay $own "{\"type\":\"subscribe\"}" take'; }
inbox() { inside "$1" 'relay $own "{\"type\":\"inbox\",\"all\":true}"'; }

check "one user's sandboxes reach each other" says '"recipients": 1' -- inside dev "$(send "$other" 'between us')"
check "and the person" says '"recipients": 1' -- inside dev "$(send user 'for dev alone')"
check "that came" says "\"session\": \"$dev\".*" '"text": "between us"' -- took other
check "another user's sandbox is not there for them" says no-recipient 'there is no session' -- exits 1 inside dev "$(send "$mate" x)"
check "as one that never was" says no-recipient 'there is no session' -- exits 1 inside dev "$(send nobody-0000 x)"
check "nor they for it" says no-recipient -- exits 1 inside mate "$(send "$dev" x)"
check "a project by the name of another user's is one's own" says '"recipients": 1' -- inside mate "$(send project:project 'to my own')"
check "nobody else gets that" never_says 'to my own' -- inbox other
for viewer in "outside mate $socket" "inside mate"; do
    ask='{"type":"query","query":"list_sessions"}'
    [[ $viewer != inside* ]] || ask="relay \$own '$ask'"
    # shellcheck disable=SC2086 # two words
    check "$viewer: no session of dev's is listed" never_says "$dev|$other" -- $viewer "$ask"
done
check "a session's path is nobody else's business" says no-recipient -- \
    exits 1 outside mate $socket "{\"type\":\"query\",\"query\":\"session_path\",\"session_id\":\"$dev\"}"
its=$(echo "/run/rcc-relay/sessions/$dev".*)/sock
check "its socket takes its own user" says "\"session\": \"$dev\"" -- outside dev "$its" '{"type":"register"}'
check "and no other" says unauthenticated -- exits 1 outside mate "$its" '{"type":"inbox"}'
check "nor is another's name worth anything" says unauthenticated -- \
    exits 1 outside mate $socket "{\"type\":\"register\",\"internal_id\":\"$dev\"}"
check "nobody else ends it" says no-recipient -- exits 1 outside mate $socket "{\"type\":\"close\",\"session\":\"$dev\"}"
check "nor is it found by the session's name" says 'No such file' -- exits 2 outside mate "/run/rcc-relay/sessions/$dev/sock" '{"type":"inbox"}'
check "nobody lists the sessions' directories" fails as-user mate ls /run/rcc-relay/sessions
check "nor the leases" fails as-user mate ls /run/rcc-relay/leases
# Whoever could lock a lease would keep a session alive, or another one from starting.
check "a session's lease is there" test -e "$(echo "/run/rcc-relay/leases/$dev"*)"
check "nobody locks it by knowing the session's name" fails as-user guest flock -n -s "/run/rcc-relay/leases/$dev" true
check "one user's inbox is empty" says '"messages": \[\]' -- outside mate $socket '{"type":"inbox","all":true}'
check "while there is something in the other's" says 'for dev alone' -- as-user dev rcc relay inbox
check "the audit is for root's eyes" says 'permission denied' 'sudo' -- exits 125 as-user dev rcc relay --system audit
check "who reads it all" says 'between us' 'for dev alone' -- rcc relay --system audit
check "nobody writes to what it keeps" fails as-user mate ls /var/lib/rcc-relay
check "there are no worktables" says 'no worktables: send messages' -- \
    exits 1 inside dev "relay \$own '{\"type\":\"put\",\"group\":\"x\",\"name\":\"x\",\"text\":\"x\"}'"

# One way, and only these kinds.
config <<'END'
users = ["dev", "mate"]

[[relay.allow]]
from = "user:dev"
to = "user:mate"
kinds = ["message", "prompt"]
END
check "what root's file says holds when it is read, not before" says no-recipient -- exits 1 inside dev "$(send "$mate" x)"
check "the unit's reload is systemd's to call" says 'systemctl' -- exits 125 rcc relay reload
MAINPID=$relay rcc relay reload
opened() { inside dev "$(send "$mate" 'from the other side')"; }
check "then one way is open" within 10 opened
check "the sender is the one who sent it, of another user" \
    says "\"from\": \{\"session\": \"$dev\", \"project\": \"project\", \"user\": \"dev\", \"uid\": 4242\}" 'from the other side' -- took mate
inside dev "$(send "$mate" 'and again')" >/dev/null
check "an agent there is told whose it is" says "from session:$dev \(project project, user dev\)" '^> and again' 'untrusted input' -- \
    inside mate 'mcp read_inbox'
check "for the kinds that are named" inside dev "$(send "$mate" x prompt session_id)"
check "and no other" says not-allowed 'relay.allow' -- exits 1 inside dev "relay \$own '{\"type\":\"command\",\"session_id\":\"$mate\",\"name\":\"clear\"}'"
check "the other way is closed" says no-recipient -- exits 1 inside mate "$(send "$dev" x)"
check "who may write sees whom" says "$mate" -- inside dev 'relay $own "{\"type\":\"query\",\"query\":\"list_sessions\"}"'
check "who may not does not" never_says "$dev" -- outside mate $socket '{"type":"query","query":"list_sessions"}'
check "the audit names what was refused" says "refused +$mate" -- rcc relay --system audit
echo 'users = 7' >/etc/rcc/config.toml
kill -HUP "$relay"
says_so() { grep -q 'stays as it was' /run/relay.log; }
check "a file with a mistake changes nothing, and the log says so" within 10 says_so
check "the way is open still" inside dev "$(send "$mate" x)"
config <<<'users = ["dev", "mate"]'

# Killed and started, while the sandboxes of both go on.
kill -9 "$relay"
wait "$relay" 2>/dev/null
start
check "after kill -9 a sandbox is who it was" says "\"session\": \"$mate\"" -- inside mate 'relay $own "{\"type\":\"register\"}"'
check "what the file says now holds" says no-recipient -- exits 1 inside dev "$(send "$mate" x)"
check "root's audit is whole" says whole -- rcc relay --system audit --verify
leave mate
leave dev
leave other
check "the sessions ended with their sandboxes" says 'sessions +0' -- as-user dev rcc relay status
kill "$relay"
wait "$relay"
ended=$?
check "it ends well" [ "$ended" = 0 ]
