# The agent sees the project and nothing else of the user's; excluded files are invisible.
ready
for home in /home/dev /root; do
    mkdir -p $home/.config/rcc $home/project/deep/er
    echo 'exclude = [".env", "*.key"]' >$home/.config/rcc/config.toml
    echo "SECRET=hunter2" >$home/project/deep/er/.env
    echo "hunter2" >$home/project/server.key
    echo "hunter2" >$home/beside.txt
    ln -s $home/.ssh/id_ed25519 $home/project/link-to-key
    ln -s .env $home/project/link-to-env
    ln -s / $home/project/link-to-root
done
chown -R dev:dev /home/dev

# inside USER SCRIPT: the output of a shell script in the sandbox of the user's project.
inside() { as-user "$1" rcc run --profile offline -- bash -c "$2" 2>&1; }
# hidden SECRET USER SCRIPT: the script runs to its end and does not get at the secret.
hidden() {
    local output
    output=$(inside "$2" "$3; echo; echo the-end")
    [[ $output == *the-end* ]] || { echo "the script did not end: $output"; return 1; }
    [[ $output != *"$1"* ]] || { echo "$output"; return 1; }
}

for user in dev root; do
    home=$(getent passwd $user | cut -d: -f6)
    check "$user: control: outside, the links lead to the secrets" \
        says PRIVATE hunter2 -- as-user $user cat link-to-key link-to-env server.key
    check "$user: the project is there, at its own path, and can be written" \
        says "^$home/project$" hello -- inside $user 'pwd; cat src/main.py; echo new >src/new.txt'
    check "$user: what was written is on the host, and the user's" says "^$user new" -- \
        bash -c "echo \$(stat -c %U $home/project/src/new.txt) \$(cat $home/project/src/new.txt)"
    for secret in .env deep/er/.env server.key link-to-env; do
        check "$user: $secret is not to be read" hidden hunter2 $user "cat $secret; grep -r hunter2 ."
    done
    check "$user: nor by way of renamed parents" hidden hunter2 $user \
        'mv deep/er deep/moved; mv deep shallow; cat shallow/moved/.env deep/er/.env; mv shallow deep; mv deep/moved deep/er'
    check "$user: nor by hard links" hidden hunter2 $user 'ln .env copy; ln server.key copy2; cat copy copy2; rm -f copy copy2'
    check "$user: nor by unmounting or mounting in new namespaces" hidden hunter2 $user \
        'unshare -Urm sh -c "umount -l .env; umount -l server.key; mkdir /tmp/p; mount --bind . /tmp/p; cat .env server.key /tmp/p/.env"
         unshare -m sh -c "umount -l .env; cat .env"; mount --bind . /tmp; cat /tmp/.env'
    check "$user: the user's keys are not to be read" hidden PRIVATE $user \
        "cat ~/.ssh/* link-to-key link-to-root$home/.ssh/*; grep -r PRIVATE ~ 2>/dev/null"
    check "$user: nor by /proc/*/root, cwd and fd" hidden PRIVATE $user \
        "for p in /proc/[0-9]* /proc/self; do cat \$p/root$home/.ssh/* \$p/cwd/../.ssh/* \$p/fd/*/.ssh/id_ed25519 </dev/null; done"
    check "$user: what lies beside the project is not there" hidden hunter2 $user "cat ~/beside.txt $home/beside.txt ../beside.txt"
    check "$user: the home inside is another one" inside $user 'echo mine >~/.mark'
    check "$user: it lasts" says mine -- inside $user 'cat ~/.mark'
    check "$user: and it is not the user's" fails test -e "$home/.mark"
    check "$user: /tmp is private" inside $user 'echo mine >/tmp/mark'
    check "$user: and not the host's" fails test -e /tmp/mark
    check "$user: system directories are read-only" says '^0$' -- \
        inside $user 'n=0; for d in / /usr /usr/bin /etc /proc/sys/kernel /sys /boot /var/lib; do touch $d/mark && n=1; done 2>/dev/null; echo $n'
    check "$user: password hashes are not to be read" hidden '19000' $user 'cat /etc/shadow /etc/shadow-'
    check "$user: kernel settings cannot be written" says '^0$' -- inside $user \
        'n=0; for f in kernel/core_pattern kernel/hostname vm/drop_caches net/ipv4/ip_forward; do (echo x >/proc/sys/$f) && n=1; done 2>/dev/null; echo $n'
    check "$user: only harmless devices" says '^0$' -- inside $user \
        'ls /dev | grep -cE "^(sd|vd|nvme|kmsg|mem|kmem|port|fuse|kvm|loop|dm-|net$)"'
    check "$user: only its own processes" says '^[1-9]$' -- inside $user 'ls -d /proc/[0-9]* | wc -l'
    check "$user: no capabilities, no new privileges, a seccomp filter" \
        says 'CapEff:\s0+$' 'CapBnd:\s0+$' 'NoNewPrivs:\s1' 'Seccomp:\s2' -- inside $user 'cat /proc/self/status'
done
check "dev does not see root's home" hidden hunter2 dev 'cat /root/beside.txt'
check "root's sandbox does not see dev's home" hidden hunter2 root 'cat /home/dev/beside.txt'
