# A power cut at any moment of `rcc init`, or of a change of what is allowed, leaves what was or what is to be, and the
# next `rcc init` mends what is half done.
. "$lib/../vm/words"

boot
login dev
check "it is undone, to begin with" as dev sudo rcc init --undo
vm sync
for part in 4 9 16; do
    as dev sudo rcc/target/release/rcc init --undo >/dev/null 2>&1
    vm sync
    as dev sudo rcc/target/release/rcc init >"$VM_DIR/init-$part" 2>&1 &
    sleep "$part"
    power_cut
    wait %% 2>/dev/null
    sed 's/^/  | /' "$VM_DIR/init-$part"
    boot
    login dev
    check "the tables of identities are whole ($part s)" vm \
        'awk -F: "NF != 3 || \$2 !~ /^[0-9]+$/ || \$3 !~ /^[0-9]+$/ { exit 1 }" /etc/subuid /etc/subgid && grep -q ^dev: /etc/subuid'
    check "init mends the rest ($part s)" as dev 'cd rcc && sudo target/release/rcc init'
    check "all is in force ($part s)" vm rcc firewall status
    check "a sandbox runs ($part s)" as dev 'cd project && rcc run -- true'
    check "no unit failed ($part s)" says '^running$' -- vm systemctl is-system-running
done

# What root allows for good is in the file when the command has ended, and the file is whole at any moment.
for part in 4 7; do
    as root 'n=0; while n=$((n + 1)); do
        rcc allow "10.1.$((n / 250)).$((n % 250 + 1)):443" >/dev/null && rcc firewall apply >/dev/null && echo "$n"
    done' >"$VM_DIR/allowed" 2>/dev/null &
    sleep "$part"
    power_cut
    wait %% 2>/dev/null
    last=$(tail -1 "$VM_DIR/allowed")
    echo "  (${last:-0} were allowed)"
    boot
    login dev
    check "the configuration is whole" vm rcc config check /etc/rcc/config.toml
    check "the rules are in force" vm rcc firewall status
    [[ -z $last ]] || check "what was allowed last is allowed" as dev rcc why "10.1.$((last / 250)).$((last % 250 + 1)):443"
    vm 'rm /etc/rcc/config.toml; rcc init'
done
