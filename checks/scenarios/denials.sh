# What is denied is recorded: who, where to, why, how often. A flood hides nobody else's, and no sandbox and no other user reads or writes it.
ready
useradd --create-home --uid 4343 other 2>/dev/null || true
install -d -o 4343 /home/other/project
service_stop
rm -r /run/rcc/denials
check "without the service: says that nothing is recorded" says 'nothing was recorded' 'systemctl start' -- as-user dev rcc denials
service_start
check "the service records, with the capabilities of its unit and no others" test -e /run/rcc/denials/extent.json
check "nothing was denied yet" says 'nothing was denied' -- as-user dev rcc denials

# The far side is the judge of what was denied, the record of what is told about it.
inside() { as-user dev rcc run "${@:2}" -- /usr/bin/python3 -c "$(<"$lib/probe.py")" "$1"; }
denied=$(token) allowed=$(token)
inside "[[\"tcp\", \"198.51.100.20\", 5432, \"$denied\"], [\"udp\", \"198.51.100.20\", 5433, \"$denied\"],
    [\"tcp\", \"203.0.113.10\", 443, \"$allowed\"]]" >/run/first 2>&1
check "control: what is public arrived" test "$(arrived "$allowed")" -gt 0
check "what was denied did not" test "$(arrived "$denied")" = 0
check "one line at the end of the session sums it up" \
    says 'rcc: the network denied .*2 destinations; first 198.51.100.20:543[23]/(tcp|udp), on-link.*rcc denials --session project-[0-9a-f]{4}' -- cat /run/first
session=$(grep -oE 'project-[0-9a-f]{4}' /run/first | head -1)
check "the record has both, by session, though it has ended" \
    says "$session +[0-9]+ +on-link +198.51.100.20:5432/tcp" "$session +[0-9]+ +on-link +198.51.100.20:5433/udp" -- as-user dev rcc denials
check "and not what was allowed" never_says 203.0.113.10 -- as-user dev rcc denials
check "of another session nothing" says "nothing was denied to 'nonesuch'" -- as-user dev rcc denials --session nonesuch
as_json() { as-user dev rcc denials --json --session "$1" 2>/dev/null | python3 -c "
import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert rows and all($2 for row in rows), rows"; }
check "as JSON" as_json "$session" 'row["session"] == "'"$session"'" and row["address"] == "198.51.100.20" and row["reason"] == "on-link" and row["uid"] == 4242'
check "root sees it, too" says "$session" -- rcc denials
asks() { as-user dev rcc run -- getent ahosts private.test; [[ $? == 2 ]]; }
asks >/run/name 2>&1
check "a name that leads nowhere is in the line of the session that asked" \
    says 'rcc: the network denied .*private.test/dns, name of a private address.*--session project-[0-9a-f]{4}' -- cat /run/name
check "a session without a denial ends without a line" never_says 'denied' -- as-user dev rcc run -- true

# One sandbox floods; another is denied once.
timeout 60 bash -c 'as-user dev rcc denials --follow --json' >/run/followed 2>/dev/null &
follower=$!
flood='
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: s.sendto(b"x", ("198.51.100.20", 4000))
    except OSError: pass'
as-user dev rcc run -- timeout 20 /usr/bin/python3 -c "$flood" 2>/run/flood &
flooding=$!
check "control: the flood is recorded" within 10 says '198.51.100.20:4000/udp' -- as-user dev rcc denials
single=$(token) through=$(token)
inside "[[\"tcp\", \"198.51.100.20\", 4001, \"$single\"], [\"tcp\", \"203.0.113.10\", 443, \"$through\"]]" >/run/single 2>&1
check "while it lasts, another sandbox reaches what it may" test "$(arrived "$through")" -gt 0
check "and its single denial is recorded" says '198.51.100.20:4001/tcp' -- as-user dev rcc denials
check "control: the flood still lasts" kill -0 $flooding
check "who follows has seen it" within 3 grep -q '"port":4001' /run/followed
as-user dev rcc stop --all >/dev/null
wait $flooding
check "of the flood it is said that there was more" says 'at least' -- cat /run/flood
check "the record stays small" test "$(du -sk /run/rcc/denials | cut -f1)" -lt 600
kill $follower

# Whose it is.
check "another user sees nothing of it" never_says "$session" -- as-user other rcc denials
files=(/run/rcc/denials/*.jsonl)
check "control: there is a file" test -s "${files[0]}"
check "nor reads the file" fails as-user other cat "${files[0]}"
check "nor lists the directory" fails as-user other ls /run/rcc/denials
check "the user's other programs read it" as-user dev cat "${files[0]}"
check "and do not write it" fails as-user dev sh -c "echo x >>'${files[0]}'"
check "nor replace it" fails as-user dev sh -c "rm -f '${files[0]}'"
check "a sandbox does not even see it" fails as-user dev rcc run --profile offline -- ls /run/rcc/denials
check "nor learns of it" never_says "$session" -- as-user dev rcc run --profile offline -- rcc denials

# Ranges that have a way out of the sandbox only to be refused.
timed='
import errno, socket, sys, time
for family, kind, address in [(2, 1, "10.1.2.3"), (2, 2, "10.1.2.3"), (10, 1, "fd12::3"), (10, 2, "fd12::3")]:
    s, start = socket.socket(family, kind), time.monotonic()
    s.settimeout(4)
    try:
        s.connect((address, 4100))
        s.send(b"x")
        s.recv(1)
        print("reached")
    except OSError as error:
        print("at-once" if time.monotonic() - start < 0.5 else "late", errno.errorcode.get(error.errno, error))'
as-user dev rcc run -- /usr/bin/python3 -c "$timed" >/run/timed 2>&1
check "a private address is refused at once, over both protocols and families" test "$(grep -c ^at-once /run/timed)" = 4
check "and recorded" says 'private +10.1.2.3:4100/tcp' 'private +10.1.2.3:4100/udp' \
    'private +\[fd12::3\]:4100/tcp' 'private +\[fd12::3\]:4100/udp' -- as-user dev rcc denials
knocks='
import socket, sys, time
while True:
    try:
        s = socket.create_connection(("10.1.2.3", 5432), timeout=4)
        s.sendall(sys.argv[1].encode())
        time.sleep(0.2)
    except OSError: time.sleep(0.05)'
opened=$(token)
as-user dev rcc run -- timeout 30 /usr/bin/python3 -c "$knocks" "$opened" 2>/run/opened &
knocking=$!
check "control: it is denied while it knocks" within 10 says '10.1.2.3:5432/tcp' -- as-user dev rcc denials
check "control: nothing arrived" test "$(arrived "$opened")" = 0
nft insert rule inet rcc profile-public ip daddr 10.1.2.3 tcp dport 5432 counter accept
is_open() { (($(arrived "$opened") > 0)); }
check "what is opened while it runs is reached within seconds, without a restart" within 4 is_open
nft delete rule inet rcc profile-public handle "$(nft -a list chain inet rcc profile-public | sed -n 's/.*dport 5432 .*handle //p')"
sleep 1
shut=$(arrived "$opened")
sleep 1
check "and shut again" test "$(arrived "$opened")" = "$shut"
as-user dev rcc stop --all >/dev/null
wait $knocking

# A pipe that closes ends the following, without a further denial.
check "control: following goes on" exits 124 timeout 2 bash -c 'as-user dev rcc denials --follow >/dev/null'
check "a reader that goes ends it" timeout 5 bash -c 'as-user dev rcc denials --follow | head -1'

# Restart.
before=$(</run/rcc/denials/extent.json)
service_stop
check "without the service: told, and the record is there" says 'nothing is recorded now' "$session" -- as-user dev rcc denials
service_start
records_again() { [[ $(</run/rcc/denials/extent.json) != "$before" ]]; }
check "it records again" records_again
again=$(token)
inside "[[\"tcp\", \"198.51.100.20\", 4002, \"$again\"]]" >/run/again 2>&1
check "and the record goes on" says "$session" '198.51.100.20:4002/tcp' -- as-user dev rcc denials
check "the service had nothing to complain about" never_says . -- cat /run/service.log
