# The scenarios of checks/run, in worlds on the booted machine: one kernel, systemd and cgroup v2 for all of them.
# On an emulated processor they take many times as long; VM_ALL has all that this machine can run.
. "$lib/../vm/words"

# What is quick and has most to do with the kernel. Left out by default: measurements of moments that take a quick
# machine, and what takes minutes here. Never: what needs npm's Claude Code, or a machine whose files are declared.
quick=(reach-matrix own-processes nothing-passed inherited siblings memory ps-stop files)
never=" claude plugins-claude relay-claude declared "
if [[ ${VM_ALL-} ]]; then
    quick=()
    for file in "$lib"/../scenarios/*.sh; do
        name=$(basename "$file" .sh)
        [[ $never == *" $name "* ]] || quick+=("$name")
    done
fi

boot
tar -C "$lib/../.." -c checks/lib checks/scenarios checks/vm/words | vm tar -C /root -x
export VM_TIMEOUT=600
run_scenario() {
    vm "RCC=/usr/local/libexec/rcc/rcc timeout --kill-after=5 $((VM_TIMEOUT - 10)) \
        /root/checks/lib/world /run/checks/lib/scenario /run/checks/scenarios/$1.sh"
}
for name in "${quick[@]}"; do
    start=$SECONDS
    check "$name" run_scenario "$name"
    echo "         ($((SECONDS - start)) s)"
done
