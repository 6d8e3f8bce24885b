//! Clones and fetches over the broker.

use crate::server::TOKEN;
use crate::world::{World, text};
use rcc::plugin::wire::{Mode, Service};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn a_clone_and_a_fetch_work_as_ever_and_with_the_credential() {
    let world = World::new();
    world.clone_app("app");
    assert_eq!(world.git("app", &["branch", "--show-current"]).trim(), "main");
    let seed = world.path("seed/app");
    let upstream = world.path("srv/app");
    for at in 0..20 {
        std::fs::write(seed.join("file"), format!("{at}\n").repeat(20_000)).unwrap();
        world.outside(&seed, &["add", "file"]);
        world.outside(&seed, &["commit", "-q", "-m", "more"]);
    }
    world.outside(&seed, &["tag", "v1"]);
    world.outside(&seed, &["push", "-q", upstream.to_str().unwrap(), "main", "v1"]);
    world.git("app", &["pull", "-q"]);
    assert_eq!(world.git("app", &["tag"]).trim(), "v1");
    assert_eq!(world.git("app", &["rev-list", "--count", "HEAD"]).trim(), "21");
    let listed = world.git("", &["ls-remote", &world.url("app")]);
    assert!(listed.contains("refs/tags/v1"), "{listed}");
    let requests = world.server.requests.lock().unwrap().clone();
    assert!(requests.iter().any(|(method, _, authorized)| method == "POST" && *authorized), "{requests:?}");
    world.assert_no_canary();
}

#[test]
fn shallow_and_partial_clones_work_and_a_shallow_clone_can_push() {
    let world = World::new();
    let seed = world.path("seed/app");
    for _ in 0..5 {
        world.outside(&seed, &["commit", "-q", "--allow-empty", "-m", "more"]);
    }
    world.outside(&seed, &["push", "-q", world.path("srv/app").to_str().unwrap(), "main"]);
    world.git("", &["clone", "-q", "--depth", "1", &world.url("app"), "shallow"]);
    assert_eq!(world.git("shallow", &["rev-list", "--count", "HEAD"]).trim(), "1");
    world.commit_on("shallow", "claude/x", "one");
    world.git("shallow", &["push", "-q", "origin", "claude/x"]);
    assert!(world.ref_names("app").contains(&"refs/heads/claude/x".to_owned()));
    world.outside(&world.path("srv/app"), &["config", "uploadpack.allowFilter", "true"]);
    world.git("", &["clone", "-q", "--filter=blob:none", &world.url("app"), "partial"]);
    world.git("shallow", &["fetch", "-q", "--unshallow"]);
    assert_eq!(world.git("shallow", &["rev-list", "--count", "origin/main"]).trim(), "6");
}

#[test]
fn an_upstream_of_older_versions_is_served_from_a_mirror() {
    let world = World::new();
    std::fs::create_dir(world.path("srv/old")).unwrap();
    std::fs::create_dir_all(world.path("seed/old")).unwrap();
    world.add_upstream("old/app", &[]);
    world
        .outside(&world.path("seed/old/app"), &["push", "-q", world.path("srv/old/app").to_str().unwrap(), "main:dev"]);
    world.git("", &["clone", "-q", &world.url("old/app"), "app"]);
    assert_eq!(world.git("app", &["branch", "--show-current"]).trim(), "main");
    assert!(world.git("app", &["branch", "-r"]).contains("origin/dev"));
    world.assert_no_canary();
}

#[test]
fn submodules_are_fetches_as_all_others() {
    let world = World::new();
    world.add_upstream("library", &[]);
    world.clone_app("app");
    world.git("app", &["submodule", "add", "-q", &world.url("library"), "library"]);
    world.git("app", &["commit", "-q", "-m", "with a library"]);
    world.git("app", &["push", "-q", "origin", "HEAD:refs/heads/claude/x"]);
    world.git("", &["clone", "-q", "--recurse-submodules", "-b", "claude/x", &world.url("app"), "again"]);
    assert!(world.path("work/again/library/.git").exists());
}

#[test]
fn refusals_are_clean_errors_without_a_question_for_a_password() {
    let world = World::new();
    let said = world.git_fails("", &["clone", &world.url("missing"), "x"]);
    assert!(said.contains("cannot fetch from") && !said.contains(TOKEN), "{said}");
    let said = world.git_fails("", &["clone", "rcc::https://evil.example/x", "x"]);
    assert!(said.contains("fatal: rcc: evil.example is none of the hosts"), "{said}");
    let said = world.git_fails("", &["archive", &format!("--remote={}", world.url("app")), "HEAD"]);
    assert!(said.contains("git-upload-archive is not done over the git plugin"), "{said}");
    std::fs::write(world.path("plugin/store"), "https://x:wrong@localhost\n").unwrap();
    let said = world.git_fails("", &["clone", &world.url("app"), "x"]);
    assert!(said.contains("rcc: cannot fetch from"), "{said}");
    let output =
        world.agent("", &["clone", &world.url("app"), "x"]).env("RCC_PLUGINS", "/nonexistent").output().unwrap();
    assert!(text(&output).contains("no git plugin serves this sandbox"), "{}", text(&output));
}

#[test]
fn over_ssh_everything_works_with_the_key_alone() {
    let world = World::new();
    let sshd = &world.sshd;
    let app = world.path("srv/app");
    let url = format!("ssh://localhost:{}{}", sshd.port, app.display());
    world.git("", &["clone", "-q", &url, "app"]);
    world.commit_on("app", "claude/x", "one");
    world.git("app", &["push", "-q", "origin", "claude/x"]);
    assert!(world.ref_names("app").contains(&"refs/heads/claude/x".to_owned()));
    world.commit_on("app", "main", "two");
    let said = world.git_fails("app", &["push", "--no-verify", "origin", "main"]);
    assert!(said.contains("[remote rejected] main -> main (protected by rcc: nobody pushes to main"), "{said}");
    let said = world.git_fails("", &["clone", &format!("ssh://nobody@localhost:{}/x", sshd.port), "x"]);
    assert!(!said.contains("Permission denied"), "this went past the broker, or the key was tried: {said}");
    // Another host key than the one that is known.
    let known = std::fs::read_to_string(&sshd.known_hosts).unwrap();
    let other = std::fs::read_to_string(world.path("ssh/key.pub")).unwrap();
    std::fs::write(&sshd.known_hosts, format!("{} {other}", known.split(' ').next().unwrap())).unwrap();
    let said = world.git_fails("app", &["fetch"]);
    assert!(said.contains("Host key verification failed"), "{said}");
}

#[test]
fn a_client_that_asks_one_thing_at_a_time_is_told_where_each_answer_ends() {
    let world = World::new();
    let answer = |url: &str, mode| {
        let task = world.broker.task(Service::UploadPack, url, mode).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_rcc"));
        program.args(["guest", "git-serve", &task]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = program.spawn().unwrap();
        program.stdin.take().unwrap().write_all(b"0014command=ls-refs\n00000000").unwrap();
        text(&program.wait_with_output().unwrap())
    };
    let connected = answer(&world.url("app"), Mode::Connect);
    assert!(connected.contains("refs/heads/main") && connected.ends_with("\n0000"), "{connected}");
    let stateless = answer(&world.url("app"), Mode::Stateless);
    assert!(stateless.contains("refs/heads/main\n00000002"), "{stateless}");
    std::fs::create_dir(world.path("srv/old")).unwrap();
    world.add_upstream("old/app", &[]);
    let old = answer(&world.url("old/app"), Mode::Stateless);
    assert!(old.contains("ERR rcc: https://localhost") && old.contains("does not speak version 2"), "{old}");
}
