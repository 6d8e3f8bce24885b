# Where the default is to deny, only listed names exist, and only what they were answered with is reached, on their ports.
. "$lib/names"
config <<'END'
[profiles.narrow]
default = "deny"
names = [
  "listed.test", "*.wild.test", "chain.test", "to-private.test", "hundred.test", "quick.test", "late.test", "kept.test",
  { name = "both.test", ports = [80, 443] }, { name = "*.rebind.test", ports = [8443], protocol = "any" },
]
allow = [{ domain = "git.corp.test", ports = [443] }]
END
rebinding
knows listed.test 203.0.113.40 2001:db8:f00d::40
knows a.wild.test 203.0.113.43 && knows a.b.wild.test 203.0.113.44 && knows wild.test 203.0.113.45
knows both.test 203.0.113.42
knows chain.test alias=edge.cdn.test && knows edge.cdn.test alias=pop.cdn.test && knows pop.cdn.test 203.0.113.50
knows to-private.test alias=private.test
# shellcheck disable=SC2046 # a hundred words
knows hundred.test $(seq -f '203.0.114.%g' 100)
knows quick.test 203.0.113.60 ttl=0
knows late.test 203.0.113.61 ttl=2147483648
knows kept.test 203.0.113.62 ttl=5
near=(unlisted.test wild.test xwild.test sub.listed.test listed.test.evil.test xlisted.test test pop.cdn.test edge.cdn.test
    c2VjcmV0LW9mLXRoZS1hZ2VudA.tunnel.test '*.wild.test.evil.test' 'a\046wild.test')
for name in "${near[@]}"; do knows "$name" 203.0.113.46 text=answer pointer=answer.test; done
knows 40.113.0.203.in-addr.arpa pointer=listed.test
ready

asked_types=() && for name in "${near[@]}"; do for type in A AAAA TXT MX NS SRV HTTPS ANY PTR CNAME; do asked_types+=("$name/$type"); done; done
all=$(ask narrow "${asked_types[@]}" 40.113.0.203.in-addr.arpa/PTR 2>/dev/null)
check "control: all were asked for" test "$(wc -l <<<"$all")" = $((${#asked_types[@]} + 1))
check "what is not listed does not exist, of no type" never_says 'NOERROR|SERVFAIL|REFUSED|Error' -- cat <<<"$all"
check "nobody outside hears of it, so nothing leaves inside a name" fails asked 'tunnel|unlisted|evil|xwild|xlisted| wild.test|arpa|sub.listed|cdn.test'
at_once='
import socket, sys, time
start = time.monotonic()
try: print(socket.getaddrinfo("unlisted.test", 443))
except socket.gaierror as error: print("at once" if time.monotonic() - start < 1 else "late", error)'
check "the C library's programs are told at once" says '^at once.*not known' -- as-user dev rcc run --profile narrow -- /usr/bin/python3 -c "$at_once"
check "so is getent" exits 2 as-user dev rcc run --profile narrow -- timeout 1 getent hosts unlisted.test
both='
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(("169.254.1.1", 53))
name = b"".join(bytes([len(part)]) + part for part in sys.argv[1].encode().split(b".")) + b"\0"
for number in (1, 28): s.send(bytes([7, number, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + name + bytes([0, number, 0, 1]))
print(*sorted((reply[1], reply[3] & 15, reply[7]) for reply in (s.recv(512), s.recv(512))))'
check "two questions from one socket, as musl asks: none exists" says '^\(1, 3, 0\) \(28, 3, 0\)$' -- \
    as-user dev rcc run --profile narrow -- /usr/bin/python3 -c "$both" unlisted.test
check "and both are answered" says '^\(1, 0, 1\) \(28, 0, 1\)$' -- as-user dev rcc run --profile narrow -- /usr/bin/python3 -c "$both" listed.test

# What was answered can be reached, and nothing else.
check "nothing is reached before a name was asked for" reach_after narrow --none --not tcp:443:203.0.113.42 tcp:8443:203.0.113.42 --
check "a listed name is reached by its address on its port, of the family that was asked for" \
    reach_after narrow --none --also tcp:80:203.0.113.42 tcp:443:203.0.113.42 \
    --not udp:443:203.0.113.42 tcp:8443:203.0.113.42 tcp:443:203.0.113.41 tcp:443:203.0.113.45 -- both.test wild.test xwild.test
check "other servers of names are not reached: DNS, DoT, DoH, DoQ" \
    reach_after narrow --none --also tcp:443:203.0.113.42 --not {udp,tcp}:{53,853,443,8443}:203.0.113.53 \
    {udp,tcp}:{53,853,443}:2001:db8:f00d::53 {udp,tcp}:53:192.168.77.1 {udp,tcp}:{53,853}:203.0.113.42 -- both.test
check "the one in resolv.conf is the only one" says 'Error|timeout' -- ask narrow @203.0.113.53 +patience=1 listed.test
check "a wildcard is for all names below, and not for itself" says '^a.wild.test A NOERROR 203.0.113.43' '^a.b.wild.test A NOERROR 203.0.113.44' \
    '^wild.test A NXDOMAIN' -- ask narrow a.wild.test a.b.wild.test wild.test
check "a name with a dot at its end, in other letters" says '^LISTED.test. A NOERROR 203.0.113.40' -- ask narrow LISTED.test.
check "aliases lead where they lead" answered_by narrow chain.test 443 chain.test
check "and are no names of their own" says '^pop.cdn.test A NXDOMAIN' -- ask narrow pop.cdn.test
check "of a hundred addresses those are open that were answered" says '^hundred.test A NOERROR( 203.0.114.[0-9]+){32} ttl' -- ask narrow +size=4096 hundred.test
check "and the others of the same name are not" \
    reach_after narrow --none --also tcp:443:203.0.114.1 tcp:443:203.0.114.32 tcp:443:203.0.113.42 --not tcp:443:203.0.114.33 tcp:443:203.0.114.100 -- hundred.test both.test
check "a listed name does not lead to a private place, through no alias" not_answered_by narrow 10.1.2.3 443 to-private.test
check "nor to any other that there is" reach_after narrow --none --also tcp:443:203.0.113.42 --not "${private[@]}" "${never[@]}" -- both.test "${names[@]}"
check "an exception by name works here, too" answered_by narrow git.corp.test 443

# How long an address stays: what the kernel says. Ten minutes are too long for a test, so an entry is made to end soon.
set_of() { nft list ruleset | grep -oE 'set listed4_[^ ]*-narrow' | cut -d' ' -f2 | while read -r set; do nft list set inet rcc "$set" | grep -q "$1 " && echo "$set"; done | head -1; }
entry() { nft list ruleset | tr '\n' ' ' | grep -oE "$1 [^,}]*"; }
ask narrow quick.test late.test kept.test >/dev/null
check "a TTL of 0 stays for the grace of five minutes" says 'timeout 5m[12]s ' -- entry 203.0.113.60
check "a TTL of 2^31 for ten minutes at most" says 'expires (10m|9m5[0-9]s)' -- entry 203.0.113.61
check "and inside it may be kept for five" says 'ttl=(300|29[0-9]) ' -- ask narrow late.test
check "no entry stays for ever" never_says '^203[^}]*$' -- bash -c "nft list ruleset | tr ',' '\n' | grep -oE '203[.]0[.]11[34][.][0-9]+ .*' | sed 's/expires /}/'"
ends_soon() {
    local set
    set=$(set_of "$1") && nft -f - <<<"delete element inet rcc $set { $1 . tcp . 443 }; add element inet rcc $set { $1 . tcp . 443 timeout 2s comment \"kept.test\" }"
}
check "an entry is made to end in two seconds" ends_soon 203.0.113.62
sleep 2.2
check "then the address is not reached any more" not_answered_by narrow 203.0.113.62 443
rcc firewall reload
check "asked for again, it is" within 5 answered_by narrow kept.test 443
flow=$(token)
beat dev "$flow" kept.test 443 --profile narrow
sandbox=$!
check "a flow to it" within 10 beating "$flow"
check "made to end in two seconds" ends_soon 203.0.113.62
sleep 3
check "what a flow uses stays" beating "$flow"
check "for ten minutes after its last packet" says 'expires (10m|9m5[0-9]s)' -- entry 203.0.113.62
sed -i 's/, "kept.test"//' /etc/rcc/config.toml
rcc firewall reload
check "a name that is not listed any more cuts the flow to it" silent "$flow"
check "and leaves the kernel" fails entry 203.0.113.62
kill "$sandbox"

# What Claude Code and the registries need, as the profile of that name has it.
builtin=() number=0
while read -r name; do
    number=$((number + 1))
    builtin+=("$name")
    knows "$name" "203.0.115.$number"
done < <(as-user dev rcc config show | sed -n 's/^groups[.][a-z]*[.]names = \(.*\) *#.*/\1/p' | grep -oE '"[a-z.-]+[.][a-z]+"' | tr -d '"')
check "control: the built-in groups have names" says 'api.anthropic.com' 'registry.npmjs.org' 'pypi.org' 'crates.io' 'github.com' 'deb.debian.org' -- echo "${builtin[@]}"
mapfile -t reached < <(
    seq -f 'tcp:443:203.0.115.%g' $number
    for at in "${!builtin[@]}"; do [[ ${builtin[at]} != *debian* ]] || echo "tcp:80:203.0.115.$((at + 1))"; done
)
check "all of them are reached on port 443 in the profile 'allowlist', Debian's on port 80, and nothing else" \
    reach_after allowlist --none --also "${reached[@]}" --not tcp:80:203.0.115.1 {udp:443,tcp:22}:203.0.115.1 -- "${builtin[@]}"
check "and no other name of theirs" never_says NOERROR -- ask allowlist public.test statsig.anthropic.com gist.github.com evil.pypi.org storage.googleapis.com npmjs.org
