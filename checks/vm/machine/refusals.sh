# What a machine withholds is met with an error that says what is missing and what mends it; nothing runs without it.
. "$lib/../vm/words"
boot
login dev
login stranger
as stranger 'mkdir -p project'

check "a user without identities is told who gives them" \
    says 'user [0-9]+ has no network identities' 'sudo rcc init' -- \
    exits 125 as stranger 'cd project && rcc run -- touch ran'
check "rcc setup says which command that is" says 'sudo rcc init --user [0-9]+' -- as stranger rcc setup
check "and runs offline" as stranger 'cd project && rcc run --profile offline -- true'

# forbidden SYSCTL VALUE REMEDY
forbidden() {
    local was
    was=$(vm sysctl -n "$1")
    vm sysctl -q -w "$1=$2"
    check "with $1=$2 nothing starts, and rcc points to its setup" says 'cannot create a user' 'rcc setup' -- \
        exits 125 as dev 'cd project && rcc run -- touch ran'
    check "which says what mends it ($1)" says 'user namespaces' "sysctl -w $3" -- exits 1 as dev rcc setup
    vm sysctl -q -w "$1=$was"
}
forbidden kernel.unprivileged_userns_clone 0 kernel.unprivileged_userns_clone=1
forbidden user.max_user_namespaces 0 user.max_user_namespaces=[0-9]+
# The switch of Ubuntu's kernels, where this one has it.
if vm test -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns; then
    vm sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=1
    check "AppArmor's restriction does not keep the installed rcc from running" as dev 'cd project && rcc run -- true'
fi
# Elsewhere a profile can do the same, in kernels since 6.7.
if vm test -e /sys/kernel/security/apparmor/features/namespaces/userns_create; then
    put root /etc/apparmor.d/confined <<'PROFILE'
abi <abi/4.0>,
profile confined {
  allow all,
  deny userns,
}
PROFILE
    check "AppArmor takes a profile that withholds user namespaces" vm apparmor_parser --replace /etc/apparmor.d/confined
    check "and withholds them" fails as dev 'aa-exec --profile=confined -- unshare --user true'
    check "under it nothing starts, and rcc points to its setup" says 'cannot create a user' 'rcc setup' -- \
        exits 125 as dev 'cd project && aa-exec --profile=confined -- rcc run -- touch ran'
    check "which names the profile and what it lacks" says 'under the AppArmor profile confined' 'allow `userns,`' -- \
        exits 1 as dev aa-exec --profile=confined -- rcc setup
    vm 'apparmor_parser --remove /etc/apparmor.d/confined; rm /etc/apparmor.d/confined'
fi
check "nothing ran" fails as dev 'ls project/ran'
check "with all back, it runs" as dev 'cd project && rcc run -- touch ran'
