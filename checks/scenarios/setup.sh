# `rcc setup` says for each requirement what is wrong and what mends it, and mends it if allowed.
projects
mv /usr/bin/pasta /run/pasta
check "a user without anything: not ready" fails as-user dev rcc setup </dev/null
check "it names what is missing and what mends it" says 'pasta.*' 'passt' 'sudo rcc init|rcc setup' -- as-user dev rcc setup </dev/null
check "it changed nothing" fails test -e /etc/rcc
check "it is JSON on demand" bash -c 'as-user dev rcc setup --json </dev/null | python3 -m json.tool'
mv /run/pasta /usr/bin/pasta
# The world has no systemd: what keeps the service running is another one's work.
as_root() { env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc setup --yes </dev/null; }
check "as root it sets up everything but the service, and says what to run" \
    says 'firewall rules +in force' 'missing +resolver .*keep `rcc firewall apply --watch` running' -- as_root
check "the user is not ready" exits 1 as-user dev rcc setup </dev/null
check "as a sandbox without the service is refused" exits 125 as-user dev rcc run -- true
service_start
check "with the service, nothing is left to do" as_root
check "then the user is ready" as-user dev rcc setup </dev/null
check "and a sandbox runs" as-user dev rcc run -- true
check "once more changes nothing" as_root
service_stop
nft flush ruleset
check "the rules lost: not ready, and it says so" says 'firewall rules +absent|missing' -- as-user dev rcc setup </dev/null
check "with exit status 1" exits 1 as-user dev rcc setup </dev/null
check "Claude Code is found on the host" says 'claude' -- as-user dev rcc setup --agent claude </dev/null
rcc init --undo >/dev/null 2>&1
config <<<'users = ["root"]'
service_start
check "whoever calls sudo is set up too, where the configuration names others" as_root
check "and is ready" as-user dev rcc setup </dev/null
service_stop
rcc init --undo --purge >/dev/null 2>&1
# As a service manager would that was told of it before: there is nothing for it to follow yet.
service_start
check "one command from nothing to the agent: it says which question to answer, without a terminal" \
    says 'rcc setup --yes' -- bash -c 'cd ~/project && rcc claude --setup --version </dev/null'
check "and with the answer given it is set up and runs" \
    says '^2\.1\.' -- bash -c 'cd ~/project && rcc claude --setup --yes --version </dev/null'
check "the rules are in force now" rcc firewall status
