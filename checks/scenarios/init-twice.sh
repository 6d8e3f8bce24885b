# `rcc init` and `rcc init --undo` can be run twice; after the undo no trace is left.
projects
# Everything that was written (the upper layer of the overlay), and the kernel's network state.
find / -xdev -type d >/run/directories
state() {
    cd /mnt/upper || return
    # The record of changes grows with each; that it is there counts.
    find . -type f ! -path ./var/log/rcc/policy.log -exec sha256sum {} + | sort
    find . ! -type d -printf '%y %m %U:%G %p %l\n' | sort
    find . -type d -printf '/%P\n' | grep -vxFf /run/directories | sort
    find /run /home /root -xdev ! -path '/run/checks*' ! -path '/run/state*' ! -path /run/service.log -printf '%y %m %U:%G %p\n' | sort
    nft -s list ruleset
    ip -o addr
    ip route show table all
    grep -r . /proc/sys/net/ipv4/{ip_forward,ping_group_range} /proc/sys/net/ipv4/conf/*/forwarding
}
same() { diff "/run/state.$1" "/run/state.$2"; }

state >/run/state.before
check "init" env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc init
state >/run/state.once
check "control: it left something" fails same before once
service_start
check "a sandbox starts" as-user dev rcc run -- true
state >/run/state.once
check "init again" env SUDO_USER=dev SUDO_UID=4242 SUDO_GID=4242 rcc init
state >/run/state.twice
check "the second changed nothing" same once twice
check "a sandbox still starts" as-user dev rcc run -- true
rm -rf /home/dev/.local /home/dev/.config # what is the user's own is not init's
check "undo, with the service that nobody stopped: not everything, and it says so" \
    says 'not everything' 'stop it first' -- rcc init --undo
service_stop
check "undo, which keeps the record of changes" says 'kept /var/log/rcc' -- rcc init --undo
check "and is in it, with who did it" says '"done".*"undo"' -- grep undo /var/log/rcc/policy.log
check "as is init" says '"done".*"sudo_uid":4242.*"init"' -- grep '"init"' /var/log/rcc/policy.log
check "undo with the record" rcc init --undo --purge
state >/run/state.undone
check "no trace is left" same before undone
check "undo again" rcc init --undo --purge
state >/run/state.undone
check "still none" same before undone
check "nothing starts any more" exits 125 as-user dev rcc run -- true
