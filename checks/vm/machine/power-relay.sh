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
boot
login dev
check "dev's relay is installed" as dev rcc relay install
vm sync
for round in 1 2 3; do
    as dev "python3 -c $(printf %q "$send") /run/user/\$(id -u)/rcc/relay/relay.sock r$round" \
        >"$VM_DIR/acknowledged-$round" 2>"$VM_DIR/refused-$round" &
    within 60 test -s "$VM_DIR/acknowledged-$round"
    sleep $((round * 2))
    power_cut
    wait %% 2>/dev/null
    cat "$VM_DIR/refused-$round"
    # A line that the cut has halved was not heard.
    grep -E '^[0-9a-f]{32}$' "$VM_DIR/acknowledged-$round" | sort >"$VM_DIR/sent-$round"
    boot
    login dev
    within 60 as dev rcc relay status >/dev/null
    as dev rcc relay inbox --keep --json | sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p' | sort >"$VM_DIR/there"
    echo "  (acknowledged before the cut: $(wc -l <"$VM_DIR/sent-$round"))"
    check "some were acknowledged (cut $round)" test -s "$VM_DIR/sent-$round"
    check "none of them is lost (cut $round)" never_says . -- comm -23 "$VM_DIR/sent-$round" "$VM_DIR/there"
    check "the audit is whole (cut $round)" says whole -- as dev rcc relay audit --verify
    check "the relay takes the next message (cut $round)" as dev rcc relay send user after
done
