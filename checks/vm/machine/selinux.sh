# With SELinux, permissive and then enforcing, rcc is installed, sandboxes run, and files keep their labels. What the policy
# denies to rcc and its programs is printed: nft does without /dev/urandom.
. "$lib/../vm/words"
VM_IMAGE=$("$lib/../vm/image" "$VM_SUITE" selinux) || broken "an image with a policy is made" /dev/null
VM_BASE=$VM_IMAGE/base.img VM_BASE_FORMAT=raw
VM_APPEND='security=selinux selinux=1 enforcing=0'

# denials: what SELinux denied, or would have denied, to rcc and what it starts.
denials() { vm 'journalctl --boot --quiet --output cat --grep "avc: *denied" | grep -E "comm=\"(rcc|pasta|nft|newuidmap|newgidmap)"' || true; }

boot
login dev
check "SELinux is there, permissive" says '^Permissive$' -- vm getenforce
check "with Debian's policy" says 'Loaded policy name: +default' -- vm sestatus
as dev 'mkdir -p rcc project/src'
put dev rcc/rcc <"$RCC"
put dev rcc/rcc-guest <"${RCC%/*}/rcc-guest"
as dev 'chmod +x rcc/rcc rcc/rcc-guest; echo "print(1)" >project/src/main.py; echo SECRET=hunter2 >project/.env'
check "an ordinary user installs rcc" as dev 'cd rcc && sudo ./rcc setup --yes'
label=$(as dev 'stat -c %C project/src/main.py')

works() {
    check "the rules are in force ($1)" vm rcc firewall status
    check "all is well, says rcc setup ($1)" as dev rcc setup
    check "a sandbox runs ($1)" as dev 'cd project && rcc run -- true'
    check "the project is in it, its secrets are not ($1)" says '^print\(1\)$' '^none$' -- \
        as dev 'cd project && rcc run -- sh -c "cat src/main.py; grep -s hunter2 .env || echo none"'
    check "it writes there ($1)" as dev "cd project && rcc run -- touch src/made-$1"
    check "what it made is the user's on the machine, to be read and removed ($1)" \
        as dev "cat project/src/made-$1 && rm project/src/made-$1"
    check "the project's label is as it was ($1)" says "^$label\$" -- as dev 'stat -c %C project/src/main.py'
    check "one goes on without a terminal ($1)" as dev "cd project && rcc run --detach --name talk -- sh -c 'echo began; sleep 1000'"
    check "and is stopped ($1)" as dev 'rcc ps && rcc stop talk'
    denials | sed 's/^/  | /'
}
works permissive
# Booted in this mode, Debian's policy lets neither the journal start nor anybody log in: it is entered.
check "from now on SELinux enforces" vm setenforce 1
check "and is seen to" says '^Enforcing$' -- vm getenforce
check "the service starts so" vm systemctl restart rcc-firewall.service
works enforcing
