# A power cut at any moment of `rcc init` leaves what was or what is to be, and the next `rcc init` mends what is half
# done. VM_ALL has more of these moments.
. "$lib/../vm/words"
steps=('allotted network identities' 'wrote .*rcc-firewall.service')
[[ ! ${VM_ALL-} ]] || steps+=('wrote /etc/rcc/config' 'installed .*libexec/rcc/rcc$')

boot
login dev
check "it is undone, to begin with" as dev sudo rcc init --undo
for step in "${steps[@]}"; do
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
