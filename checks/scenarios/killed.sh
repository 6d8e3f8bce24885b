# Whichever process of a run is killed from outside, the network goes with it, and rcc says so.
ready

# process VERIFIER|ANSWERER|SUPERVISOR|INIT: its id on the host.
process() {
    local pattern pid
    case $1 in
        # The verifier is there first.
        verifier) identified | head -1; return ;;
        answerer) identified | tail -1; return ;;
        supervisor) pattern='^NSpid:\s[0-9]+\s1$' ;;
        init) pattern='^NSpid:\s[0-9]+\s[0-9]+\s1$' ;;
    esac
    for pid in $(processes rcc); do
        if grep -qE "$pattern" "/proc/$pid/status"; then echo "$pid"; fi
    done
}
# identified: rcc's processes under the network identity, the oldest first.
identified() {
    local pid
    for pid in $(processes rcc | sort -n); do
        if grep -qE '^Uid:\s1919' "/proc/$pid/status"; then echo "$pid"; fi
    done
}
gone() { [[ -z $(processes rcc)$(processes "pas[st]*") ]]; }

for user in dev root; do
    for victim in verifier answerer supervisor init; do
        beat=$(token)
        beat "$user" "$beat" 203.0.113.10 443
        launcher=$!
        check "$user: a sandbox is beating" within 10 beating "$beat"
        kill -9 "$(process $victim)"
        sleep 1
        check "$user: $victim killed, network gone" silent "$beat"
        if [[ $victim == [va]* ]]; then
            check "$user: and it says so" \
                says 'network .* was cut: the (verifier was killed|process that answers denials ended)' -- cat "/run/$beat"
            check "$user: the agent itself goes on" [ "$(process init)" ]
        else
            check "$user: and it says so" says 'the sandbox ended before' -- cat "/run/$beat"
            check "$user: nothing is left" within 2 gone
        fi
        kill "$launcher" 2>/dev/null
        wait "$launcher" 2>/dev/null
    done
done
