# On a machine whose files are declared (NixOS): login names own the identities, and nothing is edited.
touch /etc/NIXOS
first=1919090688 # src/policy/identity.rs
declare_ranges() {
    printf '%s\n' "dev:100000:65536" "$@" | tee /etc/subuid >/etc/subgid
}
declare_ranges
projects
config <<<'users = ["dev", "root"]'
before=$(cat /etc/subuid /etc/subgid)

check "a user without identities is told to declare them" \
    says 'network identities.*services.rcc.users = \[ "dev" \];' 'firewall rules.*services.rcc.enable = true;' -- \
    as-user dev rcc setup </dev/null
check "init refuses and names the module" says 'declared, not edited.*the rcc module' -- rcc init --user dev
check "setup changes nothing either" fails rcc setup --yes
check "the files are as they were" [ "$before" = "$(cat /etc/subuid /etc/subgid)" ]
check "nor was a service installed" fails test -e /etc/systemd/system/rcc-firewall.service

declare_ranges "dev:$first:1024" "root:$((first + 1024)):1024"
ready
for user in dev root; do
    check "$user: what is declared by name is what a sandbox needs" reach -- as-user $user rcc run --
done
check "dev: setup has nothing to add" as-user dev rcc setup </dev/null

declare_ranges "dev:$first:1024" "root:$first:1024"
rcc firewall apply
check "a range that two names share belongs to neither" fails as-user dev rcc run -- true
