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

# The last line of the record is of this state, of this action and matches this, too.
last() { says "\"state\":\"$1\".*\"action\":\"$2\".*${3-}" -- tail -n 1 /var/log/rcc/policy.log; }
nft insert rule inet rcc output accept
check "a foreign rule: drifted" says drifted 'rcc firewall apply' -- rcc firewall status
check "with another exit status" fails rcc firewall status
check "a user sees that they do not hold" fails as-user dev rcc firewall status
check "applied again" env SUDO_UID=4242 rcc firewall apply
check "and it is on record, with who did it" last done apply
check "by sudo's word" says '"sudo_uid":4242' -- tail -n 1 /var/log/rcc/policy.log
config <<<'profiles.work.allow = [{ address = "10.1.2.3", ports = [443] }]'
check "another config: stale" says stale 'rcc firewall apply' -- rcc firewall status
check "applied again" rcc firewall apply
check "the record has both versions" says '"done".*"apply","from":("[0-9a-f]{12}"|null),"to":"[0-9a-f]{12}"' -- \
    grep '"apply"' /var/log/rcc/policy.log
check "the service that follows is on record, too" within 5 last done service
config <<<''
check "the service reloads the former ones" rcc firewall reload
check "which is on record by who asked" says '"done".*"reload"' -- grep '"reload"' /var/log/rcc/policy.log
# It has a moment more to do when the rules are in force.
check "and by the service" within 5 says '"done".*"service"' -- tail -n 2 /var/log/rcc/policy.log
check "reset is refused while the service keeps them loaded" says 'stop it first' -- rcc firewall reset
check "which is on record" last failed reset
check "with the reason" says '"reason":".*stop it first' -- tail -n 1 /var/log/rcc/policy.log
check "and they are" says '^in force' -- rcc firewall status
service_stop
check "without the service the rules are in force all the same" as-user dev rcc firewall status
check "verify starts nothing that has no resolver" exits 125 as-user dev rcc firewall verify
check "reset" rcc firewall reset
check "and that is on record" last done reset '"to":null'
mv /var/log/rcc /run/record && touch /var/log/rcc
check "rules are loaded and removed without a record, which is told" says 'without a record' -- rcc firewall apply
check "and are in force" says '^in force' -- rcc firewall status
rm /var/log/rcc && mv /run/record /var/log/rcc
check "reset" rcc firewall reset
check "reset twice" rcc firewall reset
check "nothing of it is left" fails nft list table inet rcc
check "absent" says absent 'rcc firewall apply' -- rcc firewall status
check "verify starts nothing then" exits 125 as-user dev rcc firewall verify
