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
    set_up && as-user dev rcc run -- true
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

service_stop
check "no service, so no resolver" refused 'resolver of the sandboxes does not answer' \
    'sudo systemctl restart rcc-firewall' 'sudo rcc firewall apply --watch'
check "no service: offline runs all the same" as-user dev rcc run --profile offline -- true
nft delete table inet rcc
check "no rules" refused 'sudo rcc (firewall apply|init)'
check "no rules: offline runs all the same" as-user dev rcc run --profile offline -- true
check "applied again" rcc firewall apply
check "that starts no resolver" refused 'resolver of the sandboxes does not answer'
service_start
check "control: it runs again" as-user dev rcc run -- true
kill -STOP "$service"
check "a service that hangs" refused 'resolver of the sandboxes does not answer' 'rcc-firewall'
nft delete table inet rcc
check "a service that hangs, and no rules" refused 'sudo rcc (firewall apply|init)'
kill -CONT "$service"
check "it mends that itself when it goes on" within 10 as-user dev rcc run -- true

echo "localhost 127.0.0.1" >>/mnt/log/dns
mark=$(token)
beat dev "$mark" 203.0.113.10 443
check "control: a sandbox runs" within 10 beating "$mark"
service_kill
check "it goes on without the service" beating "$mark"
python3 "$lib/dns.py" 127.82.67.53 &
other=$!
check "but not while another DNS server would answer it in the resolver's place" within 8 silent "$mark"
check "and is told why" within 5 grep -q 'another DNS server answers' "/run/$mark"
kill $other
service_start
for address in 127.82.67.53 0.0.0.0; do
    service_stop
    python3 "$lib/dns.py" $address &
    other=$!
    check "control: another DNS server is at $address" within 5 says "$address:53" -- ss -Huln
    : >/run/service.log
    service_start
    check "that is where the resolver should be, and the service logs it" \
        says 'cannot listen on 127.82.67.53:53 .*in use.*ss -tulpn' -- cat /run/service.log
    check "and nothing starts, whatever that one answers" refused 'resolver of the sandboxes does not answer' 'rcc-firewall'
    check "control: the service still tries" kill -0 "$service"
    check "and logs it once" [ "$(grep -c 'cannot listen' /run/service.log)" = 1 ]
    kill $other
    wait $other 2>/dev/null
    check "when that one is gone, the service mends it by itself" within 5 as-user dev rcc run -- true
done

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

ip address add 203.0.114.2/24 dev eth0
check "the host's network has changed, and the service follows it" within 3 as-user dev rcc run -- true
service_stop
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
check "the host's network has changed, and no service follows it" refused 'sudo rcc firewall apply'
check "applied again" rcc firewall apply
service_start
check "no IPv6 on the host: public over IPv4, nothing private" reach --v4 -- as-user dev rcc run --
