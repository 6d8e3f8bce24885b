# A power cut at any moment of `rcc init`, or of a change of what is allowed, leaves what was or what is to be, and the
# next `rcc init` mends what is half done.
. "$lib/../vm/words"

# cut_upon TEXT FILE: the power is cut when the file, which the machine writes, has that line.
cut_upon() {
    within 120 grep -q "$1" "$2" >/dev/null
    power_cut
    wait %% 2>/dev/null
    sed 's/^/  | /' "$2"
}

boot
login dev
check "it is undone, to begin with" as dev sudo rcc init --undo
for step in 'wrote /etc/rcc/config' 'allotted network identities' 'installed .*libexec/rcc/rcc$' 'wrote .*rcc-firewall.service'; do
    as dev sudo rcc/target/release/rcc init --undo >/dev/null 2>&1
    vm sync
    as dev sudo rcc/target/release/rcc init >"$VM_DIR/init" 2>&1 &
    cut_upon "$step" "$VM_DIR/init"
    check "the cut comes upon: $step" grep "$step" "$VM_DIR/init"
    check "and before the end" fails grep '^started' "$VM_DIR/init"
    boot
    login dev
    check "the tables of identities are whole" vm \
        'awk -F: "NF != 3 || \$2 !~ /^[0-9]+$/ || \$3 !~ /^[0-9]+$/ { exit 1 }" /etc/subuid /etc/subgid && grep -q ^dev: /etc/subuid'
    check "init mends the rest" as dev 'cd rcc && sudo target/release/rcc init'
    check "all is in force" vm rcc firewall status
    check "a sandbox runs" as dev 'cd project && rcc run -- true'
    check "no unit failed" says '^running$' -- vm systemctl is-system-running
done

# What root allows for good is in the file when the command has ended, and the file is whole at any moment. The cut comes
# while the second one is put into force, then while the third one is written.
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
