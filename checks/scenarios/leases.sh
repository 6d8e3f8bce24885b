# What root allows while sandboxes run holds at once, ends by itself or when it is taken back, and
# cuts the flows that used it; `rcc why` says so before and after.
ready
reach_one() { as-user dev rcc run -- /usr/bin/python3 -c "$(<"$lib/probe.py")" "[[\"tcp\", \"$1\", $2, \"x\"]]"; }
reached() { says '"answered"' -- reach_one "$@"; }
unreached() { fails says '"answered"' -- reach_one "$@"; }
session_of() { as-user dev rcc ps --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[-1]["id"])'; }
records() { grep -c "\"$1\"" /var/log/rcc/policy.log; }

check "a private address is denied" unreached 10.1.2.3 5432
check "rcc why says so, by which range, and what would change it" \
    says '^denied +10.1.2.3:5432' '10.0.0.0/8' 'sudo rcc allow 10.1.2.3:5432 --for 30m' -- \
    as-user dev rcc why 10.1.2.3:5432
check "its exit status says so too" exits 1 as-user dev rcc why 10.1.2.3:5432
check "nobody but root allows anything" says 'belongs to root' -- as-user dev rcc allow 10.1.2.3:5432 --for 1h
check "a lease is given" says 'is allowed in the profile public for 1h, until 20' -- rcc allow 10.1.2.3:5432 --for 1h
check "it holds at once" reached 10.1.2.3 5432
check "it opens no other port" unreached 10.1.2.3 5433
check "rcc allowed lists it" says 'public +10.1.2.3 +tcp 5432 +20.*left.*lease' -- rcc allowed
check "rcc why knows it" says '^allowed' 'lease' 'sudo rcc deny' -- rcc why 10.1.2.3:5432
check "it survives an apply" rcc firewall apply
check "and holds" reached 10.1.2.3 5432
check "it is taken back" says 'taken back: the lease' -- rcc deny 10.1.2.3:5432
check "that holds at once" unreached 10.1.2.3 5432

rcc allow 10.1.2.3:443 --for 1h >/dev/null
flow=$(token)
beat dev "$flow" 10.1.2.3 443
check "a flow uses a lease" within 10 beating "$flow"
rcc deny 10.1.2.3 >/dev/null
check "it is cut when the lease is taken back" silent "$flow"
kill $! 2>/dev/null
rcc allow 10.1.2.3:443 --for 5s >/dev/null
flow=$(token)
beat dev "$flow" 10.1.2.3 443
short=$!
check "a flow uses a short lease" within 4 beating "$flow"
service_stop
sleep 5
check "it is cut when the lease ends, without any service" silent "$flow"
kill "$short" 2>/dev/null
service_start

beat dev "$(token)" 203.0.113.10 443
sandbox=$!
check "control: a sandbox runs" within 10 session_of
session=$(session_of)
check "a lease for one sandbox" says "for the sandbox $session" -- rcc allow 10.1.2.3:443 --for 1h --session "$session"
check "is nobody else's" unreached 10.1.2.3 443
check "it is listed with its sandbox" says "lease of $session alone" -- rcc allowed
check "denying without naming the sandbox takes it back too" says 'taken back' -- rcc deny 10.1.2.3:443
check "an unknown sandbox is told" says "no sandbox 'nowhere-0000'" -- rcc allow 10.1.2.3:443 --for 1h --session nowhere-0000
rcc allow 10.1.2.3:443 --for 1h --session "$session" >/dev/null
check "control: it has a lease again" says "lease of $session alone" -- rcc allowed
kill "$sandbox" 2>/dev/null
wait "$sandbox"
beat dev "$(token)" 203.0.113.10 443
sandbox=$!
check "control: the next sandbox comes at once" within 10 session_of
check "the lease of the last one ends all the same" within 5 never_says '10.1.2.3' -- rcc allowed
kill "$sandbox" 2>/dev/null
wait "$sandbox"

rcc allow 10.1.2.3:5432 --for 1h >/dev/null
config <<<'profiles = ['
check "with a broken file nothing is allowed" fails rcc allow 10.1.2.3:5433 --for 1h
check "but a lease is taken back, and the file is said to be left out" \
    says 'was not looked at' '10.1.2.3:5432: taken back: the lease' -- rcc deny 10.1.2.3:5432
check "which is on record" says '"done".*"deny"' -- tail -n 1 /var/log/rcc/policy.log
check "where there is none, what is wrong with the file is the error" \
    fails says 'taken back:' -- rcc deny 10.1.2.3:5432
check "with an exit status that says so" fails rcc deny 10.1.2.3:5432
config <<<''
check "control: the file is mended, the lease is gone" unreached 10.1.2.3 5432

for address in 169.254.169.254 192.168.77.2 127.0.0.1 100.100.100.200; do
    check "no lease opens $address" fails rcc allow "$address:80" --for 1h
done
before=$(wc -l </var/log/rcc/policy.log)
for time in 8d 100000000000000d; do
    check "no lease lasts $time" says 'from 1 second to 7 days' -- rcc allow 10.1.2.3:5432 --for "$time"
done
check "and none is on record" test "$before" = "$(wc -l </var/log/rcc/policy.log)"
config <<<''
mount --bind /etc/rcc /etc/rcc && mount -o remount,bind,ro /etc/rcc
check "where root's file cannot be written, the error says where and what to do" \
    says 'cannot write to /etc/rcc:' 'mount it writable' '--for' -- rcc allow 10.1.2.3:5432
umount /etc/rcc
check "a prefix is for the file" says 'not for the prefix' -- rcc allow 10.0.0.0/8:80 --for 1h

config <<'END_OF_FILE'
# Mine.
[profiles.work] # ours
allow = [
    { address = "10.1.2.4", ports = [443] }, # the other
]
END_OF_FILE
cp /etc/rcc/config.toml /run/before
check "what is to last is written into root's file" \
    says 'for good, in /etc/rcc/config.toml' -- rcc allow 10.1.2.3:5432 --profile work
check "with its comments" says '^# Mine' '# ours' '# the other' '10.1.2.3' -- cat /etc/rcc/config.toml
check "and is in force" says 'in force' -- rcc firewall status
check "it says by which line" says 'config.toml:5' -- rcc why 10.1.2.3:5432 --profile work
check "it is reached in that profile" says '"answered"' -- \
    as-user dev rcc run --profile work -- /usr/bin/python3 -c "$(<"$lib/probe.py")" '[["tcp", "10.1.2.3", 5432, "x"]]'
check "and in no other" unreached 10.1.2.3 5432
check "it is taken back" rcc deny 10.1.2.3:5432 --profile work
check "and the file is what it was" cmp /run/before /etc/rcc/config.toml

mv /etc/rcc/config.toml /run/real.toml
ln -s /run/real.toml /etc/rcc/config.toml
check "a file that other software makes is left to it" says 'other software' -- rcc allow 10.1.2.3:5432 --profile work
rm /etc/rcc/config.toml
mv /run/real.toml /etc/rcc/config.toml

check "a permanent change is loaded by the service" rcc allow 10.1.2.3:5432
check "and is in force" reached 10.1.2.3 5432
service_stop
check "without the service it is loaded at once, too" rcc deny 10.1.2.3:5432
check "and is in force" says '^in force' -- rcc firewall status
service_start
check "a sandbox that starts later finds it so" unreached 10.1.2.3 5432
rcc allow 10.1.2.3:5432 >/dev/null

check "every change is on record: what was asked for" test "$(records requested)" -ge 9
check "and that it was done" test "$(records done)" -ge 9
check "nobody else can read the record" fails as-user dev cat /var/log/rcc/policy.log
check "inside, the policy is told" says '"default": "public"' '"to":"10.1.2.3"' -- as-user dev rcc run -- cat /run/rcc/policy.json
check "and cannot be changed" fails as-user dev rcc run -- bash -c 'echo {} >/run/rcc/policy.json'
check "it holds no path or address of the host" \
    never_says '/etc|config.toml|192.168.77|/home' -- as-user dev rcc run -- cat /run/rcc/policy.json
