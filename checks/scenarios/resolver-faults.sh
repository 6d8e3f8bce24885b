# Dead upstreams, hostile answers, floods, a killed service, lost rules: names fail at once and closed, and come back by themselves.
. "$lib/names"
config <<'END'
[profiles.narrow]
default = "deny"
names = ["listed.test", "kept.test", "*.way.test", "*.many.test"]
END
knows listed.test 203.0.113.40 && knows kept.test 203.0.113.62
knows who.test 203.0.113.1 ttl=3600
wild=()
for number in {1..60}; do
    wild+=("n$number.many.test")
    # shellcheck disable=SC2046 # 32 words
    knows "n$number.many.test" $(seq -f "203.2.$number.%g" 32)
done
ways=(silent servfail refused garbage loop forward promise question id guess elsewhere query thousand 64k unfinished
    bailiwick circle class nxdomain)
for way in "${ways[@]}"; do knows "$way.way.test" "way=$way"; done
ready
quickly='ms=[0-9]{1,3}$' bounded='ms=([0-9]{1,3}|[1-4][0-9]{3}|5[0-4][0-9]{2})$' # below 1 s, below 5.5 s: stubs ask again after 5

# A sandbox that asks for the same name again and again, and writes what it heard.
read -r -d '' again <<'END'
import socket, sys, time
while True:
    try: what = socket.getaddrinfo(sys.argv[1], 443, socket.AF_INET)[0][4][0]
    except OSError as error: what = "failed"
    with open("heard", "w") as heard: heard.write(what)
    time.sleep(0.2)
END
as-user dev rcc run -- /usr/bin/python3 -c "$again" public.test 2>/dev/null &
hears() { sleep 0.5 && [[ $(</home/dev/project/heard) == "$1" ]]; }
check "control: a running sandbox resolves" within 10 hears 203.0.113.10

# Upstreams.
kill -STOP "$(dns_id 192.168.77.1)"
check "a silent upstream: failure, in bounded time" says "^other.test A SERVFAIL.*$bounded" -- ask public other.test
check "what is known is still told, at once" says "^public.test A NOERROR 203.0.113.10 .*$quickly" -- ask public public.test
check "and what is denied, too" says "NXDOMAIN.*$quickly" -- ask narrow other.test
kill -CONT "$(dns_id 192.168.77.1)"
check "it recovers by itself" within 5 says '^who.test A NOERROR 203.0.113.1 ' -- ask public who.test
kill -KILL "$(dns_id 192.168.77.1)"
check "no upstream at all: failure at once" says "^other2.test A SERVFAIL.*$quickly" -- ask public other2.test
dns 192.168.77.1
check "it recovers by itself" within 5 says '^other2.test A NXDOMAIN' -- ask public other2.test
echo "who.test 203.0.113.2 ttl=3600" >/mnt/log/second
dns 192.168.77.20 /mnt/log/second
who() { says "^who.test A $1" -- ask public who.test; }
check "control: it is known from the first" who 'NOERROR 203.0.113.1 '
echo "nameserver 192.168.77.20" >/etc/resolv.conf
sleep 1
check "a changed resolv.conf is followed within a second, past what was known" who 'NOERROR 203.0.113.2 '
echo "nameserver 192.168.77.1" >/etc/resolv.new && mv /etc/resolv.new /etc/resolv.conf
sleep 1
check "one that was put in its place as well" who 'NOERROR 203.0.113.1 '
mkdir /run/stub && echo "nameserver 192.168.77.20" >/run/stub/resolv.conf && ln -sfn /run/stub/resolv.conf /etc/resolv.conf
sleep 1
check "a link to one" who 'NOERROR 203.0.113.2 '
echo "nameserver 192.168.77.1" >/run/stub/new && mv /run/stub/new /run/stub/resolv.conf
sleep 1
check "and what it leads to" who 'NOERROR 203.0.113.1 '
echo "nameserver 127.82.67.53" >/etc/resolv.conf
sleep 1
check "itself is not asked" who "SERVFAIL.*$quickly"
printf 'nameserver 192.168.77.77\nnameserver 192.168.77.1\n' >/run/stub/resolv.conf
sleep 1
check "behind a first one that is dead, the second is asked" says "^who.test A NOERROR 203.0.113.1 .*$bounded" -- ask public who.test
echo "nameserver 192.168.77.1" >/run/stub/resolv.conf
sleep 1

# Answers that no honest server gives. 203.0.113.66 is what they want to be believed.
all=$(ask narrow "${ways[@]/%/.way.test}" 2>/dev/null)
check "each is answered, in bounded time" test "$(grep -cE "A (NOERROR|NXDOMAIN|SERVFAIL).*$bounded" <<<"$all")" = ${#ways[@]}
check "with no address that was smuggled in" never_says '203\.0\.113\.66' -- cat <<<"$all"
check "who guesses is outrun" says '^guess.way.test A NOERROR 203.0.113.77 ' '^elsewhere.way.test A NOERROR 203.0.113.77 ' -- cat <<<"$all"
check "a thousand addresses, or 64 KiB of them, are cut to what fits" says '^thousand.way.test A NOERROR( 203.1.[0-9.]+){20,32} ttl' \
    '^64k.way.test A NOERROR( 203.2.[0-9.]+){20,32} ttl' -- cat <<<"$all"
check "of an alias what it leads to is taken, and nothing beside it" says '^bailiwick.way.test A NOERROR alias=public.test 203.0.113.77 ' -- cat <<<"$all"
check "what stood beside it was not kept: other names are what they were" \
    says '^listed.test A NOERROR 203.0.113.40 ' -- ask narrow listed.test
check "in no other profile either" says '^public.test A NOERROR 203.0.113.10 ' '^neighbour.test A NOERROR ttl=0 ' -- ask public public.test neighbour.test
check "and nothing was opened but what was answered" \
    reach_after narrow --none --also tcp:443:203.0.113.77 tcp:443:203.0.113.40 --not tcp:443:203.0.113.66 -- guess.way.test listed.test
check "the service lives, and is small" test "$(ps -o rss= "$service")" -lt 100000

# Somebody who answers for a listed wildcard has no end of addresses, and the sets in the kernel have.
ask narrow +size=4096 "${wild[@]}" -- sleep 600 >/run/wild 2>&1 &
opened() { nft list ruleset | grep -o '203\.2\.[0-9.]* ' | wc -l; }
check "beyond so many addresses a sandbox is told to try later" within 15 grep -q SERVFAIL /run/wild
check "it has no more than 1,024" test "$(opened)" -le 1024 -a "$(opened)" -ge 800
check "and another one of its profile has room" answered_by narrow listed.test 443 listed.test
as-user dev rcc stop --all >/dev/null

# Floods.
kill -STOP "$(dns_id 192.168.77.20)"
for _ in 1 2; do
    as-user dev rcc run --profile narrow -- /usr/bin/python3 -c "$(<"$lib/flood.py")" many.test 2>/dev/null &
    floods+=($!)
done
check "control: the flood is on" within 10 asked '[1-9][0-9]{3}.many.test'
check "while two sandboxes flood, a third starts" within 10 ask public public.test
resolve() { # resolve NUMBER: four names, each in bounded time, of which three are new
    local said
    said=$(ask public "$1".one.test "$1".two.test "$1".three.test public.test 2>/dev/null)
    echo "$said"
    [[ $(grep -cE "A (NOERROR|NXDOMAIN).*$bounded" <<<"$said") == 4 ]]
}
for number in 1 2 3; do check "and resolves ($number)" resolve "$number"; done
check "control: the floods are still on" kill -0 "${floods[@]}"
as-user dev rcc stop --all >/dev/null
wait "${floods[@]}"

# The service is killed. What was answered stays open for its time, and nothing new is.
ask narrow kept.test >/dev/null
flow=$(token)
beat dev "$flow" 203.0.113.62 443 --profile narrow
check "control: a flow to an address that was answered" within 10 beating "$flow"
as-user dev rcc run -- /usr/bin/python3 -c "$again" public.test 2>/dev/null &
check "control: a running sandbox resolves" within 10 hears 203.0.113.10
kill -KILL "$service"
wait "$service" 2>/dev/null
check "service killed: names are told to fail" within 15 hears failed
check "the flow goes on" beating "$flow"
check "no sandbox starts that could resolve nothing" says 'resolver.*does not answer' -- ask public public.test
service_start
check "started again: the running sandbox resolves" within 15 hears 203.0.113.10
check "and so does a new one" answered_by narrow listed.test 443 listed.test
check "the flow went on" beating "$flow"

# nft is missing while it runs, and comes back.
nft=$(command -v nft) && mv "$nft" /run/nft
check "nft missing: names resolve, and are opened" answered_by narrow thousand.way.test 443 thousand.way.test
sed -i 's/"kept.test", //' /etc/rcc/config.toml
check "a change cannot be loaded, and says so" says nft -- rcc firewall reload
mv /run/nft "$nft"
sed -i 's/"listed.test", /"listed.test", "kept.test", /' /etc/rcc/config.toml
check "nft back: all is as it was" rcc firewall reload
check "and the flow went on" beating "$flow"
as-user dev rcc stop --all >/dev/null

# All rules are lost while it runs.
check "control: open" answered_by narrow listed.test 443 listed.test
nft flush ruleset
check "rules flushed: they are loaded again, without a hand" within 5 says '^in force' -- rcc firewall status
check "and a name that is known still is opened again" within 5 answered_by narrow listed.test 443 listed.test
check "only then" not_answered_by narrow 203.0.113.62 443
check "by its name, that one too" answered_by narrow kept.test 443 kept.test
check "the first service wrote down nothing about a panic" fails grep -i panic /run/service.log
