# `kill -9` of `rcc firewall apply`, or of the service, at any moment leaves the old rules or the new, whole.
ready
service_stop # it would heal what this is about
exceptions() { # exceptions FIRST-OCTET: a config that takes a while to apply
    echo 'profiles.work.allow = ['
    for i in {0..499}; do echo "  { address = \"$1.0.$((i / 250)).$((i % 250))\", ports = [443, 8443] },"; done
    echo ']'
}
exceptions 10 >/run/a.toml
exceptions 11 >/run/b.toml
rules() { nft -s list table inet rcc | sha256sum; }
for name in a b; do
    config </run/$name.toml
    check "config $name is applied" rcc firewall apply
    declare "$name=$(rules)"
done
# shellcheck disable=SC2154 # a and b are declared above
check "control: the two differ" [ "$a" != "$b" ]

config </run/a.toml
start=${EPOCHREALTIME/./}
rcc firewall apply >/dev/null
duration=$((${EPOCHREALTIME/./} - start)) # microseconds
old=0 new=0 killed=0 now=$a
for ((i = 0; (killed < 200 || new < 20) && i < 600; i++)); do
    if ((i % 2)); then name=a; else name=b; fi
    config </run/$name.toml
    rcc firewall apply >/dev/null 2>&1 &
    apply=$!
    moment=$((RANDOM * RANDOM % (duration * 5 / 4)))
    sleep "$(printf '0.%06d' "$moment")"
    kill -9 $apply 2>/dev/null && killed=$((killed + 1))
    wait $apply 2>/dev/null
    while [[ $(processes nft) ]]; do sleep 0.005; done # a child that outlives its parent may finish
    seen=$(rules)
    [[ $seen == "$a" || $seen == "$b" ]] || { check "after $moment us: old rules or new" false; break; }
    if [[ $seen == "$now" ]]; then old=$((old + 1)); else new=$((new + 1)); fi
    now=$seen
done
echo "  $killed killed within $duration us; the rules stayed $old times and changed $new times"
check "200 were killed, and left whole rules" [ $killed -ge 200 ]
check "both outcomes were met" [ $old -ge 20 -a $new -ge 20 ]
check "the next apply simply works" rcc firewall apply

# The same of the service, while it reads the configuration again.
old=0 new=0
for ((i = 0; i < 24; i++)); do
    if ((i % 2)); then name=a; else name=b; fi
    service_start
    now=$(rules)
    config </run/$name.toml
    kill -HUP "$service"
    moment=$((RANDOM * RANDOM % (duration * 2)))
    sleep "$(printf '0.%06d' "$moment")"
    service_kill
    while [[ $(processes nft) ]]; do sleep 0.005; done
    seen=$(rules)
    [[ $seen == "$a" || $seen == "$b" ]] || { check "the service killed after $moment us: old rules or new" false; break; }
    if [[ $seen == "$now" ]]; then old=$((old + 1)); else new=$((new + 1)); fi
    # What it has loaded, it starts with.
    if [[ $seen == "$a" ]]; then config </run/a.toml; else config </run/b.toml; fi
done
echo "  the service killed: the rules stayed $old times and changed $new times"
check "the service, killed 24 times, left whole rules" [ $((old + new)) = 24 ]
check "both outcomes were met" [ $old -ge 1 -a $new -ge 1 ]
service_start
check "and a sandbox starts" as-user dev rcc run -- true
