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
inside agent 'export GIT_TERMINAL_PROMPT=0; mkdir /tmp/w; git config --global user.name Agent; git config --global user.email agent@here.test'
agent() { inside agent "cd /tmp/w && $1"; }
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
check "two pushes at once both arrive" agent "cp -r app two && (cd app && git push -q origin HEAD:claude/p1) & cd /tmp/w/app && git push -q origin HEAD:claude/p2 && wait \$! && wait"
within 10 as_git git -C /srv/git/app.git rev-parse -q --verify claude/p1
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
agent "cd app && git commit -q --amend -m other"
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
