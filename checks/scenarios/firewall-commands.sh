# `rcc firewall` tells the truth: in force, absent, stale, drifted; who was denied what; no way around.
ready
denied_packets() {
    rcc firewall status --json | python3 -c '
import json, sys
profiles = json.load(sys.stdin)["counters"]
print(sum(reason["packets"] for profile in profiles for reason in profile["denied"].values()))'
}
for user in dev root; do
    check "$user: in force" says '^in force' -- as-user $user rcc firewall status
    check "$user: with exit status 0" as-user $user rcc firewall status
done
before=$(denied_packets)
as-user dev rcc run -- timeout 3 bash -c 'exec 3<>/dev/tcp/192.0.2.20/443' 2>/dev/null
check "a denial is counted" test "$(denied_packets)" -gt "$before"
check "a user can render the rules" bash -c 'as-user dev rcc firewall render >/run/rules.json'
check "nft accepts them" nft -c -j -f /run/rules.json
check "a user can render them for pf" says 'block' -- as-user dev rcc firewall render --backend pf
check "a user cannot apply or reset" fails as-user dev rcc firewall apply
check "and nothing happened" says '^in force' -- rcc firewall status

marks=$(cat /mnt/log/* | wc -l)
check "verify finds no way around" says ' 0 failed' -- as-user dev rcc firewall verify --public 203.0.113.10:443
check "and leaves nothing of its sandbox" fails bash -c 'ls -d /home/dev/.local/share/rcc/projects/*verify* /tmp/rcc-verify-*'
check "and the far side received queries and the public attempt alone" never_says . -- \
    bash -c "cat /mnt/log/* | tail -n +$((marks + 1)) | grep -vE '^udp .* (192.168.77.1|127.82.67.53) 53 |^tcp .* 203.0.113.10 443 ' || true"

nft insert rule inet rcc output accept
check "a foreign rule: drifted" says drifted 'rcc firewall apply' -- rcc firewall status
check "with another exit status" fails rcc firewall status
check "a user sees that they do not hold" fails as-user dev rcc firewall status
check "applied again" rcc firewall apply
config <<<'profiles.work.allow = [{ address = "10.1.2.3", ports = [443] }]'
check "another config: stale" says stale 'rcc firewall apply' -- rcc firewall status
check "applied again" rcc firewall apply
check "reset is refused while the service keeps them loaded" says 'stop it first' -- rcc firewall reset
check "and they are" says '^in force' -- rcc firewall status
service_stop
check "without the service the rules are in force all the same" as-user dev rcc firewall status
check "verify starts nothing that has no resolver" exits 125 as-user dev rcc firewall verify
check "reset" rcc firewall reset
check "reset twice" rcc firewall reset
check "nothing of it is left" fails nft list table inet rcc
check "absent" says absent 'rcc firewall apply' -- rcc firewall status
check "verify starts nothing then" exits 125 as-user dev rcc firewall verify
