//! The plugin's program is killed at any moment: nothing is half done, and the next push works.

use crate::world::{World, script};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

#[test]
fn after_a_kill_in_the_middle_of_a_push_the_next_one_works() {
    let world = World::new();
    world.clone_app("app");
    script(&world.path("srv/app/hooks/pre-receive"), "#!/bin/sh\nsleep 0.3\n");
    for round in 0..12_u64 {
        let branches = [format!("claude/{round}a"), format!("claude/{round}b")];
        for branch in &branches {
            world.commit_on("app", branch, "x");
        }
        let mut push =
            world.agent("app", &["push", "-q", "--atomic", "origin", &branches[0], &branches[1]]).spawn().unwrap();
        let before = world.broker.served.lock().unwrap().len();
        while world.broker.served.lock().unwrap().len() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(60 * round));
        let pid = *world.broker.served.lock().unwrap().last().unwrap();
        let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
        let _ = push.wait();
        // Whatever was under way may end; together the two are there or are not.
        world.git("app", &["push", "-q", "origin", &format!("{}:refs/heads/claude/{round}c", branches[0])]);
        let names = world.ref_names("app");
        let there: Vec<bool> = branches.iter().map(|branch| names.contains(&format!("refs/heads/{branch}"))).collect();
        assert_eq!(there[0], there[1], "round {round}: {names:?}");
        assert!(names.contains(&format!("refs/heads/claude/{round}c")));
    }
    world.assert_no_canary();
}

#[test]
fn what_killed_processes_leave_and_a_broken_mirror_are_no_obstacle() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    world.git("app", &["push", "-q", "origin", "claude/a"]);
    let mirrors: Vec<_> = walkdir::WalkDir::new(world.path("plugin/mirrors")).into_iter().flatten().collect();
    let mirror = mirrors.iter().find(|entry| entry.file_name() == "repo.git").unwrap().path();
    for lock in ["HEAD.lock", "packed-refs.lock", "config.lock", "refs/heads/main.lock"] {
        std::fs::write(mirror.join(lock), "").unwrap();
    }
    std::fs::create_dir_all(mirror.join("objects/tmp_objdir-incoming-x/pack")).unwrap();
    std::fs::write(mirror.join("objects/pack/tmp_pack_x"), "x").unwrap();
    world.commit_on("app", "claude/a", "b");
    world.git("app", &["push", "-q", "origin", "claude/a"]);
    assert!(!mirror.join("objects/tmp_objdir-incoming-x").exists() && !mirror.join("objects/pack/tmp_pack_x").exists());
    // Broken for good.
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    std::fs::write(mirror.join("packed-refs"), "garbage\n").unwrap();
    world.commit_on("app", "claude/a", "c");
    world.git("app", &["push", "-q", "origin", "claude/a"]);
    assert!(world.refs("app").contains(&format!("refs/heads/claude/a {}", world.id("app", "claude/a"))));
}

#[test]
fn pushes_to_one_upstream_at_the_same_time_wait_for_each_other() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    let push =
        |at: u32| world.agent("app", &["push", "-q", "origin", &format!("claude/a:claude/{at}")]).spawn().unwrap();
    let pushes: Vec<_> = (0..4).map(push).collect();
    assert!(pushes.into_iter().all(|mut push| push.wait().unwrap().success()));
    assert_eq!(world.ref_names("app").len(), 5);
}
