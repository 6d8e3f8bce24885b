# An exception opens one address, or one name's addresses, with its ports and protocol, and nothing beside it.
ready
config <<'END'
[profiles.work]
allow = [
  { address = "10.1.2.3", ports = [5432] },
  { address = "192.168.77.20", ports = [8080], protocol = "udp" },
  { address = "172.16.5.0/24", ports = ["8000-8100"], protocol = "any" },
  { address = "fd12::3", ports = [22] },
  { domain = "git.corp.test", ports = [443] },
]
END
check "the exceptions are applied" rcc firewall apply
opened=(
    tcp:5432:10.1.2.3 udp:8080:192.168.77.20
    tcp:8080:172.16.5.7 udp:8001:172.16.5.7 tcp:22:fd12::3
)
by_name=tcp:443:git.corp.test=10.1.2.8
beside=(
    tcp:5431:10.1.2.3 udp:5432:10.1.2.3 tcp:5432:10.1.2.4 tcp:8080:192.168.77.20
    tcp:8443:172.16.5.7 udp:8101:172.16.5.7 udp:22:fd12::3 tcp:80:10.1.2.8 udp:443:10.1.2.8
)
check "an exception by name opens no address before the name was asked for" \
    reach --also "${opened[@]}" --not "${by_name/git.corp.test=/}" -- as-user dev rcc run --profile work --
for user in dev root; do
    check "$user in the profile reaches the exceptions and nothing beside them" \
        reach --also "${opened[@]}" "$by_name" --not "${beside[@]}" -- as-user "$user" rcc run --profile work --
    check "$user in profile public reaches none of them" \
        reach --not "${opened[@]}" "$by_name" "${by_name/git.corp.test=/}" "${beside[@]}" -- as-user "$user" rcc run --
done
check "names are resolved inside" says 10.1.2.8 -- as-user dev rcc run --profile work -- getent ahostsv4 git.corp.test
check "and only in the profile" exits 2 as-user dev rcc run -- getent ahosts git.corp.test
check "control: a public name has its addresses" \
    says 203.0.113.10 2001:db8:f00d::10 -- as-user dev rcc run -- getent ahosts public.test
check "a name of a private place has none" exits 2 as-user dev rcc run -- getent ahosts private.test
check "nor is it reached" fails as-user dev rcc run -- bash -c 'exec 3<>/dev/tcp/private.test/443'
check "a public name is reached" as-user dev rcc run -- bash -c 'exec 3<>/dev/tcp/public.test/443'
check "an unknown profile is an error that names the known ones" \
    says 'public' 'work' -- as-user dev rcc run --profile wrok -- true
check "an unknown profile starts nothing" exits 125 as-user dev rcc run --profile wrok -- true

config <<'END_OF_FILE'
profiles.public.allow = [{ address = "192.168.77.2", ports = [5432] }]
END_OF_FILE
check "an address of this machine is opened with a warning" says "'public' opens 192.168.77.2, which is this machine" -- rcc firewall apply
