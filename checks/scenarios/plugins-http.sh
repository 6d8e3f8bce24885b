# A plugin of kind http: requests go to one upstream with a header that nobody inside ever has, what the rules do not
# allow never arrives, and each request is in the journal before it leaves.
ready
canary=canary-5d1f7b2e9c04a386
socket=/run/rcc/plugins/api.sock

# An authority of nobody else's, and an upstream that it vouches for.
cd /run || exit
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign -out ca.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=api.test -keyout api.key -out api.csr 2>/dev/null
openssl x509 -req -in api.csr -CA ca.pem -CAkey ca.key -days 2 -out api.crt \
    -extfile <(echo "subjectAltName=DNS:api.test") 2>/dev/null
cat api.crt api.key >api.pem
echo "api.test 203.0.113.30" >>/mnt/log/dns
echo '[]' >/run/script.json
ip netns exec outside python3 "$lib/https_api.py" 203.0.113.30 9443 api.pem /run/upstream /run/script.json /run/results &
upstream=$!
within 5 test -e /run/upstream || broken "the upstream listens" /dev/null

install -d -m 0755 /etc/rcc/plugins
install -m 0644 ca.pem /etc/rcc/ca.pem
# manifest [LINE]: the plugin's, with one more line.
manifest() {
    cat >/etc/rcc/plugins/api.toml <<TOML
version = 1
kind = "http"
summary = "An API of a private authority"
upstream = "https://api.test:9443"
header = "x-api-key"
value = "{}"
credential = "key"
body_max = 1000
${1-ca = \"/etc/rcc/ca.pem\"}
[credentials.key]
environment = "API_KEY"
[[allow]]
methods = ["GET", "HEAD"]
path = "/v1"
[[allow]]
methods = ["POST"]
path = "/v1/messages"
[[allow]]
methods = ["GET"]
path = "/@scope"
[[block]]
path = "/v1/admin"
[[block]]
path = "/@scope/secret"
TOML
}
manifest
check "the manifest is right" as-user dev rcc plugin check api
as-user dev env API_KEY=$canary rcc plugin start --detach >/run/broker 2>&1 || broken "a broker runs" /run/broker

inside() { as-user dev rcc run --profile offline -- bash -c "$1"; }
# asks ARGUMENT...: curl's over the plugin's socket, in a sandbox without a network.
asks() { inside "curl -sS -m 20 --unix-socket $socket $*"; }
# arrives METHOD TARGET: how often it came to the upstream.
arrives() {
    python3 -c 'import json, sys
print(sum((r["method"], r["target"]) == (sys.argv[1], sys.argv[2]) for r in map(json.loads, open("/run/upstream"))))' "$@"
}
journal() { as-user dev rcc plugin logs --json; }
never_arrived() { [[ $(arrives "$@") == 0 ]] || { cat /run/upstream; return 1; }; }

check "a request is answered by the upstream" says '^fine$' -- asks http://api.test:9443/v1/things
check "it had the header there" says "\"x-api-key\": \"$canary\"" -- cat /run/upstream
check "what the client gives as its own does not arrive" says '^fine' -- \
    asks -H "'X-Api-Key: forged-by-the-client'" -H "'Authorization: Bearer forged-too'" http://x/v1/forged
check "neither value did" fails grep -q forged- /run/upstream
# The pattern does not match itself, which the command line has.
check "nothing inside has the credential" inside "
    ! { env; cat /proc/[0-9]*/{environ,cmdline}; } 2>/dev/null | grep -a '[c]${canary#c}' &&
    ! grep -rqs '[c]${canary#c}' /run /tmp \$HOME ."
check "a response that tells it does not" never_says "$canary" -- asks http://x/v1/echo
check "though that came, with a mark in its place" says 'x-api-key.*\[.*\]' -- asks http://x/v1/echo
check "a body arrives" says 'event: message_stop' -- asks -d '{}' http://x/v1/messages

# Streams come as they are sent: the first event before the last is.
streamed() {
    inside "curl -sSN -m 20 --unix-socket $socket http://x/v1/stream | while read -r line; do
        echo \"\$SECONDS \$line\"; done" >/run/streamed
    cat /run/streamed
    local first last
    first=$(grep -o '^[0-9]* data: one' /run/streamed) last=$(grep -o '^[0-9]* data: three' /run/streamed)
    ((${last%% *} > ${first%% *}))
}
check "events come as they are sent" streamed
check "and a credential in pieces is taken out" fails grep -q "$canary" /run/streamed
check "a redirect is told and not followed" says '302' 'location: http://203.0.113.10/elsewhere' -- asks -i http://x/v1/redirect
check "nobody went there" fails grep -E '^tcp .* 203.0.113.10 80 syn' /mnt/log/outside

# What the rules do not allow.
for request in "DELETE /v1/things" "GET /v2" "GET /v1/admin" "GET /v1/ADMIN/keys" "GET /v1/%61dmin" "POST /v1/things" \
    "GET /v1/x%2f..%2fadmin" "GET /v1//admin" "GET /@scope%2fsecret" "GET /@other%2fname" "TRACE /v1/things"; do
    method=${request% *} target=${request#* }
    check "$request is refused" says '^HTTP/1.1 403' 'rcc: ' -- asks -i --path-as-is -X "$method" "http://x$target"
    check "$request does not arrive" never_arrived "$method" "$target"
done
check "a name with npm's scope is forwarded as it is" says '^fine' -- asks http://x/@scope%2fname
check "and arrives once" [ "$(arrives GET /@scope%2fname)" = 1 ]
check "a body that is too long is refused" says 413 -- asks -i -d "$(printf 'x%.0s' {1..1001})" http://x/v1/messages
check "another host is refused" says 403 'only api.test:9443' -- \
    inside "printf 'GET http://evil.test/v1/x HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n' | nc -U $socket ||
        python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"$socket\")
s.sendall(b\"GET http://evil.test/v1/x HTTP/1.1\\r\\nhost: evil.test\\r\\nconnection: close\\r\\n\\r\\n\")
print(s.makefile().read())'"

# Framing that two readers could read in two ways.
raw() {
    inside "python3 - <<'END'
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('$socket')
s.settimeout(10)
s.sendall($1)
s.shutdown(socket.SHUT_WR)
print(s.makefile(errors='replace').read())
END"
}
smuggled='DELETE /v1/smuggled HTTP/1.1\r\nhost: x\r\n\r\n'
raw "b'POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n$smuggled'" >/run/raw 2>&1
raw "b'POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 50\r\n\r\nhello$smuggled'" >>/run/raw 2>&1
raw "b'GET /v1/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n$smuggled'" >>/run/raw 2>&1
raw "b'GET /v1/b HTTP/1.1\r\nhost: x\r\nx: y\r\n\t$smuggled\r\n'" >>/run/raw 2>&1
check "no request is smuggled in another one's body" never_arrived DELETE /v1/smuggled
check "frames of the broker's own are no HTTP" never_says "$canary" -- \
    raw "b'\\x00\\x00\\x00\\x10{\"action\":\"exec\"}'"

# The journal.
check "a forwarded request is on record" says '"event":"called".*"tool":"api".*"args":\["GET","/v1/things"\]' -- journal
check "and what came of it" says '"decided".*"decision":\{"answered":\{.*"status":200,"whole":true' -- journal
check "and that a credential was taken out" says '"removed":[1-9]' -- journal
check "and refused ones" says '"refused".*"args":\["DELETE","/v1/things"\]' -- journal
check "and what is no HTTP" says '"refused".*"args":\["",""\].*no request of HTTP' -- journal
check "no line has the credential" never_says "$canary" -- journal
check "it can be verified" as-user dev rcc plugin logs --verify
check "requests are counted" says '^api +http' -- as-user dev rcc plugin status

# Stopped, it forwards nothing more, over connections that are open neither.
kept() {
    inside "python3 - <<'END'
import http.client, socket, time
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect('$socket')
c = Local('x')
c.request('GET', '/v1/before')
print(c.getresponse().read())
open('stop', 'w').close()
while not __import__('os').path.exists('stopped'): time.sleep(0.05)
try:
    c.request('GET', '/v1/after')
    print(c.getresponse().status)
except Exception as error: print('closed', error)
END" &
    local session=$!
    within 10 test -e /home/dev/project/stop && as-user dev rcc plugin stop api
    as-user dev touch stopped
    wait $session
}
check "an open connection outlives a stop by no request" says 'fine' '503|403|closed' -- kept
check "what was asked afterwards did not arrive" never_arrived GET /v1/after
check "a new one is told" says 403 'is stopped; on the host' -- asks -i http://x/v1/stopped
as-user dev rcc plugin start api

# What streams meanwhile ends with it.
endless() { # COMMAND: what ends it, given the process of the sandbox's caller; it does not go on for long
    local session start
    inside "curl -sSN -m 60 --unix-socket $socket http://x/v1/endless" >/run/endless 2>&1 &
    session=$!
    within 15 grep -q 'data: more' /run/endless || { cat /run/endless; return 1; }
    start=${EPOCHREALTIME/./}
    "$@" "$session"
    while pgrep -f 'guest http-forward' >/dev/null; do
        ((${EPOCHREALTIME/./} - start < 10000000)) || { echo "it goes on"; kill "$session"; return 1; }
        sleep 0.05
    done
    wait "$session"
    ((${EPOCHREALTIME/./} - start < 3000000)) || { echo "$(((${EPOCHREALTIME/./} - start) / 1000)) ms"; return 1; }
}
by_stop() { as-user dev rcc plugin stop api; }
by_end() { kill -9 "$(pgrep -P "$1")"; }
check "an answer that streams ends when its plugin is stopped" endless by_stop
as-user dev rcc plugin start api
check "and when its session ends" endless by_end

# An upstream that nobody vouches for gets nothing.
manifest "# no private authority"
within 5 says "in-force.*ca: None" -- journal
check "without its authority the upstream is not believed" says 502 'credential was not sent' -- asks -i http://x/v1/distrusted
check "it got nothing" never_arrived GET /v1/distrusted
as-user dev rcc plugin stop
kill $upstream
