# What a caller leaves to rcc without meaning to: open files, ignored and blocked signals, closed
# standard streams, limits. Nothing of it reaches the agent or pasta, or keeps a run from ending.
ready
echo "PRIVATE of the caller" >/run/private && chmod 0600 /run/private

# caller PYTHON RCC-OPTION... -- COMMAND...: as dev in the project, after the statements.
caller() {
    timeout 20 /usr/bin/python3 -c '
import os, resource, signal, sys
secret = os.open("/run/private", os.O_RDONLY)
os.dup2(secret, 5), os.set_inheritable(5, True)
os.chdir("/home/dev/project"), os.setgroups([]), os.setgid(4242), os.setuid(4242)
exec(sys.argv[1])
environment = {"HOME": "/home/dev", "USER": "dev", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
os.execve("/usr/local/bin/rcc", ["rcc", "run", *sys.argv[2:]], environment)
' "$@"
}
# holders: processes in this world that have the private file open.
holders() {
    local fd
    for fd in /proc/[0-9]*/fd/*; do
        [[ $(readlink "$fd") == /run/private ]] && cat "${fd%/fd/*}/comm"
    done 2>/dev/null
}
only_rcc() {
    local names
    names=$(holders)
    if [[ -z $names ]] || grep -qv '^rcc$' <<<"$names"; then
        echo "open in: $names"
        return 1
    fi
}
# takes_nothing RCC-OPTION...: the agent reads whatever it can open of others, to the end.
takes_nothing() {
    local output
    output=$(caller pass "$@" -- bash -c 'for file in /proc/[0-9]*/fd/*; do timeout 0.2 cat "$file"; done </dev/null; echo the-end' 2>&1)
    [[ $output == *the-end* && $output != *PRIVATE* ]] || { echo "$output"; return 1; }
}

for profile in public offline; do
    caller pass --profile $profile -- sleep 5 </dev/null >/dev/null 2>&1 &
    check "$profile: the caller's open file is in rcc alone" within 4 only_rcc
    wait $!
    check "$profile: nor can the agent take it from PID 1" \
        takes_nothing --profile $profile
    check "$profile: SIGCHLD ignored" \
        exits 7 caller 'signal.signal(signal.SIGCHLD, signal.SIG_IGN)' --profile $profile -- sh -c 'exit 7'
    check "$profile: all signals blocked, and none inside" \
        says 'SigBlk:\s0000000000000000' -- caller 'signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())' \
        --profile $profile -- cat /proc/self/status
    check "$profile: standard streams closed" \
        exits 7 caller 'os.closerange(0, 3)' --profile $profile -- sh -c 'exit 7'
    check "$profile: umask 077" \
        says 0077 -- caller 'os.umask(0o077)' --profile $profile -- sh -c 'umask'
done
check "no placeholder is left" fails ls -d /home/dev/project/{.rcc.toml,.envrc,.mcp.json,.git/commondir}
