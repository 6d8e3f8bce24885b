//! What is mounted where: links and extra mounts open nothing.

use super::assert_not_built;
use super::handover::protected;
use super::sandbox::{Who, World};

#[test]
fn a_link_swapped_in_after_planning_stops_the_build() {
    for path in [".claude", ".env", "sub"] {
        let world = World::new(Who::User);
        world.write(".env", "secret");
        world.write("sub/.env", "secret");
        world.write(".claude/x", "");
        let (view, _handover) = world.plan();
        std::fs::rename(world.project.join(path), world.project.join("moved")).unwrap();
        std::os::unix::fs::symlink("/etc", world.project.join(path)).unwrap();
        assert_not_built(&world.run_in(view, "true"), path);
    }
}

#[test]
fn a_link_that_an_agent_left_in_its_home_is_not_mounted_over() {
    let world = World::new(Who::User);
    world.output("true");
    let (view, _handover) = world.plan();
    let facts = world.facts();
    let project = rcc::project::Project::find(&facts).unwrap();
    let private = rcc::project::home::path(&project, &facts.data_dir);
    std::fs::remove_dir_all(private.join("work")).unwrap();
    std::os::unix::fs::symlink("/usr", private.join("work")).unwrap();
    assert_not_built(&world.run_in(view, "true"), "symbolic link");
}

#[test]
fn an_extra_mount_cannot_open_the_host() {
    use rcc::settings::ExtraMount;
    let try_mount = |source: &str, target: &str, writable| {
        let mut world = World::new(Who::User);
        let source = source.replace('~', &world.home.display().to_string());
        let target = target.replace('~', &world.home.display().to_string());
        world.mounts = vec![ExtraMount { source: source.into(), target: target.into(), writable }];
        world.try_plan().is_ok()
    };
    assert!(try_mount("~/.ssh", "~/keys", false), "the user may");
    assert!(try_mount("/usr/share", "/data", false));
    let sources = [
        "/",
        "/proc",
        "/run",
        "/dev/null",
        "/sys/kernel",
        "~",
        "~/work",
        "~/work/app",
        "~/work/app/x",
        "relative",
        "/nowhere",
    ];
    for source in sources {
        assert!(!try_mount(source, "/data", false), "{source}");
    }
    for target in
        ["/etc/x", "/proc/x", "/", "~", "~/work", "~/work/app/x", "/run/rcc", "/usr/x", "x", "/a/../etc", "/dev"]
    {
        assert!(!try_mount("/usr/share", target, false), "{target}");
    }
    assert!(!try_mount("/etc", "/data", true) && !try_mount("/usr/share", "/data", true));
}

#[test]
fn a_fifo_that_an_agent_left_does_not_block_the_next_start() {
    let world = World::new(Who::User);
    world.repository(".git");
    for (path, directory) in [("sub/.git", "sub"), (".git/worktrees/w/gitdir", ".git/worktrees/w")] {
        std::fs::create_dir_all(world.project.join(directory)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, world.project.join(path), rustix::fs::Mode::from_raw_mode(0o600))
            .unwrap();
    }
    assert_eq!(world.output("echo started"), "started");
}

#[test]
fn a_writable_mount_of_another_repository_keeps_its_hooks() {
    let mut world = World::new(Who::User);
    world.repository("../other/.git");
    world.write("../other/.claude/settings.json", "{}");
    let other = world.home.join("work/other");
    world.mounts = vec![rcc::settings::ExtraMount { source: other.clone(), target: other, writable: true }];
    protected(&world, &["../other/.git/hooks", "../other/.git/config", "../other/.claude"]);
    world.refuses(&["mv ../other/.git ../other/g", "touch ../x && mv -T ../x ../other/.git/hooks"]);
    assert_eq!(world.output("touch ../other/source.rs ../other/.git/index && echo ok"), "ok");
}
