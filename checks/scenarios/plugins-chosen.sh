# A session has the plugins that both the user's file and the project's name; neither can add one, and a change of the
# manifests brings none that they leave out.
ready
mkdir -p /etc/rcc/plugins /home/dev/.config/rcc
# manifest TOOL: a plugin that runs id(1).
manifest() {
    printf 'version = 1\nkind = "exec"\nprofile = "offline"\nprogram = "id"\nproject = "none"\n' >"/etc/rcc/plugins/$1.toml"
}
manifest one
manifest two
# chosen USER PROJECT: the files say so of plugins.
chosen() {
    echo "$1" >/home/dev/.config/rcc/config.toml
    echo "$2" >/home/dev/project/.rcc.toml
    chown -R dev:dev /home/dev/.config /home/dev/project
}
inside() { as-user dev rcc run --profile offline -- bash -c "$1"; }
# has TOOL...: exactly these can be called inside, and have a socket and a wrapper there.
has() {
    local found expected
    found=$(inside 'cd /run/rcc/plugins 2>/dev/null && ls *.sock bin | grep -v -e : -e git-remote-rcc -e "^$" | sort | tr "\n" " "
        for tool in one two three; do $tool >/dev/null 2>&1 && echo -n "$tool! "; done') || true
    expected=$(for tool; do printf '%s\n' "$tool" "$tool.sock"; done | grep . | sort | tr '\n' ' ')
    expected+=$(for tool; do printf '%s! ' "$tool"; done)
    [[ $# != 0 ]] || expected=
    [[ ${found% } == "${expected% }" ]] || { echo "there is '$found', expected '$expected'"; return 1; }
}

chosen '' ''
check "control: without a word, all of them" has one two
chosen '' 'plugins = ["one"]'
check "the project leaves one out" has one
chosen 'plugins = ["one"]' 'plugins = ["two", "one"]'
check "and names none that the user's file does not" has one
chosen 'plugins = ["one"]' 'plugins = ["two"]'
check "what they do not both name is not there" has
chosen '' 'plugins = false'
check "nor is anything of a project without plugins" has
chosen '' 'plugins = ["one", "three"]'
check "a name without a plugin makes none" has one
check "what holds is shown with its line" says 'plugins\[\] = "one" .*\.rcc\.toml:1' -- as-user dev rcc config show
chosen '' 'plugins = true'
check "a project cannot ask for all" says '\.rcc\.toml:1' false -- fails inside true

# A manifest that comes while a session is open.
later() {
    inside 'for i in $(seq 100); do [ -e come ] && break; sleep 0.1; done; sleep 2; ls /run/rcc/plugins' &
    local session=$!
    sleep 2
    manifest "$1"
    as-user dev touch come
    wait "$session"
    rm /home/dev/project/come
}
chosen '' ''
check "control: one that comes later appears in a session that may have it" says four.sock -- later four
chosen '' 'plugins = ["one"]'
check "and in no other" never_says five -- later five
