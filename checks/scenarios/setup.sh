# `rcc setup` says for each requirement what is wrong and what mends it, and mends it if allowed.
projects
mv /usr/bin/pasta /run/pasta
check "a user without anything: not ready" fails as-user dev rcc setup </dev/null
check "it names what is missing and what mends it" says 'pasta.*' 'passt' 'sudo rcc init|rcc setup' -- as-user dev rcc setup </dev/null
check "it changed nothing" fails test -e /etc/rcc
check "it is JSON on demand" bash -c 'as-user dev rcc setup --json </dev/null | python3 -m json.tool'
mv /run/pasta /usr/bin/pasta
check "as root it sets everything up" env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc setup --yes </dev/null
check "then the user is ready" as-user dev rcc setup </dev/null
check "and a sandbox runs" as-user dev rcc run -- true
check "once more changes nothing" env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc setup --yes </dev/null
nft flush ruleset
check "the rules lost: not ready, and it says so" says 'firewall rules +absent|missing' -- as-user dev rcc setup </dev/null
check "with exit status 1" exits 1 as-user dev rcc setup </dev/null
check "Claude Code is found on the host" says 'claude' -- as-user dev rcc setup --agent claude </dev/null
rcc init --undo >/dev/null 2>&1
config <<<'users = ["root"]'
check "whoever calls sudo is set up too, where the configuration names others" \
    env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc setup --yes </dev/null
check "and is ready" as-user dev rcc setup </dev/null
rcc init --undo --purge >/dev/null 2>&1
check "one command from nothing to the agent: it says which question to answer, without a terminal" \
    says 'rcc setup --yes' -- bash -c 'cd ~/project && rcc claude --setup --version </dev/null'
check "and with the answer given it is set up and runs" \
    says '^2\.1\.' -- bash -c 'cd ~/project && rcc claude --setup --yes --version </dev/null'
check "the rules are in force now" rcc firewall status
