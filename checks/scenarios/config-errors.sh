# A mistake in a config is shown with file, line and key and what is allowed; the loaded rules stay.
ready
loaded=$(nft -s list table inet rcc)

# mistaken PATTERN...: standard input as a config is refused with these words, and nothing is loaded.
mistaken() {
    config
    exits 1 rcc config check /etc/rcc/config.toml >/dev/null 2>&1 || return
    says /etc/rcc/config.toml "$@" -- rcc config check /etc/rcc/config.toml || return
    says /etc/rcc/config.toml "$@" -- rcc firewall apply || return
    fails rcc firewall apply >/dev/null 2>&1 || return
    [[ $loaded == "$(nft -s list table inet rcc)" ]] || { echo "the rules changed"; return 1; }
}
exception() { printf '# first line\n[profiles.work]\nallow = [%s]\n' "$1"; }

check "unknown key, with a suggestion" mistaken profils profiles '\b1\b' <<<'[profils.work]'
check "syntax" mistaken '\b2\b' <<<$'# ok\nprofiles = ['
check "duplicate key" mistaken 'duplicate' '\b3\b' < <(printf '[profiles.work]\nallow = []\nallow = []\n')
check "address" mistaken 10.0.0.256 allow '\b3\b' < <(exception '{ address = "10.0.0.256", ports = [1] }')
check "prefix length" mistaken 10.0.0.0/33 '\b3\b' < <(exception '{ address = "10.0.0.0/33", ports = [1] }')
check "port 0" mistaken port 65535 '\b3\b' < <(exception '{ address = "10.0.0.1", ports = [0] }')
check "port 65536" mistaken port 65535 < <(exception '{ address = "10.0.0.1", ports = [65536] }')
check "no ports" mistaken port < <(exception '{ address = "10.0.0.1" }')
check "protocol" mistaken protocol tcp udp < <(exception '{ address = "10.0.0.1", ports = [1], protocol = "icpm" }')
check "domain with a NUL" mistaken domain < <(exception '{ domain = "git\u0000.test", ports = [1] }')
check "domain with an overlong label" mistaken 63 < <(exception "{ domain = \"$(printf 'a%.0s' {1..64}).test\", ports = [1] }")
check "address as a domain" mistaken address < <(exception '{ domain = "10.0.0.1", ports = [1] }')
check "a rule in a name" mistaken domain < <(exception '{ domain = "x; add rule inet rcc output accept", ports = [1] }')
check "offline cannot be changed" mistaken offline < <(printf '[profiles.offline]\nallow = []\n')
check "not UTF-8" mistaken UTF-8 < <(printf 'profiles = "\xff"\n')

config <<<'network.privat = []'
kill -HUP "$service"
check "the service logs what it is told to read and cannot" within 5 says 'cannot load .*/etc/rcc/config.toml: 1 mistake.*rcc config check' -- cat /run/service.log
check "and the rules stay" [ "$loaded" = "$(nft -s list table inet rcc)" ]
check "and it goes on" kill -0 "$service"

rm /etc/rcc/config.toml && mkdir /run/elsewhere && touch /run/elsewhere/config.toml
ln -s /run/elsewhere/config.toml /etc/rcc/config.toml
check "a symlink is followed only where root alone could have put it, or refused" \
    [ "$loaded" = "$(rcc firewall apply >/dev/null 2>&1; nft -s list table inet rcc)" ]
rm /etc/rcc/config.toml && ln -s /home/dev/mine.toml /etc/rcc/config.toml && install -o dev /dev/null /home/dev/mine.toml
check "a symlink to a user's file is refused" fails rcc firewall apply
rm /etc/rcc/config.toml

cd /home/dev/project || exit
printf '[[mounts]]\nsource = "/home/dev/.ssh"\n' >.rcc.toml
check "a project file that widens is refused, and says where the key belongs" \
    says .rcc.toml mounts '.config/rcc/config.toml' -- as-user dev rcc run -- true
check "and starts nothing" exits 125 as-user dev rcc run -- true
