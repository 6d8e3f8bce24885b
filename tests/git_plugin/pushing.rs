//! The rules, each by what the upstream has before and after.

use crate::world::{World, rules};

/// What the upstream shall do with a push.
enum Expect {
    /// It has the ref at the object.
    Takes(&'static str, &'static str),
    /// It has what it had, and the agent is told this.
    Keeps(&'static str),
}

use Expect::{Keeps, Takes};

#[test]
fn each_rule_by_what_the_upstream_saw() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "one", "one");
    world.commit_on("app", "two", "two");
    world.git("app", &["checkout", "-q", "main"]);
    world.commit_on("app", "other", "other");
    world.git("app", &["tag", "t1", "one"]);
    world.git("app", &["tag", "-a", "-m", "annotated", "t2", "two"]);
    world.git("app", &["symbolic-ref", "refs/heads/claude/link", "refs/heads/main"]);
    let blob = world.git("app", &["hash-object", "-w", "--stdin"]).trim().to_owned();
    world.git("app", &["update-ref", "refs/tags/blob", &blob]);
    let table: &[(&str, Expect)] = &[
        ("one:refs/heads/claude/x", Takes("refs/heads/claude/x", "one")),
        ("two:refs/heads/claude/x", Takes("refs/heads/claude/x", "two")),
        ("one:refs/heads/claude/x", Keeps("non-fast-forward")),
        ("+one:refs/heads/claude/x", Keeps("(protected by rcc: no force push")),
        ("+other:refs/heads/claude/x", Keeps("(protected by rcc: no force push")),
        (":refs/heads/claude/x", Keeps("(protected by rcc: branches are not deleted")),
        ("one:refs/heads/feature/a/b", Takes("refs/heads/feature/a/b", "one")),
        ("one:refs/heads/main", Keeps("(protected by rcc: nobody pushes to main")),
        ("+other:refs/heads/main", Keeps("(protected by rcc: nobody pushes to main")),
        (":refs/heads/main", Keeps("(protected by rcc: nobody pushes to main")),
        ("one:refs/heads/Main", Keeps("(protected by rcc: nobody pushes to main")),
        ("one:refs/heads/master", Keeps("(protected by rcc: nobody pushes to master")),
        ("one:refs/heads/release/1", Keeps("(protected by rcc: nobody pushes to release/*")),
        ("one:refs/heads/production", Keeps("(protected by rcc: nobody pushes to production")),
        ("one:refs/heads/dev", Keeps("(protected by rcc: this branch is none of")),
        ("one:refs/for/main", Keeps("(protected by rcc: only branches and tags")),
        ("one:refs/pull/1/head", Keeps("(protected by rcc: only branches and tags")),
        ("one:refs/notes/commits", Keeps("(protected by rcc: only branches and tags")),
        ("one:refs/replace/1111111111111111111111111111111111111111", Keeps("(protected by rcc: only branches")),
        ("one:refs/meta/config", Keeps("(protected by rcc: only branches and tags")),
        ("one:HEAD", Keeps("(protected by rcc: this branch is none of")),
        ("claude/link:refs/heads/claude/link", Takes("refs/heads/claude/link", "main")),
        ("two:refs/heads/claude/link", Takes("refs/heads/claude/link", "two")),
        ("t1:refs/tags/claude-1", Takes("refs/tags/claude-1", "t1")),
        ("+two:refs/tags/claude-1", Keeps("(protected by rcc: this tag exists")),
        (":refs/tags/claude-1", Keeps("(protected by rcc: tags are not deleted")),
        ("t2:refs/tags/claude-2", Takes("refs/tags/claude-2", "t2")),
        ("t2:refs/tags/v2", Keeps("(protected by rcc: this tag is none of claude-*")),
    ];
    for (refspec, expected) in table {
        let before = world.refs("app");
        let output = world.agent("app", &["push", "--no-verify", "origin", refspec]).output().unwrap();
        let said = crate::world::text(&output);
        let after = world.refs("app");
        match expected {
            Takes(refname, object) => {
                assert!(output.status.success(), "{refspec}: {said}");
                let line = format!("{refname} {}", world.id("app", object));
                assert!(after.contains(&line), "{refspec}: {line} is not in {after:?}");
                println!("{refspec:50} taken     {}", difference(&before, &after));
            }
            Keeps(reason) => {
                assert!(!output.status.success() && said.contains(reason), "{refspec}: {said}");
                assert_eq!(before, after, "{refspec}");
                println!("{refspec:50} unchanged {reason}");
            }
        }
    }
    world.assert_no_canary();
}

fn difference(before: &[String], after: &[String]) -> String {
    after.iter().filter(|line| !before.contains(line)).map(|line| line[..line.len() - 30].to_owned()).collect()
}

#[test]
fn a_push_of_several_is_judged_one_by_one_and_with_atomic_all_or_none() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    let both = ["claude/a", "claude/a:refs/heads/main"];
    let before = world.refs("app");
    let said = world.git_fails("app", &["push", "--no-verify", "--atomic", "origin", both[0], both[1]]);
    assert!(said.contains("nobody pushes to main") && said.contains("atomic push failed"), "{said}");
    assert_eq!(world.refs("app"), before);
    let said = world.git_fails("app", &["push", "--no-verify", "origin", both[0], both[1]]);
    assert!(said.contains("[new branch]      claude/a -> claude/a"), "{said}");
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/a", "refs/heads/main"]);
    let states: Vec<String> = world.decisions().iter().map(|line| line["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["refused", "refused", "refused", "allowed", "done"]);
    world.commit_on("app", "claude/b", "b");
    world.git("app", &["push", "-q", "--atomic", "origin", "claude/b", "claude/b:refs/heads/claude/c"]);
    assert_eq!(world.ref_names("app").len(), 4);
}

#[test]
fn what_cannot_be_recorded_is_not_pushed() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    let before = world.refs("app");
    let push = ["push", "--no-verify", "origin", "claude/a", "claude/a:refs/heads/claude/b"];
    // For one of two, and for none.
    for room in [1, 0] {
        world.broker.room.store(room, std::sync::atomic::Ordering::Relaxed);
        let said = world.git_fails("app", &push);
        assert!(said.contains("did not put it on record"), "{said}");
        assert_eq!(world.refs("app"), before);
    }
    world.broker.room.store(usize::MAX, std::sync::atomic::Ordering::Relaxed);
    world.git("app", &push);
    assert_eq!(world.ref_names("app").len(), 3);
}

#[test]
fn names_that_are_too_long_and_updates_that_are_too_many_push_nothing() {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    let before = world.refs("app");
    // Components of a name have bounds of their own in file systems.
    let long = format!("claude/a:refs/heads/claude/{}", ["x".repeat(200).as_str(); 6].join("/"));
    let many: Vec<String> = (0..1001).map(|number| format!("claude/a:refs/heads/claude/{number}")).collect();
    for updates in [vec![long], many] {
        let updates: Vec<&str> = updates.iter().map(String::as_str).collect();
        let said = world.git_fails("app", &[&["push", "--no-verify", "origin"], &updates[..]].concat());
        assert!(said.contains("rejected"), "{said}");
        assert_eq!(world.refs("app"), before);
    }
    assert!(world.decisions().is_empty(), "{:?}", world.decisions());
}

#[test]
fn force_and_deletion_are_for_those_who_allow_them() {
    let mut loose = rules();
    (loose.force, loose.delete) = (true, true);
    let world = World::with(loose);
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    world.git("app", &["push", "-q", "origin", "claude/a"]);
    world.git("app", &["commit", "-q", "--amend", "--allow-empty", "-m", "b"]);
    world.git_fails("app", &["push", "-q", "origin", "claude/a"]);
    world.git("app", &["push", "-q", "--force", "origin", "claude/a"]);
    assert!(world.refs("app").contains(&format!("refs/heads/claude/a {}", world.id("app", "claude/a"))));
    world.git("app", &["push", "-q", "--delete", "origin", "claude/a"]);
    assert_eq!(world.ref_names("app"), ["refs/heads/main"]);
    world.git_fails("app", &["push", "-q", "--no-verify", "--delete", "origin", "main"]);
    assert_eq!(world.ref_names("app"), ["refs/heads/main"]);
}

#[test]
fn messages_and_people_of_new_commits_are_judged_and_old_ones_are_not() {
    let mut strict = rules();
    strict.message = Some("^(feat|fix): ".to_owned());
    strict.author = Some("<[^@]+@example\\.com>$".to_owned());
    let world = World::with(strict);
    world.clone_app("app");
    world.commit_on("app", "claude/a", "wip");
    let said = world.git_fails("app", &["push", "--no-verify", "origin", "claude/a"]);
    assert!(said.contains("its message must match ^(feat|fix): "), "{said}");
    world.commit_on("app", "claude/a", "fix: on top of it");
    world.git_fails("app", &["push", "--no-verify", "origin", "claude/a"]);
    world.git("app", &["checkout", "-q", "main"]);
    world.commit_on("app", "claude/b", "fix: a\n\nlong");
    world.git("app", &["push", "-q", "origin", "claude/b"]);
    world.git("app", &["commit", "-q", "--no-verify", "--allow-empty", "-m", "fix: b", "--author=E <e@evil.example>"]);
    let said = world.git_fails("app", &["push", "--no-verify", "origin", "claude/b"]);
    assert!(said.contains("its author must match"), "{said}");
    // A tag brings its commits with it.
    let said = world.git_fails("app", &["push", "--no-verify", "origin", "HEAD:refs/tags/claude-1"]);
    assert!(said.contains("its author must match"), "{said}");
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/b", "refs/heads/main"]);
}

#[test]
fn a_commit_is_not_hidden_behind_a_long_one() {
    let mut strict = rules();
    strict.message = Some("^fix: ".to_owned());
    let world = World::with(strict);
    world.clone_app("app");
    world.commit_on("app", "claude/a", "wip");
    std::fs::write(world.path("work/message"), format!("fix: {}", "a".repeat(40 << 20))).unwrap();
    world.git("app", &["commit", "-q", "--no-verify", "--allow-empty", "-F", "../message"]);
    let said = world.git_fails("app", &["push", "--no-verify", "origin", "claude/a"]);
    assert!(said.contains("its commits cannot be listed, or are too long"), "{said}");
    assert_eq!(world.ref_names("app"), ["refs/heads/main"]);
}

#[test]
fn what_the_upstream_says_reaches_the_agent_and_cannot_speak_to_its_terminal() {
    let world = World::new();
    let hook = "#!/bin/sh\nprintf 'create a merge request\\033]52;c;eA==\\007\\n' >&2\n\
        while read old new ref; do [ \"$ref\" != refs/heads/claude/no ] || exit 1; done\n";
    crate::world::script(&world.path("srv/app/hooks/pre-receive"), hook);
    world.clone_app("app");
    world.commit_on("app", "claude/yes", "a");
    let said = world.git("app", &["push", "origin", "claude/yes"]);
    assert!(said.contains("remote: create a merge request"), "{said}");
    assert!(!said.contains("remote: remote:"), "{said}");
    let said = world.git_fails("app", &["push", "origin", "claude/yes:refs/heads/claude/no"]);
    assert!(said.contains("[remote rejected] claude/yes -> claude/no (pre-receive hook declined)"), "{said}");
    let told = world.broker.told.lock().unwrap().clone();
    // Packs have every byte.
    let told = String::from_utf8_lossy(&told);
    assert!(!told.contains("\u{1b}]52") && told.contains("merge request"));
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/yes", "refs/heads/main"]);
}

#[test]
fn push_options_go_on_unless_they_decide_something() {
    let world = World::new();
    world.outside(&world.path("srv/app"), &["config", "receive.advertisePushOptions", "true"]);
    let hook = "#!/bin/sh\necho \"options: $GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\" >&2\n";
    crate::world::script(&world.path("srv/app/hooks/pre-receive"), hook);
    world.clone_app("app");
    world.commit_on("app", "claude/a", "a");
    let merge = "merge_request.merge_when_pipeline_succeeds";
    let said = world.git_fails("app", &["push", "-o", merge, "origin", "claude/a"]);
    assert!(said.contains("protected by rcc: the push option"), "{said}");
    let said = world.git("app", &["push", "-o", "ci.skip", "origin", "claude/a"]);
    assert!(said.contains("options: 1 ci.skip"), "{said}");
}

#[test]
fn empty_upstreams_and_those_of_sha256_take_a_first_push() {
    let world = World::new();
    let made = world.outside(&world.path("srv"), &["init", "-q", "--bare", "-b", "main", "empty"]);
    assert!(made.status.success());
    world.outside(&world.path("srv/empty"), &["config", "http.receivepack", "true"]);
    world.git("", &["clone", "-q", &world.url("empty"), "empty"]);
    world.commit_on("empty", "claude/a", "a");
    world.git("empty", &["push", "-q", "origin", "claude/a"]);
    assert_eq!(world.ref_names("empty"), ["refs/heads/claude/a"]);
    world.add_upstream("new", &["--object-format=sha256"]);
    world.git("", &["clone", "-q", &world.url("new"), "new"]);
    world.commit_on("new", "claude/a", "a");
    world.git("new", &["push", "-q", "origin", "claude/a"]);
    assert_eq!(world.ref_names("new"), ["refs/heads/claude/a", "refs/heads/main"]);
}
