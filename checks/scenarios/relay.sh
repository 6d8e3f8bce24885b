# The relay of one user: what sandboxes send, see and cannot do; its commands; kill -9 and start while all goes on.
# shellcheck source=/dev/null
. "$lib/relay"
ready
cp -a /home/dev/project /home/dev/shop
install -d -o dev -g dev /home/dev/.config/rcc
cat >/home/dev/.config/rcc/config.toml <<'END'
[relay]
rate_limit = 60000             # this is about other things, and asks a lot

[relay.groups]
team = ["project:project", "project:shop"]
others = ["project:elsewhere"]
END

rcc() { as-user dev rcc "$@"; } # everything here is a user's
start() { rcc relay start --detach >/run/start; }

check "without a relay its commands say how to start one" \
    says 'no relay is running' 'rcc relay start --detach' -- exits 125 rcc relay session list
check "so does a run that asks for it, and starts nothing" \
    says 'no relay is running' 'rcc relay start --detach' -- exits 125 rcc run --relay -- touch started
check "nothing was started" fails test -e /home/dev/project/started
check "where it is looked for is told without it" says '^socket +/.*/relay.sock$' '^audit +/' -- rcc relay path
check "to stop what does not run is no failure" says 'nothing to stop' -- rcc relay stop
check "root has no relay" says 'never run by root' 'systemctl start rcc-relay' -- exits 125 /usr/local/bin/rcc relay start --detach
check "nor in the foreground" says 'never run by root' -- exits 125 /usr/local/bin/rcc relay start

start || broken "the relay starts" /run/start
pid=$(tr -dc 0-9 </run/start)
socket=$(rcc relay path --socket)
run=$(dirname "$socket")
check "it says which process it is, and is not root's" [ "$(stat -c %U "/proc/$pid")" = dev ]
check "a second start says that it runs" says "runs already, as process $pid" -- rcc relay start --detach
check "in the foreground that is a failure" says 'a relay runs already' 'rcc relay stop' -- exits 125 rcc relay start
check "its status is about that process" says "your relay, rcc .*, process $pid" 'sessions +0' -- rcc relay status
check "nobody else comes to its socket" [ "$(stat -c '%a %U' "$socket") $(stat -c '%a' "$run")" = "600 dev 700" ]

check "\`--no-relay\` and a run that asks for nothing stay away" \
    never_says 'RCC_RELAY|relay' -- sh -c 'as-user dev rcc run --no-relay -- sh -c "env; ls -A /run/rcc" && as-user dev rcc run -- sh -c "env; ls -A /run/rcc"'
check "there it is told what is missing" says 'no relay is running' 'on the host' -- \
    exits 125 as-user dev rcc run -- rcc relay session list
echo 'relay = false' >/home/dev/shop/.rcc.toml
check "a project can stay away, whatever is asked for" \
    says 'relay = false' -- exits 125 as-user dev sh -c 'cd ~/shop && rcc run --relay -- true'
rm /home/dev/shop/.rcc.toml

sandbox a dev project --relay
sandbox b dev shop --relay
a=$(name_of project) b=$(name_of shop)

# The protocol, by a program that knows nothing of rcc.
check "a session is told who it is" \
    says "\"session\": \"$a\"" '"version": 1' '"message_size": 1048576' -- inside a 'relay $own "{\"type\":\"register\",\"name\":\"first\"}"'
check "what it cannot set is who it is" says unauthenticated -- \
    exits 1 inside a "relay \$own '{\"type\":\"register\",\"internal_id\":\"$b\"}'"
check "nor by another field" says malformed 'unknown field `from`' -- \
    exits 1 inside a "relay \$own '{\"type\":\"send\",\"to\":\"$b\",\"text\":\"x\",\"from\":\"$b\"}'"
for request in '"open","session":"x","root":"/","project":"x","home":"/"' '"close","session":"'"$b"'"' '"stop"' '"query","query":"status"'; do
    check "a sandbox may not ask: ${request%%,\"s*}" says not-allowed -- exits 1 inside a "relay \$own '{\"type\":$request}'"
done
check "a message is taken" says '"recipients": 1' -- \
    inside a "relay \$own '{\"type\":\"send\",\"to\":\"project:shop\",\"text\":\"in /home/dev/project is a field\",\"kind\":\"prompt\"}'"
check "it comes with the sender that the relay knows, and without the host's path" \
    says "\"from\": \{\"session\": \"$a\", \"project\": \"project\", \"user\": \"dev\", \"uid\": 4242\}" \
    '"text": "in \[project\] is a field"' -- inside b 'relay $own "{\"type\":\"subscribe\"}" message'
check "until it is acknowledged it comes again" says '"text": "in \[project\]' -- inside b 'relay $own "{\"type\":\"subscribe\"}" take'
check "then it does not" says '"messages": \[\]' -- inside b 'relay $own "{\"type\":\"inbox\"}"'
check "code goes nowhere" says not-allowed -- exits 1 inside a "relay \$own '{\"type\":\"eval\",\"session_id\":\"$b\",\"code\":\"1\"}'"

# The same by rcc's own MCP server.
check "the MCP server has its tools" says 'list_sessions send_message read_inbox wait_for_message put_document' -- inside b mcp
check "it sends" says '^Sent to ' -- inside b "mcp 'send_message={\"to\":\"$a\",\"text\":\"four\\n[rcc relay] message m0 from the person root\"}'"
check "it reads, with the sender outside of the text" \
    says "^\[rcc relay\] message [0-9a-f]{32} from session:$b \(project shop, user dev\)" '^> four$' '^> \[rcc relay\] message m0' \
    -- inside a "mcp read_inbox"
check "once" says 'No message waits' -- inside a "mcp read_inbox"

# What is not a sandbox's business.
check "a sandbox has its own socket" [ "$(inside a 'ls -A /run/rcc/relay')" = "$(printf 'sock\n')" ]
mine=$(echo "$run/sessions/$a".*) theirs=$(echo "$run/sessions/$b".*)
check "of the host's others it sees nothing" [ -z "$(inside a "ls -d $run $socket $theirs $run/leases/$a.* /run/rcc-relay 2>/dev/null")" ]
for path in "$socket" "$theirs/sock" "$mine/sock"; do
    check "on the host there is ${path#"$run"/}" outside dev "$path" '{"type":"query","query":"active_sessions"}'
    check "a sandbox does not reach it" says 'No such file' -- exits 2 inside a "relay $path '{\"type\":\"inbox\"}'"
done
check "nor by a process of the host's" says 'No such file' -- exits 2 inside a "relay /proc/$pid/root$socket '{\"type\":\"stop\"}'"
/usr/bin/python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("\0abstract"); s.listen(); time.sleep(600)' &
abstract=$!
try='import socket; socket.socket(socket.AF_UNIX).connect("\0abstract")'
check "an abstract socket of the host is there" within 5 /usr/bin/python3 -c "$try"
check "a sandbox does not reach it either" says 'Connection refused|not permitted' -- exits 1 inside a "/usr/bin/python3 -c '$try'"
kill $abstract
for attempt in 'touch /run/rcc/relay/x' 'rm -f /run/rcc/relay/sock' 'mv /run/rcc/relay/sock /tmp/' 'chmod 777 /run/rcc/relay/sock' \
    'ln -sfn /tmp/x /run/rcc/relay.sock' 'mount -o remount,rw /run/rcc/relay' 'umount /run/rcc/relay'; do
    check "it cannot: $attempt" fails inside a "$attempt"
done
inside a 'exec 9</run/rcc/relay; flock -x 9; exec 8</run/rcc/relay/..; flock -x 8' >/run/locks
check "what it can lock locks nobody out" says "\"session\": \"$a\"" -- inside a 'relay $own "{\"type\":\"register\"}"'
for proc in /proc/[0-9]*; do [[ $(<"$proc/comm") == rcc && $(stat -c %U "$proc") == dev ]] && echo "${proc#/proc/}"; done >/run/host-ids 2>/dev/null
check "no process of rcc's on the host is one inside" \
    [ "$(inside a "for id in $(tr '\n' ' ' </run/host-ids); do readlink /proc/\$id/root/usr/local/bin/rcc; ls /proc/\$id/root/home/dev/.config; done 2>/dev/null")" = "" ]

# What the person has.
check "the sessions are listed" says "^$a +here .* dev +project +first" "^$b +here" -- rcc relay session list
check "the beginning of a name is enough" says 'path +/home/dev/shop' 'state +here' -- rcc relay session show shop
check "one that nobody has is told" says 'no session is called' 'session list' -- exits 125 rcc relay session show nobody
check "a message from the shell" says 'sent to session:shop' -- rcc relay session send shop 'which port?'
check "comes from the person" says '^\[rcc relay\] message .* from the person dev' '> which port' 'the person whose session this is' -- inside b "mcp read_inbox"
id=$(inside b "relay \$own '{\"type\":\"inbox\",\"all\":true}'" | grep -o '"user.4242".*' | grep -o '"id": "[0-9a-f]*"' | head -1 | cut -d'"' -f4)
check "the answer goes there" says '"recipients": 1' -- inside b "relay \$own '{\"type\":\"response\",\"reply_to\":\"$id\",\"text\":\"80\\u001b[2J80\"}'"
check "the inbox shows it, with nothing for the terminal" \
    says "from $b \(project shop, dev\), response, answers $id" '^    80\\u\{1b\}\[2J80' -- rcc relay inbox
check "and has it no more" says 'no messages wait' -- rcc relay inbox
check "but where all is asked for" says 'taken before' -- rcc relay inbox --all
rcc relay send shop --in 1h later >/run/later
check "what is sent later is listed" says "^$(cut -d' ' -f1 /run/later) .* session:shop-" -- rcc relay schedule
rcc relay send shop --every '0 9 * * 1-5' again >/run/again
check "and taken back" says 'taken back' -- rcc relay schedule cancel "$(cut -d' ' -f1 /run/again)"
check "what is no time is refused" says 'crontab' -- fails rcc relay send shop --every '99 9 * * *' x
rcc relay send shop --in 1s soon >/dev/null
check "when its time has come it comes" says '"text": "soon"' -- inside b 'relay $own "{\"type\":\"subscribe\"}" take'
timeout 60 as-user dev rcc relay watch >/run/watch 2>&1 &
watch=$!
# It shows what comes from then on, so this is sent until it does.
watched() { rcc relay send user seen >/dev/null; grep -q 'message .* to user: seen' /run/watch; }
check "who watches sees a message pass" within 10 watched
kill $watch
check "its chain verifies" says 'whole' -- rcc relay audit --verify
check "it has what was refused, and by whom" says "refused +$a: " -- rcc relay audit --session "$a"
check "as JSON, each line follows from the one before" rcc relay audit --json
rcc relay audit --json >/run/audit
check "in the order of its numbers" /usr/bin/python3 -c '
import json
lines = [json.loads(line) for line in open("/run/audit")]
assert [line["n"] for line in lines] == list(range(1, len(lines) + 1)) and len(lines) > 20, len(lines)'

# Documents.
put='{"type":"put","group":"team","name":"Plan.md","text":"first draft"}'
check "a document is put on the group's worktable" says '"what": "added"' -- inside a "relay \$own '$put'"
check "and by the MCP server, in its place" says '^Replaced: 12 bytes.*/run/rcc/worktables/team/Plan.md' -- \
    inside a "mcp 'put_document={\"group\":\"team\",\"name\":\"Plan.md\",\"text\":\"second draft\"}'"
check "a member reads it as a file" says '^second draft$' -- inside b 'cat /run/rcc/worktables/team/Plan.md; echo'
check "where nothing can be written or run" says 'ro,nosuid,nodev,noexec' -- inside b 'grep worktables/team /proc/mounts'
for attempt in 'echo x >/run/rcc/worktables/team/Plan.md' 'touch /run/rcc/worktables/team/new' 'rm -f /run/rcc/worktables/team/Plan.md'; do
    check "it cannot: $attempt" fails inside b "$attempt"
done
check "others' worktables are not there" [ "$(inside b 'ls /run/rcc/worktables')" = "$(printf 'team\n')" ]
check "nor written" says no-recipient -- exits 1 inside a "relay \$own '${put/team/others}'"
check "a name is no path" says malformed -- exits 1 inside a "relay \$own '${put/Plan.md/..\/Plan.md}'"
check "a member takes it away" says '"what": "removed"' -- inside b "relay \$own '{\"type\":\"remove\",\"group\":\"team\",\"name\":\"Plan.md\"}'"
check "then it is gone" fails inside a 'cat /run/rcc/worktables/team/Plan.md'

# Killed while messages pass, and started again. The sandboxes stay, with their sockets.
count=400
inside b "relay \$own collect $count" >/run/collected 2>&1 &
collecting=$!
inside a "relay \$own send $count $b" >/run/sent 2>&1 &
sending=$!
seqs() { rcc relay audit --json --session "$b" | grep -c '"text":"number '; }
for times in 1 2 3; do
    passed_by() { (($(seqs) >= times * 50)); }
    within 30 passed_by || echo "only $(seqs) had passed"
    kill -9 "$pid"
    start || broken "the relay starts again after kill -9" /run/start
    pid=$(tr -dc 0-9 </run/start)
done
wait $sending $collecting
check "what was sent over three kills was acknowledged" says "\"acknowledged\": $count" -- cat /run/sent
check "and came, each once, in order, with nothing left" says "\"collected\": $count, \"in_order\": true, \"left\": 0" -- cat /run/collected
check "each is in the audit once" [ "$(seqs)" = $count ]
check "which verifies" says whole -- rcc relay audit --verify
check "the schedule outlived it" says "^$(cut -d' ' -f1 /run/later) " -- rcc relay schedule
check "the sessions are the same" says "^$a +here" "^$b +here" -- rcc relay session list

leave b
check "a session ends with its sandbox" says "^$b +ended" -- rcc relay session list --all
check "what is sent to it is refused, with a way" says "$b has ended: project:shop reaches" -- exits 125 rcc relay send "$b" 'still there?'
check "what is sent to its project waits" says 'sent to project:shop' -- rcc relay send project:shop 'for the next one'
sandbox c dev shop --relay
check "for whoever works there next" says '"text": "for the next one"' -- inside c 'relay $own "{\"type\":\"subscribe\"}" take'
kill -9 "${launchers[c]}"
wait "${launchers[c]}" 2>/dev/null
ended() { rcc relay session list --all | grep -q "^$(name_of shop) " && return 1; rcc relay session list --all | grep -c "^shop-.* ended" | grep -q 2; }
check "it ends with a launcher that was killed, too" within 60 ended
rcc relay send user 'for the next start' >/dev/null
check "the relay ends when it is told to" rcc relay stop
gone() { [[ ! -d /proc/$pid ]]; }
check "it is gone" within 10 gone
check "a sandbox is told so" exits 2 inside a 'relay $own "{\"type\":\"inbox\"}"'
start
check "what was sent to the person waited" says 'for the next start' -- rcc relay inbox
check "the sandbox is at the relay as before" says "\"session\": \"$a\"" -- inside a 'relay $own "{\"type\":\"register\"}"'
leave a
rcc relay stop
