# Names lead to no private place, whatever is answered, and an exception by name opens its ports alone, never the host.
. "$lib/names"
config <<'END'
[profiles.work]
allow = [
  { domain = "git.corp.test", ports = [443] },
  { domain = "printer.lan", ports = [443] },
  { domain = "*.rebind.test", ports = [8443], protocol = "any" },
]
END
rebinding
knows mixed.test 10.1.2.3 203.0.113.30 192.168.77.20 fd12::3 2001:db8:f00d::30 169.254.169.254
knows alias-private.test alias=git.corp.test
knows deep.test alias=deeper.test
knows deeper.test alias=alias-private.test
knows hint.test hint=10.1.2.3 203.0.113.31
knows long.test "text=$(printf 'x%.0s' {1..250})" "text=$(printf 'y%.0s' {1..250})" "text=$(printf 'z%.0s' {1..250})"
# shellcheck disable=SC2046 # sixty words
knows many.test $(printf '203.0.114.%s ' {1..60})
knows 8.2.1.10.in-addr.arpa pointer=git.corp.test
knows 10.113.0.203.in-addr.arpa pointer=public.test
# Names that are not git.corp.test, by one octet or by what somebody makes of them; all of them lead there.
knows corp.test 10.1.2.8 && knows a.git.corp.test 10.1.2.8 && knows xgit.corp.test 10.1.2.8
knows git.corp.test.evil.test 10.1.2.8 && knows git.corp.tes 10.1.2.8 && knows git-corp.test 10.1.2.8
knows $'g\u00d1\u0096t.corp.test' 10.1.2.8 && knows xn--gt-gyc.corp.test 10.1.2.8
knows $'\u00ef\u00bd\u0087it.corp.test' 10.1.2.8 && knows $'git\u00e3\u0080\u0082corp.test' 10.1.2.8
lookalikes=(corp.test a.git.corp.test xgit.corp.test git.corp.test.evil.test git.corp.tes git-corp.test
    'g\209\150t.corp.test' xn--gt-gyc.corp.test '\239\189\135it.corp.test' 'git\227\128\130corp.test')
# What would be that name in a program that ends, splits or unescapes names.
malformed=('git.corp.test\000.evil.test' '\000git.corp.test' 'git\046corp\046test' 'git.corp.test\032' 'git.corp\092.test'
    'git.corp.test\010evil.test')
local=(printer host host.local router.internal 8.2.1.10.in-addr.arpa b.e.f.ip6.arpa 77.168.192.in-addr.arpa
    a.onion x.invalid use-application-dns.net _dns.resolver.arpa)
echo '10.1.2.9 printer.lan printer' >>/etc/hosts
echo '10.1.2.7 public.test' >>/etc/hosts
ready

# What lies behind a VPN's interface by a route alone has its name, and is denied all the same.
answers() { grep -v ^vpn <<<"$1" | grep -cE ' (A|AAAA) NOERROR [^t]'; }

check "control: there are names for it all" test ${#names[@]} -gt 80
check "control: the upstream answers with private addresses" says 'rfc1918-1.rebind.test A NOERROR 10.1.2.3' -- \
    ip netns exec outside python3 "$lib/ask.py" @192.168.77.1 rfc1918-1.rebind.test
all=$(ask public "${names[@]}" 2>&1)
check "public: no name has a private address" test "$(answers "$all")" = 0
check "public: they exist, so nobody waits or asks elsewhere" never_says '^[^ ]+ A+ [^N]' -- cat <<<"$all"
check "public: having asked for them opens nothing" reach_after public --not "${private[@]}" "${never[@]}" -- "${names[@]}"
all=$(ask work "${names[@]}" 2>&1)
check "excepted: what no name may open has no address" never_says '(host|link-local|mapped|multicast|metadata|6to4|teredo|reserved)-[0-9]+.rebind.test A+ NOERROR .*(169\.254|127\.|22[4-9]|0\.0\.0\.0|::ffff|2002:|2001:0:|fe80|::1 |ec2)' -- cat <<<"$all"
check "excepted: the private ones have theirs" says 'rfc1918-1.rebind.test A NOERROR 10.1.2.3' 'ula-[0-9]+.rebind.test AAAA NOERROR fd12::3' -- cat <<<"$all"
check "excepted: opens the private places, on its ports, and never the host or metadata" \
    reach_after work --also "${private[@]}" --not "${never[@]}" tcp:8080:10.1.2.3 udp:8080:10.1.2.3 -- "${names[@]}"

check "public: of mixed answers the public addresses are left" says '^mixed.test A NOERROR 203.0.113.30 ttl' \
    '^mixed.test AAAA NOERROR 2001:db8:f00d::30 ttl' -- ask public mixed.test mixed.test/AAAA
check "an alias of an excepted name is not excepted: the name that was asked decides" says '^alias-private.test A NOERROR alias=git.corp.test ttl|A NOERROR ttl=0' -- \
    ask work alias-private.test
for profile in public work; do
    check "$profile: neither aliases nor lookalikes open what they lead to" \
        not_answered_by "$profile" 10.1.2.8 443 alias-private.test deep.test "${lookalikes[@]}"
    check "$profile: nor do they have its address" never_says '10\.1\.2\.8' -- ask "$profile" deep.test "${lookalikes[@]}"
    all=$(ask "$profile" "${malformed[@]}" "${local[@]}" 2>/dev/null)
    check "$profile: what is no host's name, or no public one, does not exist" \
        test "$(grep -c ' A NXDOMAIN ' <<<"$all")" = $((${#malformed[@]} + ${#local[@]}))
done
check "control: the resolver outside was asked for the lookalikes" asked 'udp .*git%C3%A3%C2%80%C2%82corp.test 1 '
check "and never for the others" fails asked '%00|%0A|%20|%5C| (printer|host) |[.](local|internal|onion|invalid) |use-app|resolver|[.](10|192).in-addr|ip6.arpa'
check "hints of addresses are left out" never_says 0a010203 -- ask public hint.test/HTTPS
check "what the host's own file calls public is what the world says" says '^public.test A NOERROR 203.0.113.10 ' -- ask public public.test
check "a public address has its name" says 'PTR NOERROR public.test' -- ask public 10.113.0.203.in-addr.arpa/PTR

check "an excepted address alone opens nothing before its name was asked for" not_answered_by work 10.1.2.8 443
check "control: by its name it is reached" answered_by work git.corp.test 443
check "the name in other letters is the same name" says 'A NOERROR 10.1.2.8' -- ask work GiT.cOrP.tEsT.
check "on its port alone, and nothing else" \
    reach_after work --also tcp:443:10.1.2.8 --not udp:443:10.1.2.8 tcp:8443:10.1.2.8 tcp:80:10.1.2.8 \
    udp:53:192.168.77.1 tcp:53:192.168.77.1 udp:53:127.82.67.53 -- git.corp.test
check "an exception for a name that only the host's file knows" answered_by work printer.lan 443
check "its other profile does not know it" says 'printer.lan A NXDOMAIN' -- ask public printer.lan

# localhost is the sandbox's own.
check "localhost is loopback" says '^localhost A NOERROR 127.0.0.1 ' '^localhost AAAA NOERROR ::1 ' '^x.localhost A NOERROR 127.0.0.1 ' -- \
    ask work localhost localhost/AAAA x.localhost
check "and not the host's" not_answered_by work localhost 443 localhost

# Sizes.
sixty=$(printf 'a%.0s' {1..63})
check "a name of 255 octets is asked for, a longer one is none" \
    says '^[a.]{253} A NXDOMAIN' '^[a.]{255} A FORMERR' -- ask public "$sixty.$sixty.$sixty.${sixty:2}" "$sixty.$sixty.$sixty.$sixty"
check "a label of 64 octets is none" says 'FORMERR' -- ask public "a$sixty.test"
addresses_of() { grep -oE '203\.0\.114\.[0-9]+' | wc -l; }
check "as many addresses as fit into 512 octets are given uncut" test "$(ask public many.test | grep -v cut | addresses_of)" -gt 20
check "with room, as many as are kept of one answer" test "$(ask public +size=4096 many.test | addresses_of)" = 32
check "what is not about addresses is cut" says 'TXT NOERROR cut' -- ask public long.test/TXT
check "over TCP it is answered, or nothing goes out where pasta carries no DNS over TCP" \
    says 'TXT (NOERROR fa78|TimeoutError|Connection|OSError)' -- ask public +tcp +patience=1 long.test/TXT
check "the resolver itself answers over TCP" says 'TXT NOERROR fa78.*fa79.*fa7a' -- \
    as_identity 0 python3 "$lib/ask.py" @127.82.67.53 +tcp long.test/TXT
