# Whoever is no sandbox asks nothing, no profile has another's names, no session another's lease, and only root changes what is open.
. "$lib/names"
config <<'END'
[profiles.work]
allow = [{ domain = "git.corp.test", ports = [443] }]
[profiles.other]
default = "deny"
names = ["listed.test"]
END
knows listed.test 203.0.113.40 && knows db.corp.test 10.1.2.9
ready
useradd --create-home --uid 4343 other 2>/dev/null || true
install -d -o 4343 /home/other/project

# Not a sandbox.
as_nobody() { setpriv --reuid=4343 --regid=4343 --clear-groups -- python3 "$lib/ask.py" @127.82.67.53 +patience=1 "$@"; }
check "control: a network identity asks and is answered" says '^public.test A NOERROR 203.0.113.10' -- \
    as_identity 4242 python3 "$lib/ask.py" @127.82.67.53 public.test
for carrier in +size=512 +tcp; do
    check "another user of the host is not answered ($carrier)" says '(Timeout|Permission|ConnectionRefused|Connection)[a-zA-Z]*Error' -- as_nobody "$carrier" public.test
    check "nor the user of the sandboxes ($carrier)" says '(Timeout|Permission|Connection)[a-zA-Z]*Error' -- \
        as-user dev python3 "$lib/ask.py" @127.82.67.53 +patience=1 "$carrier" public.test
    check "nor root ($carrier)" says '(Timeout|Permission|Connection)[a-zA-Z]*Error' -- python3 "$lib/ask.py" @127.82.67.53 +patience=1 "$carrier" public.test
done
check "nor an identity of nobody's: past the last user's, or of no profile" says '(Timeout|Permission|Connection)[a-zA-Z]*Error' -- \
    setpriv --reuid=1919095000 --clear-groups -- python3 "$lib/ask.py" @127.82.67.53 +patience=1 public.test
check "from outside nobody gets there" says '(Timeout|Network|OSError|Permission|Connection)' -- \
    ip netns exec outside python3 "$lib/ask.py" @192.168.77.2 +patience=1 public.test
check "nobody's question was passed on" test "$(asked ' public.test ' | wc -l)" = 1
check "the resolver listens at its own address alone" never_says '(0\.0\.0\.0|\*|192\.168|\[::\]):53 ' -- ss -Hlnut
check "nobody else takes its place" fails as-user dev python3 -c 'import socket; socket.socket(2, 2).bind(("127.82.67.53", 53))'
for user in dev other; do
    check "$user does not open an address" fails as-user "$user" nft add element inet rcc lease4-public '{ 10.1.2.9 . tcp . 443 timeout 1h }'
    check "$user does not read the sets" fails as-user "$user" nft list table inet rcc
    for change in "allow 10.1.2.9:443 --for 1h" "allow db.corp.test:443 --for 1h" "deny git.corp.test" "firewall apply" "firewall reload"; do
        # shellcheck disable=SC2086 # words
        check "$user: rcc $change is root's" says 'root' -- as-user "$user" rcc $change
    done
done
check "a user's other network namespace has no way there" says '(Timeout|Network|OSError|Connection)' -- \
    as-user dev unshare --user --map-root-user --net sh -c "ip link set lo up; python3 '$lib/ask.py' @127.82.67.53 +patience=1 public.test"

# Inside.
inside() { as-user dev rcc run -- "$@"; }
check "inside, rcc allow is refused" fails inside rcc allow 10.1.2.9:443 --for 1h
check "as root inside, too" fails inside unshare --user --map-root-user rcc allow 10.1.2.9:443 --for 1h
check "the rules there are, if any, are not the host's" fails inside unshare --user --map-root-user nft list table inet rcc
check "what the policy says inside cannot be changed" fails inside sh -c 'echo {} >/run/rcc/policy.json || mv /run/rcc/policy.json /tmp/ || ln -sf /dev/null /run/rcc/policy.json'
check "nor covered" fails inside sh -c 'mount --bind /dev/null /run/rcc/policy.json'
check "the host's record of denials and its locks are not there" fails inside ls /run/rcc/firewall.lock /run/rcc/denials
check "the resolver is not on the sandbox's own loopback" says 'Error' -- ask public @127.82.67.53 +patience=1 public.test
check "none of that opened anything" not_answered_by public 10.1.2.9 443 db.corp.test

# Another profile, another session.
check "control: the profile that has the exception" answered_by work git.corp.test 443 git.corp.test
check "another profile does not reach what was just opened there" not_answered_by public 10.1.2.8 443 git.corp.test
check "nor does one that denies by default" says '^git.corp.test A NXDOMAIN' -- ask other git.corp.test
check "nor does another user's sandbox of another profile" fails says '"answered"' -- \
    as-user root rcc run -- /usr/bin/python3 -c "$(<"$lib/probe.py")" '[["tcp", "10.1.2.8", 443, "x"]]'
# A profile's addresses are one set for all its sandboxes: a later one may connect to what an earlier one was
# answered, until it ends, since it could ask for the same. A lease for one session is nobody else's.
check "a later sandbox of the same profile reaches what the earlier was answered" answered_by work 10.1.2.8 443
session_of() { as-user dev rcc ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[-1]["id"])'; }
flow=$(token)
beat dev "$flow" db.corp.test 443
sandbox=$!
within 10 session_of >/dev/null
session=$(session_of)
check "a lease by name for one sandbox" says "for the sandbox $session" -- rcc allow db.corp.test:443 --for 1h --session "$session"
check "holds for it, while it runs" within 5 beating "$flow"
check "another sandbox of the same profile and user has no address of it" says '^db.corp.test A NOERROR ttl=0 ' -- ask public db.corp.test
check "and does not reach it" not_answered_by public 10.1.2.9 443 db.corp.test
check "nor does another user's" fails says '"answered"' -- \
    as-user root rcc run -- /usr/bin/python3 -c "$(<"$lib/probe.py")" '[["tcp", "10.1.2.9", 443, "x"]]'
check "control: the one that has it goes on" beating "$flow"
identity=$(nft list set inet rcc sessionleased4 | grep -oE '19[0-9]{8}')
as-user dev rcc stop "$session" >/dev/null
wait "$sandbox"
check "it ended" within 5 fails session_of
again=$(as-user dev rcc run -- /usr/bin/python3 -c "$(<"$lib/probe.py")" '[["tcp", "10.1.2.9", 443, "x"]]' 2>/dev/null &
    within 5 session_of >/dev/null; wait)
check "the next holder of its identity does not inherit it" fails grep -q answered <<<"$again"
check "nor after asking for the name" not_answered_by public 10.1.2.9 443 db.corp.test
check "the kernel has forgotten it" never_says "$identity" -- nft list set inet rcc sessionleased4
