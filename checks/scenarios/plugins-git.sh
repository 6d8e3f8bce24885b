# Git's remotes from inside of a sandbox: everything works that the rules allow, the credentials are nowhere inside, and
# what is refused changes nothing at the upstream.
. "$lib/relay"
. "$lib/forge"
canary=canary-4711-$RANDOM-token
mkdir -p /etc/rcc/plugins
forge "$canary"
repository app && repository part && repository ssh/app
cat >/etc/rcc/plugins/git.toml <<'END'
version = 1
kind = "git"
[credentials.token]
environment = "FORGE_TOKEN"
[credentials.key]
file = "/home/dev/keys/forge"
[[hosts]]
name = "forge.test"
credential = "token"
user = "x-access-token"
ca = "/etc/rcc/forge.pem"
paths = ["app.git", "part.git", "echo"]
[[hosts]]
name = "forge.test"
protocol = "ssh"
credential = "key"
known_hosts = "/etc/rcc/known_hosts"
paths = ["srv/git/ssh"]
[push]
blocked_branches = ["main", "master", "release/*", "production"]
allowed_branches = ["claude/*", "feature/*", "fix/*", "bugfix/*", "hotfix/*"]
allowed_tags = ["claude-*"]
END
ready
check "the manifest has no mistakes" says 'git.toml: no mistakes' -- as-user dev rcc plugin check
check "the broker starts with the token in its environment" as-user dev env "FORGE_TOKEN=$canary" rcc plugin start --detach
sandbox agent dev project
inside agent 'export GIT_TERMINAL_PROMPT=0; mkdir /tmp/work; git config --global user.name Agent; git config --global user.email agent@here.test'
agent() { inside agent "cd /tmp/work && $1"; }
https=https://forge.test ssh=ssh://git@forge.test/srv/git/ssh

check "https: ls-remote" says 'refs/heads/main' -- agent "git ls-remote $https/app.git"
check "https: clone" agent "git clone -q $https/app.git app && grep two app/file"
check "https: --depth 1 brings one commit" says '^1$' -- agent "git clone -q --depth 1 $https/app.git shallow && git -C shallow rev-list --count HEAD"
check "ssh: ls-remote, clone and --depth 1" says '^1$' -- agent "git ls-remote $ssh/app.git && git clone -q $ssh/app.git ssh &&
    git clone -q --depth 1 git@forge.test:/srv/git/ssh/app.git s1 && git -C s1 rev-list --count HEAD"
as_git sh -c 'cd /srv/git/seed-app && echo three >>file && git commit -qam three && git push -q /srv/git/app.git main'
check "https: fetch and pull bring what is new" agent "cd app && git fetch -q && git pull -q && grep three file"
check "https: push" agent "cd app && git checkout -qb claude/first && git commit -q --allow-empty -m a && git push -q -u origin claude/first"
check "the upstream has it" test "$(ref app claude/first)" != -
check "ssh: fetch and push" agent "cd ssh && git fetch -q && git checkout -qb claude/s && git commit -q --allow-empty -m a && git push -q origin claude/s"
check "the upstream has that, too" test "$(ref ssh/app claude/s)" != -
check "ssh: what is blocked is blocked" says 'remote rejected\] claude/s -> main \(protected by rcc: ' -- \
    fails agent "cd ssh && git push --no-verify origin claude/s:main"
check "submodules: added, committed, pushed, and cloned with --recurse-submodules" agent "cd app && git submodule --quiet add $https/part.git part &&
    git commit -qm sub && git push -q origin claude/first && cd .. && git clone -q --recurse-submodules -b claude/first $https/app.git subs && grep two subs/part/file"
check "two pushes at once both arrive" agent "cd app && git push -q origin HEAD:claude/p1 & (cd app && git push -q origin HEAD:claude/p2) && wait \$!"
check "the upstream has both" test "$(ref app claude/p1) $(ref app claude/p2)" != "- -"

# row allowed|refused REF... -- COMMAND: a line of the table, and whether it went as it should.
rows=()
row() {
    local expected=$1 refs=() before after said status=0 name
    shift
    while [[ $1 != -- ]]; do refs+=("$1"); shift; done
    before=$(for name in "${refs[@]}"; do ref app "$name"; done | paste -sd' ')
    local all
    all=$(refs app)
    said=$(agent "cd app && $2") || status=$?
    after=$(for name in "${refs[@]}"; do ref app "$name"; done | paste -sd' ')
    rows+=("$(printf '%-62s | %-17s | %-17s | %s' "${2##*&& }" "$before" "$after" \
        "$(grep -E '^ [!*+=-] |^   [0-9a-f]|^fatal|^error: [^f]' <<<"$said" | sed 's/^ *//' | tr -s ' ' | paste -sd' ')")")
    if [[ $expected == allowed ]]; then
        [[ $status == 0 && $before != "$after" ]] && return
    else
        [[ $status != 0 && $all == "$(refs app)" ]] && grep -q 'protected by rcc' <<<"$said" && return
    fi
    printf 'expected: %s; status %s, before %s, after %s\n%s\n' "$expected" "$status" "$before" "$after" "$said"
    return 1
}
# pushes allowed|refused COMMAND REF...
pushes() { check_row "$1: ${2##*&& }" "$1" "${@:3}" -- "$2"; }
# The row is kept, so this is not for a subshell.
check_row() {
    if row "${@:2}" >/run/row 2>&1; then
        echo "  holds  $1"
        passed=$((passed + 1))
    else
        echo "  FAILS  $1"
        sed 's/^/         | /' /run/row
        failed=$((failed + 1))
    fi
}
as_git git -C /srv/git/app.git branch release/1 main
as_git git -C /srv/git/app.git tag claude-0 main
agent "cd app && git fetch -q && git checkout -qb work && git commit -q --allow-empty -m work"
for branch in main master release/1 release/2 production MAIN Release/3 other; do
    pushes refused "git push --no-verify origin work:$branch" "$branch"
done
pushes refused "git push --no-verify origin work:refs/heads/main" main
for branch in claude/x feature/x fix/x bugfix/x hotfix/x; do
    pushes allowed "git push origin work:$branch" "$branch"
done
agent "cd app && git commit -q --amend --allow-empty -m other"
pushes refused "git push --no-verify origin +work:claude/x" claude/x
pushes refused "git push --no-verify -f origin work:claude/x" claude/x
pushes refused "git push --no-verify --force-with-lease origin work:claude/x" claude/x
pushes refused "git push --no-verify --mirror" main claude/x
pushes refused "git push --no-verify origin :claude/x" claude/x
pushes refused "git push --no-verify --delete origin main" main
pushes refused "git tag v1 && git push --no-verify origin v1" v1
pushes allowed "git tag claude-1 && git push origin claude-1" claude-1
pushes refused "git push --no-verify -f origin work:refs/tags/claude-0" claude-0
pushes refused "git push --no-verify origin :refs/tags/claude-0" claude-0
pushes refused "git push --no-verify origin work:refs/for/main" refs/for/main
pushes refused "git push --no-verify origin work:refs/pull/1/head" refs/pull/1/head
pushes refused "git push --no-verify origin work:refs/replace/$(as_git git -C /srv/git/app.git rev-parse main)" main
pushes refused "git push --no-verify --atomic origin work:claude/y work:main" claude/y main
pushes refused "git push --no-verify -o merge_request.merge_when_pipeline_succeeds origin work:claude/y" claude/y
pushes allowed "git push --no-verify --atomic origin work:claude/y work:claude/z" claude/y claude/z
pushes refused "git push --no-verify --receive-pack='git receive-pack --x' origin work:main" main
printf '\n  %-62s | %-17s | %-17s | %s\n' push "upstream before" "upstream after" "what git said"
printf '  %s\n' "${rows[@]}"
echo
check "the hooks say it before anything is sent" says 'rcc: refs/heads/main: protected by rcc' -- fails agent "cd app && git push origin work:main"

# What the agent writes is its own: with it git goes elsewhere or fails, and what it gets is no credential.
logged() { grep -c "$1" "/mnt/log/$2" || true; }
for setting in core.sshCommand='touch /tmp/work/ran;' credential.helper='!touch /tmp/work/ran;' core.fsmonitor='touch /tmp/work/ran;' \
    http.extraHeader='X-Mine: 1' core.hooksPath=/tmp/work/app include.path=/tmp/work/own protocol.ext.allow=always \
    http.proxy=http://203.0.113.50:8443 credential.useHttpPath=true; do
    check "with the agent's own ${setting%%=*} main stays blocked" says 'protected by rcc' -- \
        fails agent "cd app && git config --global ${setting%%=*} $(printf %q "${setting#*=}") && git push --no-verify origin work:main"
    agent "git config --global --unset-all ${setting%%=*}"
done
check "and so with such in its repository, and in GIT_* variables" says 'protected by rcc' -- fails agent "cd app &&
    GIT_SSH_COMMAND='touch /tmp/work/ran;' GIT_ASKPASS=/bin/false GIT_TRACE_CURL=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.sslVerify \
    GIT_CONFIG_VALUE_0=false git -c remote.origin.receivepack='touch /tmp/work/ran;' -c core.gitProxy=/bin/false push --no-verify origin work:main"
check "another host gets no credential, by a new URL" fails agent "cd app && git remote set-url origin https://elsewhere.test:8443/app.git &&
    GIT_SSL_NO_VERIFY=1 git push --no-verify origin work:main"
check "nor by a pushurl" fails agent "cd app && git remote set-url origin $https/app.git && GIT_SSL_NO_VERIFY=1 \
    git -c remote.origin.pushurl=https://elsewhere.test:8443/app.git push --no-verify origin work:claude/e"
check "nor by another insteadOf" fails agent "cd app && GIT_SSL_NO_VERIFY=1 \
    git -c url.https://elsewhere.test:8443/app.git.insteadOf=$https/app.git push --no-verify origin work:claude/e"
check "control: the other host was asked" test "$(logged none elsewhere)" -gt 1
check "the other host saw nobody's credential" test "$(logged -e 'right\|wrong' elsewhere)" = 0
check "without the system's configuration there is none either" fails agent "GIT_SSL_NO_VERIFY=1 GIT_CONFIG_NOSYSTEM=1 git ls-remote $https/app.git"
check "a submodule's URL runs nothing" fails agent "cd two && git config -f .gitmodules submodule.x.path x && git config -f .gitmodules submodule.x.url 'ext::touch /tmp/work/ran' &&
    git update-index --add --cacheinfo 160000 \$(git rev-parse HEAD) x && git submodule update --init x"
check "of all that nothing ran with rcc behind it" never_says canary -- agent "ls -la /tmp/work"

client() { inside agent "/usr/bin/python3 -c $(printf %q "$(<"$lib/git_client.py")") $*"; }
check "the socket: what is right is answered" says started refs/heads/main -- client git-receive-pack "$https/app.git"
for url in https://elsewhere.test:8443/app.git https://elsewhere.test/app.git https://forge.test:8443/app.git http://forge.test/app.git \
    https://forge.test@elsewhere.test/app.git https://forge.test%2f@elsewhere.test/app.git ssh://git@elsewhere.test/srv/git/ssh/app.git \
    https://forge.test/other.git https://forge.test/part.git/../ssh/app.git https://forge.test/app.git%2f..%2fssh/app.git \
    ssh://git@forge.test/srv/git/app.git ssh://root@forge.test/srv/git/ssh/app.git ssh://-oProxyCommand=id@forge.test/srv/git/ssh/app.git \
    ext::id /srv/git/app.git file:///etc/passwd git@forge.test:--upload-pack=id rcc::https://forge.test/app.git; do
    check "the socket refuses $url" says '"refused"' -- client git-upload-pack "'$url'"
done
for service in git-upload-archive sh git-upload-pack\;id; do
    check "the socket refuses the service $service" says 'refused|"success":false' -- client "'$service'" "$https/app.git"
done
check "what a server repeats of its header is not told" never_says "$canary|$(printf 'x-access-token:%s' "$canary" | base64 -w0)" -- \
    agent "git ls-remote $https/echo/x; git clone $https/echo/x; cd app; git push --no-verify $https/echo/x work:claude/x || true"

# A push that is slow at the upstream, and what ends in its midst.
as_git sh -c 'printf "#!/bin/sh\nif [ -e /srv/git/slow ]; then sleep 2; fi\n" >/srv/git/app.git/hooks/pre-receive; chmod +x /srv/git/app.git/hooks/pre-receive'
mid_push() {
    as_git touch /srv/git/slow
    agent "cd app && git commit -q --allow-empty -m $1 && { git push --no-verify origin work:claude/$1 >/tmp/work/said 2>&1 & } ; sleep 1.2"
}
by_command() {
    local cmdline
    for cmdline in /proc/[0-9]*/cmdline; do
        if tr '\0' ' ' <"$cmdline" 2>/dev/null | grep -qE -- "$1"; then basename "$(dirname "$cmdline")"; fi
    done
}
whole() { as_git git -C /srv/git/app.git fsck --connectivity-only && [[ $1 == - || $1 =~ ^[0-9a-f]{7,}$ ]]; }
where_is_it() {
    local file found=0
    for file in /proc/[0-9]*/cmdline; do
        if tr '\0' ' ' <"$file" 2>/dev/null | grep -v "^python3 /run/checks/lib/git_server.py" | grep -qF -- "$1"; then
            echo "$file: $(tr '\0' ' ' <"$file")"; found=1
        fi
    done
    return "$found"
}
mid_push k0
check "in the midst of a push the token is in no process's arguments" where_is_it "$canary"
sleep 3
for victim in 'guest git-serve' 'git receive-pack' 'proc-receive' 'git push --porcelain' plugin-chamber; do
    mid_push "k-${victim//[^a-z]/}"
    mapfile -t ids < <(by_command "$victim")
    check "control: there is something to kill of '$victim'" test ${#ids[@]} -gt 0
    kill -9 "${ids[@]}" 2>/dev/null
    rm -f /srv/git/slow
    sleep 2.5
    check "killed: $victim: the upstream is whole" whole "$(ref app "claude/k-${victim//[^a-z]/}")"
    check "killed: $victim: the next push works" agent "cd app && git push -q --no-verify origin work:claude/k-${victim//[^a-z]/}"
    check "killed: $victim: and is there" test "$(ref app "claude/k-${victim//[^a-z]/}")" = "$(agent 'git -C app rev-parse --short work' | head -1)"
done

check "the journal has each decision" says 'allowed.*refs/heads/claude/x' 'refused.*refs/heads/main.*protected by rcc' 'refused.*refs/tags/v1' 'refused.*refs/for/main' -- as-user dev rcc plugin logs
check "the journal verifies" says whole -- as-user dev rcc plugin logs --verify

# The canary is looked for backwards, so that who looks is not what is found.
turned() { python3 -c 'import sys; print(sys.argv[1][::-1])' "$1"; }
backwards=$(turned "$canary")
check "the token is in the memory of none of the agent's processes" inside agent "/usr/bin/python3 -c $(printf %q "$(<"$lib/memory.py")") $backwards"
encoded=$(turned "$(printf 'x-access-token:%s' "$canary" | base64 -w0)")
check "nor in a file that the agent can read, an environment, arguments" \
    agent "! grep -rslF -f <(/usr/bin/python3 -c 'import sys; print(*[word[::-1] for word in sys.argv[1:]], sep=chr(10))' $backwards $encoded) /tmp /run /home /etc /var /dev/shm /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null"
check "the key is not there" fails agent 'ls /home/dev/keys/forge || grep -rsl "OPENSSH PRIVATE" /tmp /run /home'
check "neither is in what the broker keeps" fails grep -rF -e "$canary" -e "$(sed -n 2p /home/dev/keys/forge)" /home/dev/.local /run/user /tmp

mid_push kb
mapfile -t ids < <(by_command '(rcc|exe) plugin start')
check "control: the broker runs" test ${#ids[@]} = 1
kill -9 "${ids[@]}"
rm -f /srv/git/slow
sleep 2.5
check "killed: the broker: nothing of it is left" test -z "$(by_command 'plugin-chamber|git-serve|receive-pack')"
check "killed: the broker: the upstream is whole" whole "$(ref app claude/kb)"
check "without a broker there is no push, and no credential" says 'no git plugin serves this sandbox|the credential .token. of git is missing' -- fails agent "cd app && git push --no-verify origin work:claude/kc"
leave agent
check "the one that its launcher started ends with it" within 10 fails as-user dev rcc plugin status
check "the broker starts again" as-user dev env "FORGE_TOKEN=$canary" rcc plugin start --detach
sandbox next dev project
check "killed: the broker: another session goes on where the upstream is" inside next "mkdir /tmp/work && cd /tmp/work && git clone -q $https/app.git app && cd app && git checkout -qb claude/kb &&
    git -c user.name=Agent -c user.email=agent@here.test commit -q --allow-empty -m after && git push -q origin HEAD:claude/kd"
check "and it is there" test "$(ref app claude/kd)" != -
check "the journal goes on, and verifies" says whole -- as-user dev rcc plugin logs --verify
leave next
