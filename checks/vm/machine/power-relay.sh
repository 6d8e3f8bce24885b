# A power cut while messages are sent: none that the relay acknowledged is lost, and its audit is whole.
. "$lib/../vm/words"

read -r -d '' send <<'END'
import json, socket, sys
relay = socket.socket(socket.AF_UNIX)
relay.connect(sys.argv[1])
lines = relay.makefile("rw")
for number in range(100000):
    lines.write(json.dumps({"type": "send", "to": "user", "text": f"{sys.argv[2]}-{number}", "request": "x"}) + "\n")
    lines.flush()
    heard = json.loads(lines.readline())
    if "error" in heard:
        print("refused:", heard, file=sys.stderr)
        break
    print(heard["data"]["id"], flush=True)
END
# How many receipts have come. A line that the cut has halved is none.
receipts() { grep -cE '^[0-9a-f]{32}$' "$VM_DIR/acknowledged"; }
at_least() { (($(receipts) >= $1)); }

boot
login dev
# No limit of the relay's is to end the writes before the cut does.
as dev 'umask 022; mkdir -p ~/.config/rcc; cat >~/.config/rcc/config.toml' <<'TOML'
[relay]
rate_limit = 1000000
stored_messages = 1000000
TOML
check "dev's relay is installed" as dev rcc relay install
vm sync
for receipts in 20 150 400; do
    : >"$VM_DIR/acknowledged"
    as dev "python3 -c $(printf %q "$send") /run/user/\$(id -u)/rcc/relay/relay.sock r$receipts" \
        >"$VM_DIR/acknowledged" 2>"$VM_DIR/refused" &
    sender=$!
    check "messages are sent (cut after $receipts)" within 120 at_least "$receipts"
    # The cut comes upon the next receipt: others are on their way.
    before=$(receipts)
    within 10 at_least $((before + 1)) >/dev/null
    power_cut
    wait "$sender"
    # What ssh says of a session that broke off; a sender that ends by itself has another status.
    check "the cut ends the sending, and nothing else ($receipts)" test $? == 255
    check "no message was refused ($receipts)" never_says refused -- cat "$VM_DIR/refused"
    check "receipts came until the cut ($receipts)" at_least $((before + 1))
    grep -E '^[0-9a-f]{32}$' "$VM_DIR/acknowledged" | sort >"$VM_DIR/sent"
    echo "  ($(wc -l <"$VM_DIR/sent") were acknowledged before the cut)"
    boot
    login dev
    check "the relay is there again ($receipts)" within 60 as dev rcc relay status
    as dev rcc relay inbox --keep --json | sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p' | sort >"$VM_DIR/there"
    check "no message is lost that was acknowledged ($receipts)" never_says . -- comm -23 "$VM_DIR/sent" "$VM_DIR/there"
    check "the audit is whole ($receipts)" says whole -- as dev rcc relay audit --verify
    check "the relay takes the next message ($receipts)" as dev rcc relay send user after
done
