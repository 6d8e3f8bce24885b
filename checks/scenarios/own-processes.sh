# The user's own processes outside are unaffected by the rules, whoever they are, while sandboxes run.
bystander=$(token)
python3 "$lib/beat.py" "$bystander" 10.1.2.3 443 &
check "control: a connection to a private place from before the rules" within 5 beating "$bystander"
ready
check "the rules do not disturb it" beating "$bystander"
sandbox=$(token)
beat dev "$sandbox" 203.0.113.10 443
check "control: a sandbox runs" within 10 beating "$sandbox"
for user in dev root; do
    check "$user reaches every place" reach --all -- as-user $user
done
check "a rootless container's user reaches every place" \
    reach --all -- setpriv --reuid=100005 --regid=100005 --clear-groups
check "it still runs" beating "$sandbox"
rcc firewall apply >/dev/null
check "nor does applying the rules again disturb it" beating "$bystander"
nft flush ruleset
check "nor their loss" beating "$bystander"
