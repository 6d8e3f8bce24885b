# Whatever is missing or wrong, nothing starts, and the error names the cause and the remedy.
ready
cp -a /etc/subuid /etc/subgid /run/

# refused PATTERN...: rcc run starts nothing and says these things.
refused() {
    rm -f /home/dev/project/started
    exits 125 as-user dev rcc run -- touch started || return
    [[ ! -e /home/dev/project/started ]] || { echo "the command ran"; return 1; }
    says "$@" -- as-user dev rcc run -- true
}
mended() {
    rm -rf /etc/rcc
    cp -a /run/subuid /run/subgid /etc/
    ready && as-user dev rcc run -- true
}
without() { # without PROGRAM COMMAND...: while that program is not installed
    local path status=0
    path=$(command -v "$1")
    mv "$path" /run/hidden
    "${@:2}" || status=$?
    mv /run/hidden "$path"
    return $status
}

check "control: it runs" as-user dev rcc run -- true

nft delete table inet rcc
check "no rules" refused 'sudo rcc (firewall apply|init)'
check "no rules: offline runs all the same" as-user dev rcc run --profile offline -- true
check "applied again" rcc firewall apply
check "control: it runs again" as-user dev rcc run -- true

config <<<'profiles.work.allow = [{ address = "10.1.2.3", ports = [5432] }]'
check "rules of another config" refused 'sudo rcc firewall apply'
chmod 0600 /etc/rcc/config.toml
check "config not readable" refused '/etc/rcc/config.toml'
chown dev /etc/rcc/config.toml && chmod 0644 /etc/rcc/config.toml
check "config not owned by root" refused '/etc/rcc/config.toml' 'root'
check "config not owned by root: apply refuses it too" fails rcc firewall apply
chown root /etc/rcc/config.toml && chmod 0666 /etc/rcc/config.toml
check "config writable by others" refused '/etc/rcc/config.toml'
config <<<'profiles = "no'
check "config with a syntax error" refused '/etc/rcc/config.toml' '1'
check "mended" mended

sed -i '/^4242:/d' /etc/subuid
check "no identity in /etc/subuid" refused 'sudo rcc init'
check "mended" mended
sed -i '/^4242:/d' /etc/subgid
check "no identity in /etc/subgid" refused 'sudo rcc init'
check "mended" mended

check "pasta not installed" without pasta refused 'pasta is not installed' 'rcc setup'
check "newuidmap not installed" without newuidmap refused 'newuidmap is not installed' 'rcc setup'
config <<<'profiles.work.allow = [{ address = "10.1.2.3", ports = [5432] }]'
before=$(nft -s list ruleset)
check "nft not installed: apply fails and says so" without nft says 'nftables' -- rcc firewall apply
check "nft not installed: the rules are untouched" [ "$before" = "$(nft -s list ruleset)" ]
check "mended" mended

echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
check "the host's network has changed, and no service follows it" refused 'sudo rcc firewall apply'
check "applied again" rcc firewall apply
check "no IPv6 on the host: public over IPv4, nothing private" reach --v4 -- as-user dev rcc run --
