# Claude Code itself without the key of its API: the plugin `anthropic` adds it outside of the sandbox.
ready
[[ -x /usr/local/bin/claude ]] || { check "Claude Code is installed (checks/run does it)" false; exit; }
key=sk-ant-checks-5d1f7b2e9c04a386canary

# An API that is vouched for by an authority of nobody else's.
cd /run || exit
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign -out ca.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=api -keyout api.key -out api.csr 2>/dev/null
openssl x509 -req -in api.csr -CA ca.pem -CAkey ca.key -days 2 -out api.crt \
    -extfile <(echo "subjectAltName=DNS:api.anthropic.test") 2>/dev/null
cat api.crt api.key >api.pem
echo "api.anthropic.test 203.0.113.30" >>/mnt/log/dns
# The pattern does not match itself, which the transcript in the private home has.
cat >script.json <<'JSON'
[
    {"name": "Bash", "input": {"command": "env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'", "description": "a step"}},
    {"name": "Bash", "input": {"command": "grep -rs canar[y] ~ /run /tmp . && echo found || echo nowhere", "description": "a step"}},
    {"name": "Bash", "input": {"command": "curl -sS -o /dev/null -w '%{http_code}' --unix-socket $ANTHROPIC_UNIX_SOCKET http://x/v1/organizations", "description": "a step"}}
]
JSON
ip netns exec outside python3 "$lib/https_api.py" 203.0.113.30 9443 api.pem /run/upstream script.json /run/results &
api=$!
within 5 test -e /run/upstream || broken "the API listens" /dev/null

# The manifest that comes with rcc, at that API.
as-user root rcc plugin add anthropic >/run/added 2>&1 || broken "the manifest comes with rcc" /run/added
install -m 0644 ca.pem /etc/rcc/ca.pem
sed -i -e 's|^upstream = .*|upstream = "https://api.anthropic.test:9443"\nca = "/etc/rcc/ca.pem"|' /etc/rcc/plugins/anthropic.toml
check "it is right" as-user dev rcc plugin check anthropic

claude() {
    as-user dev env ANTHROPIC_API_KEY="$key" timeout 90 rcc claude -p "do what you are told" </dev/null
}
result() {
    python3 -c 'import json, sys
for r in map(json.loads, open("/run/results")):
    if r["call"] == int(sys.argv[1]): print("error" if r["error"] else "ok", r["text"])' "$1"
}
check "a session in print mode runs to its end" says '^done$' -- claude
check "every step was made" says '^3$' -- bash -c 'wc -l </run/results'
check "the API got the key, and no other one" says "\"x-api-key\": \"$key\"" -- cat /run/upstream
check "and not what stands for it inside" fails grep -q '"x-api-key": "sk-ant-rcc' /run/upstream
check "the environment inside has no key" never_says "$key|canary" -- result 1
check "nor has any file" says '^ok nowhere' -- result 2
check "nor the private home, which has not the end of it either" fails grep -rq canary /home/dev/.local/share/rcc
check "what Claude Code does not need is refused" says '403' -- result 3
check "requests are on record" says '"called".*"POST","/v1/messages"' -- as-user dev rcc plugin logs --json

# Without the plugin it goes without the key, unless its user wants it inside.
echo 'plugins = false' >/home/dev/project/.rcc.toml
shown() { as-user dev env ANTHROPIC_API_KEY="$key" rcc claude --dry-run "$@"; }
check "a project that wants no plugins gets no key" never_says "$key" -- shown
check "its user can say so" says "$key" -- shown --no-plugins
kill $api
