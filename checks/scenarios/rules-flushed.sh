# When the rules go or change under a running sandbox, its network is gone within a second, or the service
# has put them back by then: nothing private is in reach after that.
ready

# cut_by USER SENTENCE COMMAND...: without the service, the command cuts the running sandbox of that user.
cut_by() {
    local beat launcher
    beat=$(token)
    beat "$1" "$beat" 203.0.113.10 443
    launcher=$!
    check "control: $1: a sandbox is beating" within 10 beating "$beat"
    service_stop
    check "$1: $2" "${@:3}"
    sleep 1
    check "cuts its network" silent "$beat"
    check "and it says so" says 'rcc firewall (apply|status)' -- cat "/run/$beat"
    kill $launcher 2>/dev/null
    wait $launcher 2>/dev/null
    service_start
}

# closed_after SENTENCE COMMAND...: with the service, whether a sandbox lives on or not, and though it has
# tried all the time: what is private but for the rules' sake is not reached once a second has passed.
closed_after() {
    local public private tried beats=()
    check "applied again" rcc firewall apply
    public=$(token) private=$(token) tried=$(tries)
    beat dev "$public" 203.0.113.10 443
    beats+=($!)
    beat dev "$private" 198.51.100.20 443
    beats+=($!)
    check "control: a sandbox is beating" within 10 beating "$public"
    check "control: another one tries what is private" within 10 more_tries "$tried"
    check "control: in vain" test "$(arrived "$private")" = 0
    check "$1" "${@:2}"
    sleep 1
    check "with the service: what is private is not in reach" still "$private"
    if beating "$public" >/dev/null; then echo "         and the sandbox lives on"; else echo "         and the sandbox is cut"; fi
    kill "${beats[@]}" 2>/dev/null
    wait "${beats[@]}" 2>/dev/null
}
# tries: how many sandboxes were denied it; more_tries NUMBER.
tries() { as-user dev rcc denials --json 2>/dev/null | grep -cF '"198.51.100.20","port":443'; }
more_tries() { (($(tries) > $1)); }
# still TOKEN: it does not arrive for a whole second, if it ever did.
still() {
    local before
    before=$(arrived "$1")
    sleep 1
    (($(arrived "$1") == before)) || { echo "$before arrivals, then $(arrived "$1")"; return 1; }
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
    cut_by "$user" "all rules flushed" nft flush ruleset
    cut_by "$user" "the table deleted" nft delete table inet rcc
    cut_by "$user" "the output chain emptied" empty_output_chain
    cut_by "$user" "a rule put first that accepts everything" accept_everything_first
done
cut_by dev "the table made dormant" make_dormant
cut_by dev "an empty table in its place" put_another_table_in_its_place

closed_after "all rules flushed" nft flush ruleset
check "and they are back" within 3 rcc firewall status
closed_after "the table deleted" nft delete table inet rcc
check "and it is back" within 3 rcc firewall status
closed_after "an empty table in its place" put_another_table_in_its_place
check "and the rules are back" within 3 rcc firewall status
closed_after "the output chain emptied" empty_output_chain
closed_after "a rule put first that accepts everything" accept_everything_first
closed_after "the table made dormant" make_dormant

check "applied again" rcc firewall apply
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
