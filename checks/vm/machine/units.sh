# The units that rcc has beside the firewall's, under a real systemd: the relay of a user and the system's, with their
# sockets, and the broker that has a credential of root's.
. "$lib/../vm/words"
boot
login dev
login stranger

check "dev's relay is installed" as dev rcc relay install
check "systemd has nothing against its units" never_says . -- \
    as dev 'systemd-analyze --user verify ~/.config/systemd/user/rcc-relay.socket ~/.config/systemd/user/rcc-relay.service'
check "it runs" says '^your relay' -- as dev rcc relay status
as dev systemctl --user stop rcc-relay.service
check "who comes to its socket starts it" says '^your relay' -- as dev rcc relay status
check "a message is taken and there" says hello -- as dev 'rcc relay send user hello && rcc relay inbox'
pid=$(as dev systemctl --user show -P MainPID rcc-relay.service)
check "a reload keeps the process" says "^$pid\$" -- \
    as dev 'systemctl --user reload rcc-relay.service && systemctl --user show -P MainPID rcc-relay.service'
as dev systemctl --user kill --signal=KILL rcc-relay.service
check "killed, it comes back" within 30 as dev rcc relay status
check "with an audit that is whole" says whole -- as dev rcc relay audit --verify

check "the system's relay is installed" as dev sudo rcc relay install --system --member dev
check "systemd has nothing against these units" never_says . -- \
    vm systemd-analyze verify rcc-relay.socket rcc-relay.service
check "it has no privilege" says '^rcc-relay$' -- vm 'ps -o user= -p $(systemctl show -P MainPID rcc-relay.service)'
check "who is not of its group does not reach it" fails as stranger rcc relay status --system
check "who is, does after the next login" says "^the system's relay" -- vm su --login dev --command "'rcc relay status --system'"
vm systemctl stop rcc-relay.service
check "who comes to its socket starts it" says "^the system's relay" -- \
    vm su --login dev --command "'rcc relay status --system'"

vm 'install -d -m 0755 /etc/rcc/plugins && install -d -m 0700 /etc/rcc/credentials
    umask 077 && echo canary-5f0d2b7a >/etc/rcc/credentials/any'
put root /etc/rcc/plugins/any.toml <<'TOML'
version = 1
kind = "exec"
summary = "Runs anything, with a credential"
program = "/usr/bin/env"
profile = "offline"
project = "read-only"
[options]
unlisted = "pass"
[credentials.any]
systemd = "any"
variable = "SECRET_TOKEN"
TOML
vm chmod 0644 /etc/rcc/plugins/any.toml
vm 'rcc plugin unit >/etc/systemd/system/rcc-plugins@.service && systemctl daemon-reload'
check "systemd has nothing against the broker's unit" never_says . -- vm systemd-analyze verify rcc-plugins@dev.service
check "the broker starts" vm systemctl enable --now rcc-plugins@dev.service
check "it is dev's" says '^dev$' -- vm 'ps -o user= -p $(systemctl show -P MainPID rcc-plugins@dev.service)'
call='any sh -c "echo \"has \${#SECRET_TOKEN} bytes: \$SECRET_TOKEN\"; test -r /run/credentials || echo no credentials here"'
check "a tool has root's credential, and its caller does not" \
    says 'has 15 bytes: \[rcc: credential removed\]' 'no credentials here' -- \
    as dev "cd project && rcc run --profile offline -- sh -c $(printf %q "$call")"
check "it is nowhere in the sandbox" fails as dev \
    'cd project && rcc run --profile offline -- sh -c "env | grep canary; grep -rs canary-5f /run /tmp /etc /home"'
check "dev does not read the file" fails as dev cat /etc/rcc/credentials/any
vm systemctl kill --signal=KILL rcc-plugins@dev.service
check "killed, the broker comes back" within 30 as dev rcc plugin status

reboot
login dev
check "after a reboot the broker is there" vm systemctl is-active rcc-plugins@dev.service
check "and the system's relay" says "^the system's relay" -- as dev rcc relay status --system
check "and dev's, since the login" within 30 as dev rcc relay status
check "a message that was taken before is on record" says hello -- as dev 'rcc relay inbox --all'
check "no unit failed" says '^running$' -- vm systemctl is-system-running
check "nor one of dev's" says '^running$' -- as dev systemctl --user is-system-running
check "dev's relay is uninstalled" as dev rcc relay uninstall
check "and the system's" vm rcc relay uninstall --system
check "and its user stays with no process" fails vm pgrep -u rcc-relay
