# The boot service puts a changed configuration into force when it is told to reload, and says so.
ready
service_stop
check "without the service: refused, and says what to do" \
    says 'not running' 'rcc firewall apply' -- rcc firewall reload
check "with the exit status of a refusal" exits 125 rcc firewall reload
check "a user may not" says 'belongs to root' -- as-user dev rcc firewall reload

# The commands of the unit, without any program on the path.
unit=$(as-user dev rcc init --print-unit)
directive() { sed -n "s/^$1=//p" <<<"$unit"; }
read -ra start <<<"$(directive ExecStart)"
read -ra reload <<<"$(directive ExecReload)"
check "a user can print the unit, which starts this program" test "${start[*]}" = "$(realpath "$(command -v rcc)") firewall apply --watch"
check "systemd accepts the unit" bash -c '
    cat >/run/rcc-firewall.service && systemd-analyze verify /run/rcc-firewall.service' <<<"$unit"
check "and nothing was installed by printing" fails test -e /etc/systemd/system/rcc-firewall.service

service_start
reload() { env -i PATH=/nonexistent MAINPID=$service "${reload[@]}"; }
check "a reload of the same configuration" reload

config <<<'network.private = ["203.0.113.0/24"]'
check "control: a change alone does nothing" says stale -- rcc firewall status
check "a reload" reload
check "puts it into force before it returns" says '^in force' -- rcc firewall status
denied=$(token)
as-user dev rcc run -- timeout 3 bash -c "exec 3<>/dev/tcp/203.0.113.10/443; echo $denied >&3" 2>/dev/null
check "the new prefix is denied" test "$(arrived "$denied")" = 0
config <<<''
check "a reload of the old configuration" reload
allowed=$(token)
as-user dev rcc run -- timeout 3 bash -c "exec 3<>/dev/tcp/203.0.113.10/443; echo $allowed >&3" 2>/dev/null
check "control: and it is allowed again" test "$(arrived "$allowed")" -gt 0

config <<<'network.privat = []'
check "a mistake is shown to who reloads" says config.toml 'did you mean' -- reload
config <<<''
check "and the rules are as they were" says '^in force' -- rcc firewall status

config <<<'profiles.first.allow = []
profiles.second.allow = [{ address = "10.1.2.3", ports = [5432] }]'
check "two profiles" reload
as-user dev rcc run --profile second -- sleep 60 2>/dev/null &
sandbox=$!
check "control: a sandbox runs" within 10 bash -c 'as-user dev rcc ps | grep -q second'
config <<<'profiles.second.allow = [{ address = "10.1.2.3", ports = [5432] }]
profiles.first.allow = []'
check "what would move a running sandbox is refused" says 'sandbox running' 'rcc stop' -- reload
as-user dev rcc stop --all >/dev/null
wait $sandbox
check "without the sandbox it is put into force" reload

# As on NixOS, where every file of the Nix store has the same age.
stored() {
    cat >"/etc/rcc/$1.toml"
    touch -d @1 "/etc/rcc/$1.toml"
    ln -sfn "$1.toml" /etc/rcc/config.toml
}
for user in dev root; do
    stored one <<<'network.private = []'
    check "a configuration of the store" reload
    steady=$(token)
    beat $user "$steady" 203.0.113.10 443
    sandbox=$!
    check "control: $user: a sandbox is beating" within 10 beating "$steady"
    stored two <<<'network.private = ["203.0.113.128/25"]'
    check "another one, just as old" reload
    sleep 1
    check "$user: the running sandbox notices it and goes on" beating "$steady"
    kill $sandbox
    wait $sandbox 2>/dev/null
done

kill -STOP $service
config <<<'network.private = ["203.0.113.0/24"]'
check "a service that does not answer: told, not awaited for ever" says 'within 20 s' journalctl -- reload
kill -CONT $service
check "and it does it later" within 10 rcc firewall status
service_stop
check "without it a reload is refused" fails reload
