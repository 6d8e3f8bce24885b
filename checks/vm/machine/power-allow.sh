# A power cut while root changes for good what is allowed: that is in force and on file when the command has ended, and the
# file is whole at any moment.
. "$lib/../vm/words"

boot
login dev
# The cut comes while the second one is put into force, then while the third one is written.
for step in '2 allowed' '2 applied'; do
    as root 'n=0; while n=$((n + 1)); do
        rcc allow "10.1.0.$n:443" >/dev/null && echo "$n allowed" && rcc firewall apply >/dev/null && echo "$n applied" || exit
    done' >"$VM_DIR/allowed" 2>"$VM_DIR/allowed-not" &
    cut_upon "$step" "$VM_DIR/allowed"
    check "two were allowed before the cut" test "$(grep -c allowed "$VM_DIR/allowed")" -ge 2
    check "and nothing was refused" never_says . -- cat "$VM_DIR/allowed-not"
    last=$(sed -n 's/ allowed$//p' "$VM_DIR/allowed" | tail -1)
    boot
    login dev
    check "the configuration is whole (cut upon $step)" vm rcc config check /etc/rcc/config.toml
    check "the rules are in force" vm rcc firewall status
    check "what was allowed last is allowed" as dev rcc why "10.1.0.$last:443"
    vm 'rm /etc/rcc/config.toml; rcc init' >/dev/null
done
