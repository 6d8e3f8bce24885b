//! The hooks of repositories that were made inside.

use crate::world::{World, rules, text};

#[test]
fn they_say_what_the_broker_would_say_before_anything_is_sent() {
    let mut strict = rules();
    strict.message = Some("^(feat|fix): ".to_owned());
    strict.author = Some("@example\\.com>$".to_owned());
    let world = World::with(strict);
    world.clone_app("app");
    world.git("app", &["checkout", "-q", "-b", "claude/x"]);
    let said = world.git_fails("app", &["commit", "--allow-empty", "-m", "wip"]);
    assert!(said.contains("rcc: this commit: its message must match ^(feat|fix): "), "{said}");
    let commit = ["commit", "-q", "--allow-empty", "-m", "fix: a"];
    let output = world.agent("app", &commit).env("GIT_AUTHOR_EMAIL", "e@evil.example").output().unwrap();
    assert!(text(&output).contains("rcc: this commit: its author must match"), "{}", text(&output));
    world.git("app", &commit);
    let served = world.broker.served.lock().unwrap().len();
    let said = world.git_fails("app", &["push", "origin", "claude/x:main"]);
    assert!(said.contains("rcc: refs/heads/main: protected by rcc: nobody pushes to main"), "{said}");
    // Only what git asks for before the hook.
    assert_eq!(world.broker.served.lock().unwrap().len(), served + 1);
    assert!(world.decisions().is_empty());
    world.git("app", &["push", "-q", "origin", "claude/x"]);
}

#[test]
fn without_the_program_they_do_nothing() {
    let mut strict = rules();
    strict.message = Some("^fix: ".to_owned());
    let world = World::with(strict);
    world.clone_app("app");
    world.git_fails("app", &["commit", "-q", "--allow-empty", "-m", "wip"]);
    std::fs::remove_file(world.path("bin/rcc")).unwrap();
    world.git("app", &["commit", "-q", "--allow-empty", "-m", "wip"]);
}
