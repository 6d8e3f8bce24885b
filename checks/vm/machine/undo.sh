# `rcc init --undo` leaves nothing but the record of changes, --purge not that: /etc is what it was, and so is the machine after a reboot.
. "$lib/../vm/words"
boot
login dev
check "it is undone, but for the record of changes" says 'kept /var/log/rcc' -- as dev sudo rcc init --undo
check "and then with it" vm '/home/dev/rcc/target/release/rcc init --undo --purge'
check "once more is fine" vm '/home/dev/rcc/target/release/rcc init --undo --purge'

same_names() {
    vm 'find /etc -xdev ! -name "*-" ! -name .pwd.lock -printf "%y %m %u %g %p %l\n" | sort | diff /root/etc.list -'
}
same_files() {
    vm 'find /etc -xdev -type f ! -name "*-" ! -name .pwd.lock -exec sha256sum {} + | sort -k 2 | diff /root/etc.sums -'
}
check "/etc has the files, modes and owners that it had" same_names
check "and the same in them" same_files
nothing_elsewhere() {
    vm 'set -o pipefail; find / -ignore_readdir_race -xdev -path /home -prune -o -path /root -prune -o -name "*rcc*" -print |
        sed -E "\\%^/(var/log/journal|proc|sys|usr/(share|lib|src)|var/lib/(dpkg|apt))/%d"' >"$VM_DIR/elsewhere" &&
        ! grep . "$VM_DIR/elsewhere"
}
check "nothing of it is left elsewhere" nothing_elsewhere
# Not `fails`: a session that broke off is no proof that there is nothing.
no_table() { vm 'nft list tables' >"$VM_DIR/tables" && ! grep rcc "$VM_DIR/tables"; }
check "no rule is left" no_table
reboot
check "no unit failed" says '^running$' -- vm systemctl is-system-running
check "nor comes back at boot" no_table
