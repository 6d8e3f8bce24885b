# Two sandboxes that root paired: directly while the relay is down, by the relay when it runs, and nobody else.
# shellcheck source=/dev/null
. "$lib/relay"
ready
cp -a /home/dev/project /home/dev/shop
cp -a /home/dev/project /home/dev/third
install -d -o dev -g dev /home/dev/.config/rcc
printf '[relay]\njoin = "always"\nrate_limit = 6000\n' >/home/dev/.config/rcc/config.toml

rcc() { as-user dev rcc "$@"; }
start() { rcc relay start --detach >/run/start; }
root_says() { cat >>/etc/rcc/config.toml; }

sandbox alone dev project
check "not paired, and without a relay, a sandbox is told at once what is missing" \
    says 'no relay is running' 'rcc relay start. there' -- exits 125 inside alone 'timeout 5 rcc relay send project:shop x'
check "it has no directory of pairs" fails inside alone 'ls /run/rcc/pairs'
leave alone

check "a user cannot pair" says 'relay.pair' 'not allowed in this file' "root's /etc/rcc/config.toml" -- \
    exits 125 as-user dev sh -c 'mkdir -p ~/x/rcc && printf "[[relay.pair]]\n" >~/x/rcc/config.toml && cd ~/project && XDG_CONFIG_HOME=~/x rcc run -- true'
printf '[[relay.pair]]\nname = "mine"\none.project = "/home/dev/project"\nother.project = "/home/dev/third"\n' >/home/dev/project/.rcc.toml
check "nor can a project" says 'a project can only keep its sandboxes away' '/etc/rcc/config.toml' -- exits 125 rcc run -- true
rm /home/dev/project/.rcc.toml

root_says <<'ROOT'

[[relay.pair]]
name = "project-shop"
one = { project = "/home/dev/project" }
other = { project = "/home/dev/shop" }
kinds = ["message", "response"]
ROOT
check "what a run would have is in its plan" says '"project-shop"' '/run/rcc/pairs' -- rcc run --dry-run -- true
sandbox a dev project
sandbox b dev shop
sandbox c dev third
session() { inside "$1" 'echo $RCC_SESSION' | tr -d '\n'; }
a=$(session a) b=$(session b)
pair=/run/rcc/pairs/sock

check "a message goes over without a relay" says 'sent directly to project:shop' 'no relay is running' -- \
    inside a "rcc relay send project:shop 'in /home/dev/project is a field'"
check "it comes with the sender that the pair is, and without the host's path" \
    says "\"from\": \{\"session\": \"$a\", \"project\": \"project\", \"user\": \"dev\", \"uid\": 4242\}" '"text": "in \[project\] is a field"' -- \
    inside b "relay $pair '{\"type\":\"subscribe\"}' take"
check "each by its tools, too" says '^Sent directly to ' 'the relay is not running' -- \
    inside b "mcp 'send_message={\"to\":\"$a\",\"text\":\"which one?\"}'"
check "read once" says "^\[rcc relay\] message [0-9a-f]{32} from session:$b \(project shop, user dev\)" '^> which one' -- inside a "mcp read_inbox"
check "and not twice" says 'No message waits' -- inside a "mcp read_inbox"
check "they see each other and nobody else" says "$a" "$b" -- inside a 'rcc relay session list'
check "not the third one" never_says third -- inside a 'rcc relay session list'
check "nor is that one reached" says 'no pair leads to project:third' -- fails inside a 'rcc relay send project:third x'
check "the third one has no way in" says 'no relay is running' -- exits 125 inside c 'rcc relay send project:shop x'
check "what the pair does not carry is refused" says 'no pair carries prompt' -- fails inside a 'rcc relay send project:shop --kind prompt x'
check "code goes nowhere" says not-allowed -- exits 1 inside a "relay $pair '{\"type\":\"eval\",\"session_id\":\"$b\",\"code\":\"1\"}'"
check "nobody poses as the other" says unauthenticated -- \
    exits 1 inside a "relay $pair '{\"type\":\"register\",\"internal_id\":\"$b\"}'"
check "what takes a relay says so" says 'takes the relay' -- fails inside a 'rcc relay send project:shop --in 1h x'

# What lies outside of every sandbox.
run=/run/rcc/4242
check "on the host the ends meet where nobody else comes" \
    [ "$(stat -c '%a %U' $run/pairs/project-shop/{1,2}/sock $run/pairs/project-shop/1 | tr '\n' ' ')" = "600 dev 600 dev 700 dev " ]
theirs=$(echo $run/direct/"$b".*)
check "the other's own socket is there" [ -S "$theirs/sock" ]
for path in $run/pairs/project-shop/{1,2}/sock "$theirs/sock"; do
    check "a sandbox does not reach ${path#"$run"/}" says 'No such file' -- exits 2 inside c "relay $path '{\"type\":\"inbox\"}'"
    check "nor does one of the pair" says 'No such file' -- exits 2 inside a "relay $path '{\"type\":\"inbox\"}'"
done
for attempt in 'touch /run/rcc/pairs/x' 'rm -f /run/rcc/pairs/sock' 'mv /run/rcc/pairs/sock /tmp/' 'ln -sfn /tmp/x /run/rcc/pairs/sock' \
    'mount -o remount,rw /run/rcc/pairs' 'umount /run/rcc/pairs'; do
    check "it cannot: $attempt" fails inside a "$attempt"
done
check "another user of the host does not reach it" says 'Permission denied' -- \
    exits 2 setpriv --reuid 4444 --regid 4444 --clear-groups /usr/bin/python3 -c "$(<"$lib/relay.py")" $run/pairs/project-shop/1/sock '{"type":"register","internal_id":"shop-1"}'
sandbox again dev project
check "a second sandbox of the project starts without the pair, and says so" says 'another sandbox of this project' -- cat /run/again.err
check "it has no socket of it" fails inside again 'ls /run/rcc/pairs'
leave again

# Audited at both ends.
check "what passed is on record at one end" says 'in \[project\] is a field' -- rcc relay audit --pair project-shop
check "and what was refused" says 'refused .*no pair carries prompt' -- rcc relay audit --pair project-shop
check "both chains verify" says 'whole' -- rcc relay audit --pair project-shop --verify
audits=/home/dev/.local/share/rcc/relay/pairs/project-shop
check "each end has its own" [ "$(grep -l 'is a field' $audits/{1,2}/*.jsonl | wc -l)" = 2 ]
check "the user's eyes alone" [ "$(stat -c '%a %U' $audits/1)" = "700 dev" ]

# The relay comes, goes and comes again. Who was there before it goes on directly; who comes with it takes it.
start
leave a
leave b
sandbox d dev project
sandbox e dev shop
a=$(session d) b=$(session e)
check "with a relay it is the relay's" says 'sent to project:shop' -- inside d "rcc relay send project:shop 'by the relay'"
check "and nothing goes past it" says 'the relay is running' -- exits 1 inside d "relay $pair '{\"type\":\"send\",\"to\":\"$b\",\"text\":\"past it\"}'"
rcc relay stop
gone() { ! rcc relay status; }
check "it is stopped" within 10 gone
check "the same two go on directly" says "sent directly to session:$a" -- inside e "rcc relay send $a 'past it'"
check "it is read where it came" says '^> past it' -- inside d "mcp read_inbox"
start
check "the relay is back: it is the relay's again" says "sent to session:$b" -- inside d "rcc relay send $b 'back'"
check "what came before by it is there, too" says '^> by the relay' '^> back' -- inside e "mcp read_inbox"
rcc relay stop
check "it is stopped again" within 10 gone

leave e
check "who has left is told of at once, and nothing is kept" says 'is not there to be reached directly' -- fails inside d 'rcc relay send project:shop x'
check "its socket is gone" [ ! -e $run/pairs/project-shop/2/sock ]
kill -9 "${launchers[d]}"
wait "${launchers[d]}" 2>/dev/null
nothing_left() { [[ ! -e $run/pairs/project-shop/1/sock && -z $(ls $run/direct) ]] || [[ $(ls $run/direct) == third-* ]]; }
check "it goes with a launcher that was killed" within 20 nothing_left
sandbox f dev project
sandbox g dev shop
check "those that come next are paired again" says 'sent directly' -- inside f 'rcc relay send project:shop x'
leave f
leave g
leave c
empty() { [[ -z $(ls $run/direct) ]]; }
check "nothing is left" within 10 empty

# Two users: each end is its user's, and nobody else's.
for user in mate:4343 guest:4444; do
    echo "${user%:*}:x:${user#*:}:${user#*:}:,,,:/home/${user%:*}:/bin/bash" >>/etc/passwd
    echo "${user%:*}:x:${user#*:}:" >>/etc/group
    install -d -m 0700 "/home/${user%:*}" "/home/${user%:*}/.config/rcc"
    printf '[relay]\njoin = "always"\n' >"/home/${user%:*}/.config/rcc/config.toml"
    cp -a /home/dev/project "/home/${user%:*}/"
    chown -R "${user#*:}:${user#*:}" "/home/${user%:*}"
done
root_says <<'ROOT'

[[relay.pair]]
name = "us"
one = { project = "/home/dev/project", user = "dev" }
other = { project = "/home/mate/project", user = "mate" }
ROOT
/usr/local/bin/rcc firewall reload || broken "the service reads the configuration again" /run/service.log
warned() { grep -q 'the pair us is two users., and there is no group rcc-agents' /run/service.log; }
check "without their group two users have no place to meet, and root is told" within 10 warned
sandbox h dev project --profile offline
check "the sandbox starts without that pair, and says so" says 'without the pair us: .*sudo rcc init' -- cat /run/h.err
leave h
groupadd --system rcc-agents
gpasswd --add dev rcc-agents >/dev/null
gpasswd --add mate rcc-agents >/dev/null
/usr/local/bin/rcc firewall reload
made() { [[ $(stat -c '%a %U %G' /run/rcc/pairs/us/{1,2} | tr '\n' ' ') == "2750 dev rcc-agents 2750 mate rcc-agents " ]]; }
check "with it the service makes each a directory" within 10 made
sandbox i dev project --profile offline
sandbox j mate project --profile offline
check "they meet there" [ "$(stat -c '%a %U %G' /run/rcc/pairs/us/2/sock)" = "660 mate rcc-agents" ]
check "a message goes from one user's to the other's" says 'sent directly to project:project' -- inside j 'rcc relay send project:project "from /home/mate"'
check "with the sender whom the kernel names" says '"user": "mate", "uid": 4343' '"text": "from ~"' -- inside i "relay $pair '{\"type\":\"subscribe\"}' take"
check "and back" says 'sent directly' -- inside i "rcc relay send $(session j) yes"
check "neither can write where the other listens" fails as-user dev touch /run/rcc/pairs/us/2/x
check "a third user does not get there" says 'Permission denied' -- exits 2 outside guest /run/rcc/pairs/us/1/sock '{"type":"register","internal_id":"project-1"}'
gpasswd --add guest rcc-agents >/dev/null
check "and in the group is not heard" says 'unauthenticated' -- exits 1 outside guest /run/rcc/pairs/us/1/sock '{"type":"register","internal_id":"project-1"}'
sandbox k guest project --profile offline
check "a third user's sandbox of a project called alike is not paired" fails inside k 'ls /run/rcc/pairs'
leave i
leave j
leave k
