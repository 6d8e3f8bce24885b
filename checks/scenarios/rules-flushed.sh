# When the rules go or change under a running sandbox, its network is gone within a second.
ready

# cut_by USER COMMAND...: the command cuts the network of a running sandbox of that user.
cut_by() {
    local beat
    beat=$(token)
    rcc firewall apply >/dev/null || return
    beat "$1" "$beat" 203.0.113.10 443
    within 10 beating "$beat" || return
    "${@:2}" || return
    sleep 1
    silent "$beat" || return
    kill $! 2>/dev/null
    wait $! 2>/dev/null
    says 'rcc firewall (apply|status)' -- cat "/run/$beat"
}

# The name of the chain that hooks into output.
output_chain() { nft -j list chains inet | python3 -c '
import json, sys
chains = [o["chain"] for o in json.load(sys.stdin)["nftables"] if "chain" in o]
print(*(c["name"] for c in chains if c["table"] == "rcc" and c.get("hook") == "output"))'; }
accept_everything_first() { nft insert rule inet rcc "$(output_chain)" accept; }
empty_output_chain() { nft flush chain inet rcc "$(output_chain)"; }
make_dormant() { nft add table inet rcc '{ flags dormant; }'; }
put_another_table_in_its_place() { nft -f - <<<'delete table inet rcc; add table inet rcc'; }

for user in dev root; do
    check "$user: all rules flushed" cut_by "$user" nft flush ruleset
    check "$user: the table deleted" cut_by "$user" nft delete table inet rcc
    check "$user: the output chain emptied" cut_by "$user" empty_output_chain
    check "$user: a rule put first that accepts everything" cut_by "$user" accept_everything_first
done
check "the table made dormant" cut_by dev make_dormant
check "an empty table in its place" cut_by dev put_another_table_in_its_place

rcc firewall apply >/dev/null
steady=$(token)
beat dev "$steady" 203.0.113.10 443
check "control: a sandbox is beating" within 10 beating "$steady"
for _ in 1 2 3; do rcc firewall apply >/dev/null; done
sleep 1
check "applying the same rules again cuts nothing" beating "$steady"
kill $!

config <<<'profiles.work.allow = [{ address = "10.1.2.3", ports = [5432] }]'
check "a config with an exception is applied" rcc firewall apply
excepted=$(token)
beat dev "$excepted" 10.1.2.3 5432 --profile work
check "control: the exception is beating" within 10 beating "$excepted"
config <<<'profiles.work.allow = [{ address = "10.1.2.4", ports = [5432] }]'
check "a config without that exception is applied" rcc firewall apply
sleep 1
check "taking an exception back cuts what runs through it" silent "$excepted"
