//! What the host would execute later cannot be changed.

use super::EVERYONE;
use super::sandbox::{Who, World};

/// Attempts to change or to make a protected path; all must fail, and none may change the host.
fn attacks(path: &str) -> Vec<String> {
    vec![
        format!("echo evil > {path}"),
        format!("echo evil >> {path}"),
        format!("touch {path}/evil"),
        format!("mv {path} gone"),
        format!("rm -rf {path}"),
        format!("rmdir {path}"),
        format!("mkdir swap && mv -T swap {path}"),
        format!("touch swapfile && mv -T swapfile {path}"),
        format!("ln -s /tmp linked && mv -T linked {path}"),
        format!("chmod 777 {path}"),
        format!("ln {path} second"),
        format!("umount {path}"),
    ]
}

pub fn protected(world: &World, paths: &[&str]) {
    for path in paths {
        let attacks = attacks(path);
        world.refuses(&attacks.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn what_the_host_executes_is_read_only() {
    for who in EVERYONE {
        let world = World::new(who);
        world.repository(".git");
        world.write(".git/hooks/pre-commit", "good");
        world.write(".claude/settings.json", "{}");
        world.write(".mcp.json", "{}");
        let paths = [
            ".git/hooks",
            ".git/config",
            ".claude",
            ".claude/settings.json",
            ".mcp.json",
            ".envrc",
            ".vscode",
            ".idea",
            ".rcc.toml",
            ".git/commondir",
            ".git/config.worktree",
        ];
        protected(&world, &paths);
        world.refuses(&["mv .git .git2", "mkdir g && mv -T g .git", "rm -rf .git/h* .git/c*"]);
        assert_eq!(
            world.output(
                "touch .git/index.lock && mv .git/index.lock .git/index && mkdir .git/objects/aa && ls .git/objects"
            ),
            "aa"
        );
        assert_eq!(std::fs::read_to_string(world.project.join(".git/hooks/pre-commit")).unwrap(), "good");
    }
}

#[test]
fn placeholders_go_with_the_last_sandbox_and_what_is_the_users_stays() {
    let world = World::new(Who::User);
    world.repository(".git");
    let exists = |path: &str| world.project.join(path).symlink_metadata().is_ok();
    let (view, first) = world.plan();
    assert!(exists(".claude") && exists(".mcp.json") && exists(".git/commondir"));
    let (_, second) = world.plan();
    assert!(first.finish().is_empty());
    assert!(exists(".claude") && exists(".envrc"), "a sandbox still uses them");
    assert_eq!(world.run_in(view, "ls .claude").status.code(), Some(0));
    world.write(".envrc", "export MINE=1");
    world.write(".idea/mine", "");
    assert!(second.finish().is_empty());
    assert!(!exists(".claude") && !exists(".mcp.json") && !exists(".git/commondir") && !exists(".rcc.toml"));
    assert!(exists(".envrc") && exists(".idea/mine"));
}

#[test]
fn what_a_killed_run_left_goes_with_the_next() {
    let world = World::new(Who::User);
    let (_, killed) = world.plan();
    std::mem::forget(killed);
    assert!(world.project.join(".claude").exists());
    // The lock of the forgotten one is still held by this very process: give it up as the kernel would.
    for fd in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let open = std::fs::read_link(fd.path()).unwrap_or_default();
        if open.starts_with(&world.locks) {
            let fd = fd.file_name().to_string_lossy().parse().unwrap();
            // SAFETY: the descriptor belongs to the forgotten value, whose destructor never runs.
            unsafe { libc::close(fd) };
        }
    }
    let (_, next) = world.plan();
    assert!(next.finish().is_empty());
    assert!(!world.project.join(".claude").exists());
}

#[test]
fn paths_that_the_user_lets_the_agent_write_are_writable() {
    let mut world = World::new(Who::User);
    world.repository(".git");
    world.writable = vec![".claude".into(), ".git/hooks/".into()];
    assert_eq!(world.output("mkdir .claude && touch .claude/x .git/hooks/x && echo ok"), "ok");
    protected(&world, &[".git/config", ".vscode"]);
}

#[test]
fn links_at_protected_names_are_pinned_or_refused() {
    let world = World::new(Who::User);
    world.write("config/claude/settings.json", "{}");
    std::os::unix::fs::symlink("config/claude", world.project.join(".claude")).unwrap();
    std::os::unix::fs::symlink(world.home.join(".ssh"), world.project.join(".vscode")).unwrap();
    protected(&world, &["config/claude", ".claude/settings.json"]);
    world.refuses(&[
        "mv .claude x",
        "rm .claude",
        "rm .vscode",
        "ln -s /tmp l && mv -T l .claude",
        "mv config c",
        "ls .vscode/",
    ]);

    let world = World::new(Who::User);
    std::os::unix::fs::symlink("nowhere", world.project.join(".claude")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("names nothing"));
    let world = World::new(Who::User);
    std::fs::create_dir(world.project.join("b")).unwrap();
    std::os::unix::fs::symlink("b", world.project.join("a")).unwrap();
    std::os::unix::fs::symlink("a", world.project.join(".claude")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("another one"));
}

#[test]
fn a_protected_file_with_a_second_name_is_refused() {
    let world = World::new(Who::User);
    world.repository(".git");
    std::fs::hard_link(world.project.join(".git/config"), world.project.join("innocent")).unwrap();
    assert!(world.handover().unwrap_err().to_string().contains("hard link"));
}
