# What the host would later execute cannot be planted: hooks, git config, agent and editor files.
ready

# planted PROJECT: the agent's mark is in a place that the host executes from.
planted() {
    find "$1"/{.claude,.mcp.json,.envrc,.vscode,.idea} -exec grep -l evil {} + 2>/dev/null && return
    find "$1/.git" \( -path '*/hooks/*' -o -name 'config*' \) ! -path '*/fake/*' -exec grep -l evil {} + 2>/dev/null | grep .
}
# attack USER DIR SCRIPT: runs to its end inside, and plants nothing.
attack() {
    local output
    output=$(as-user "$1" env -C "$2" rcc run --profile offline -- bash -c "$3; echo the-end" 2>&1)
    [[ $output == *the-end* ]] || { echo "the script did not end: $output"; return 1; }
    fails planted "$2" || { echo "$output"; return 1; }
}

for user in dev root; do
    project=$(getent passwd $user | cut -d: -f6)/project
    before=$(find "$project" -printf '%y %m %p\n' | sort)
    check "$user: control: outside, planting works and is seen" as-user $user bash -c "echo evil >.git/hooks/pre-commit"
    check "$user: control: it is seen" planted "$project"
    rm "$project/.git/hooks/pre-commit"
    check "$user: written to" attack $user "$project" '
        echo evil >.git/hooks/pre-commit; echo evil >>.git/config
        for d in .claude .vscode .idea; do mkdir -p $d; echo evil >$d/settings.json; done
        echo evil >.mcp.json; echo evil >.envrc'
    check "$user: replaced by a rename" attack $user "$project" '
        mkdir -p fake/hooks; echo evil >fake/hooks/pre-commit; echo evil >fake/config
        mv -T fake/hooks .git/hooks; mv -T fake/config .git/config; mv -T fake .claude
        mv -T .git old && mv -T fake .git; mv -T fake .git; mv -T old .git; rm -rf fake'
    check "$user: removed and made again" attack $user "$project" '
        rm -rf .git/hooks .git/config .claude .mcp.json; mkdir -p .git/hooks .claude
        echo evil >.git/hooks/pre-commit; echo evil >.git/config; echo evil >.claude/settings.json; echo evil >.mcp.json'
    check "$user: replaced by links" attack $user "$project" '
        mkdir real; echo evil >real/settings.json; echo evil >real.json
        ln -sfn real .claude; ln -sfn real .vscode; ln -sf real.json .mcp.json; ln -f real.json .envrc
        ln .git/config alias && echo evil >>alias'
    rm -rf "$project"/{real,real.json,alias}
    check "$user: by way of /proc" attack $user "$project" '
        echo evil >>/proc/self/root$PWD/.git/config; echo evil >/proc/1/cwd/.git/hooks/x; echo evil >/proc/self/cwd/.mcp.json'
    check "$user: by new namespaces" attack $user "$project" '
        unshare -Urm sh -c "umount -l .git/hooks; umount -l .git/config; mount -o remount,rw .git/hooks; echo evil >.git/hooks/x; echo evil >>.git/config"'
    check "$user: nothing is left behind where nothing was" [ "$before" = "$(find "$project" -printf '%y %m %p\n' | sort)" ]
done

# A linked worktree: git(1) keeps its administration beside the main repository's.
as-user dev mkdir -p .git/worktrees/side .git/objects .git/refs/heads .git/modules/sub/hooks /home/dev/side
echo "gitdir: /home/dev/project/.git/worktrees/side" >/home/dev/side/.git
echo "../.." >/home/dev/project/.git/worktrees/side/commondir
echo "/home/dev/side/.git" >/home/dev/project/.git/worktrees/side/gitdir
echo "ref: refs/heads/side" | tee /home/dev/project/.git/{worktrees/side,modules/sub}/HEAD
chown -R dev:dev /home/dev
check "in a worktree, commits can be made" as-user dev env -C /home/dev/side rcc run --profile offline -- \
    sh -c 'echo x >/home/dev/project/.git/objects/x && echo x >/home/dev/project/.git/refs/heads/side && echo x >/home/dev/project/.git/worktrees/side/index'
check "in a worktree, the main repository's hooks and config are protected" attack dev /home/dev/side '
    g=/home/dev/project/.git; echo evil >$g/hooks/pre-commit; echo evil >>$g/config; echo evil >$g/config.worktree
    echo evil >$g/worktrees/side/config.worktree; mv $g/hooks $g/h2; mkdir $g/hooks; echo evil >$g/hooks/x'
check "and nothing was planted there" fails planted /home/dev/project
check "in a worktree, the main checkout is not there" says '^0$' -- as-user dev env -C /home/dev/side \
    rcc run --profile offline -- sh -c 'cat /home/dev/project/src/main.py 2>/dev/null | grep -c hello'
check "a submodule's hooks and config are protected" attack dev /home/dev/project '
    echo evil >.git/modules/sub/hooks/x; echo evil >.git/modules/sub/config'
