# rcc is installed as README says, by an ordinary user with sudo, and works: the service, a sandbox, `rcc setup`.
. "$lib/../vm/words"
boot
check "the machine is whole before rcc comes to it" vm systemctl is-system-running
vm 'find /etc -xdev ! -name "*-" ! -name .pwd.lock -printf "%y %m %u %g %p %l\n" | sort >/root/etc.list
    find /etc -xdev -type f ! -name "*-" ! -name .pwd.lock -exec sha256sum {} + | sort -k 2 >/root/etc.sums
    ls -A /usr/local/bin /usr/local/libexec /run /var/log 2>/dev/null >/root/places'

login dev
as dev 'mkdir -p rcc/target/release project/src'
# Both programs lie in one directory, as where cargo makes them.
put dev rcc/target/release/rcc <"$RCC"
put dev rcc/target/release/rcc-guest <"${RCC%/*}/rcc-guest"
as dev 'chmod +x rcc/target/release/rcc rcc/target/release/rcc-guest
    echo "print(1)" >project/src/main.py; echo SECRET=hunter2 >project/.env'

installed() { as dev 'cd rcc && sudo target/release/rcc setup --yes'; }
check "an ordinary user installs it" installed
check "once more changes nothing and says so by its status" installed
check "rcc is a command" says '^/usr/local/bin/rcc$' -- as dev command -v rcc
check "the service of the firewall runs" vm systemctl is-active rcc-firewall.service
check "and comes back at boot" vm systemctl is-enabled rcc-firewall.service
check "the rules are in force" as dev rcc firewall status
check "all is well, says rcc setup to the user" as dev rcc setup
check "no unit failed" says '^running$' -- vm systemctl is-system-running
check "a sandbox runs" as dev 'cd project && rcc run -- true'
check "the project is in it, its secrets are not" says '^print\(1\)$' '^none$' -- \
    as dev 'cd project && rcc run -- sh -c "cat src/main.py; grep -s hunter2 .env || echo none"'
# The one way that is to be open leads to a name server, and there is none here.
closed() {
    local attempts
    attempts=$(as dev rcc firewall verify || true)
    echo "$attempts"
    grep -q ' attempts, ' <<<"$attempts" && ! grep FAILS <<<"$attempts" | grep -v '^a query to '
}
check "every way around the rules that we know is closed" closed
check "the journal of the service has no complaint" never_says . -- \
    vm 'journalctl --boot --unit rcc-firewall.service --priority warning --quiet'
shut_down
# The other checks begin here.
if ((failed < passed)); then mv "$disk" "$VM_INSTALLED"; fi
