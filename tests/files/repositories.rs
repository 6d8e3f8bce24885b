//! Git repositories of every form.

use super::handover::protected;
use super::sandbox::{Who, World};

#[test]
fn a_sandbox_without_a_repository_may_make_one() {
    let world = World::new(Who::User);
    assert_eq!(world.output("mkdir .git && echo x > .git/config && cat .git/config"), "x");
}

#[test]
fn nested_repositories_and_redirected_hooks_are_protected_with_their_parents() {
    let world = World::new(Who::User);
    world.repository(".git");
    world.repository(".git/modules/lib/inner");
    world.repository("vendor/deep/dep/.git");
    world.write("sub/.git", "gitdir: ../.git/modules/lib/inner\n");
    world.write("vendor/deep/dep/.vscode/tasks.json", "{}");
    world.write(".git/config", "[core]\n\thooksPath = tools/hooks\n[include]\n\tpath = ../shared.gitconfig\n");
    world.write("tools/hooks/pre-push", "good");
    world.write("vendor/other", "");
    let paths = [
        ".git/modules/lib/inner/config",
        ".git/modules/lib/inner/hooks",
        "vendor/deep/dep/.git/config",
        "vendor/deep/dep/.git/hooks",
        "vendor/deep/dep/.vscode",
        "sub/.git",
        "tools/hooks",
        "shared.gitconfig",
    ];
    protected(&world, &paths);
    world.refuses(&[
        "mv vendor v",
        "mv vendor/deep v",
        "mv vendor/deep/dep v",
        "mv .git/modules m",
        "mv tools t",
        "mv sub s",
        "mv vendor/deep/dep/.git g",
        "rm -rf vendor/deep/dep/.git/config",
    ]);
    assert_eq!(world.output("mv vendor/other vendor/deep/other && ln vendor/deep/other x && echo ok"), "ok");
}

#[test]
fn a_linked_work_tree_can_commit_but_not_configure() {
    let mut world = World::new(Who::User);
    let tree = world.project.clone();
    let common = world.home.join("main/.git");
    let at = |path: &str| format!("../../main/.git/{path}");
    world.repository("../../main/.git");
    for (name, back) in [("w", tree.join(".git")), ("other", world.home.join("other/.git"))] {
        world.write(&at(&format!("worktrees/{name}/gitdir")), &back.display().to_string());
        world.write(&at(&format!("worktrees/{name}/commondir")), "../..\n");
        world.write(&at(&format!("worktrees/{name}/HEAD")), "ref: refs/heads/w\n");
    }
    world.write(".git", &format!("gitdir: {}/worktrees/w\n", common.display()));
    world.write("../../main/source.rs", "private");
    let inside = |path: &str| common.join(path).display().to_string();
    let paths = [
        "hooks",
        "config",
        "config.worktree",
        "commondir",
        "worktrees/w/commondir",
        "worktrees/w/gitdir",
        "worktrees/w/config.worktree",
        "worktrees/other",
        "worktrees/other/HEAD",
        "HEAD",
    ]
    .map(inside);
    protected(&world, &paths.each_ref().map(String::as_str));
    protected(&world, &[".git"]);
    let script = format!("cd {} && touch objects/new refs/heads/w worktrees/w/index && echo ok", common.display());
    assert_eq!(world.output(&script), "ok");
    world.refuses(&[&format!("cat {}/main/source.rs", world.home.display()), &format!("mv {} x", inside("worktrees"))]);
    world.exclude.clear();
}

#[test]
fn git_works_and_does_not_see_the_placeholders() {
    let world = World::new(Who::User);
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git").args(arguments).current_dir(&world.project).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main", "."]);
    let script = "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        git status --porcelain; echo x > f; git add -A; git commit --quiet -m one; git switch --quiet -c side
        mkdir d; git mv f d/f; git commit --quiet -m two; git switch --quiet main; git merge --quiet side >&2
        echo y > g; git stash --quiet -u; git stash pop --quiet >&2; git rm --quiet d/f; git reset --quiet --hard; git clean -qfd
        git gc --quiet; git fsck --strict >&2; git worktree add --quiet /tmp/w; git worktree remove /tmp/w
        git ls-files; git log --format=%s; ! git config user.name evil; git init --quiet sub; git -C sub status --porcelain";
    assert_eq!(world.output(script).lines().collect::<Vec<_>>(), ["d/f", "two", "one"]);
}

#[test]
fn bare_repositories_are_protected_wherever_they_are() {
    let world = World::new(Who::User);
    world.repository("fixtures/some.git");
    protected(&world, &["fixtures/some.git/config", "fixtures/some.git/hooks"]);
    world.refuses(&["mv fixtures f", "mv fixtures/some.git f"]);
    assert!(!world.project.join("fixtures/some.git/commondir").exists());
    let world = World::new(Who::User);
    world.repository(".");
    protected(&world, &["config", "hooks", "commondir", "config.worktree"]);
}
