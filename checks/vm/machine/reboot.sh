# After a reboot and after a power cut the rules are in force before anybody can log in; whatever befalls the service,
# the rules stay and it comes back.
. "$lib/../vm/words"

# entered UNIT: microseconds after the kernel's start.
entered() { vm systemctl show -P ActiveEnterTimestampMonotonic "$1"; }
before_logins() {
    local rules later unit
    rules=$(entered rcc-firewall.service)
    for unit in network-pre.target systemd-user-sessions.service ssh.service getty@tty1.service; do
        later=$(entered "$unit")
        ((0 < rules && rules <= later)) || { echo "$unit was there at $later, the rules at $rules"; return 1; }
    done
}
works() {
    check "the rules were there before the network and before any login could be ($1)" before_logins
    # What it has seen has seen it before the first login was possible.
    check "and were in force then ($1)" says '^in force$' -- vm cat /run/rules-before-login
    check "they are now ($1)" vm rcc firewall status
    check "a sandbox runs ($1)" as dev 'cd project && rcc run -- true'
    check "no unit failed ($1)" says '^running$' -- vm systemctl is-system-running
}

boot
put root /etc/systemd/system/rules-before-login.service <<'UNIT'
[Unit]
Before=systemd-user-sessions.service ssh.service getty.target
After=rcc-firewall.service
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'nft list table inet rcc >/dev/null && echo in force >/run/rules-before-login'
[Install]
WantedBy=multi-user.target
UNIT
vm systemctl enable rules-before-login.service
vm sync
reboot
login dev
works "after a reboot"

check "who kills the service leaves the rules" vm 'systemctl kill --signal=KILL rcc-firewall.service; nft list table inet rcc'
check "and it comes back" within 60 vm 'systemctl is-active rcc-firewall.service && rcc firewall status'
check "who stops it leaves the rules" vm 'systemctl stop rcc-firewall.service && nft list table inet rcc'
check "but nothing starts" fails as dev 'cd project && rcc run -- true'
check "until it runs again" vm 'systemctl start rcc-firewall.service && rcc firewall status'

power_cut
boot
login dev
works "after a power cut"
