//! What a hostile agent tries. Each is judged by what the upstream has, and by what was run or read where the
//! credential is.

use crate::server::TOKEN;
use crate::world::{World, script, text};
use std::io::Write;
use std::process::Stdio;

/// A clone with a commit on `claude/x`.
fn world() -> World {
    let world = World::new();
    world.clone_app("app");
    world.commit_on("app", "claude/x", "one");
    world
}

#[test]
fn the_repositorys_configuration_and_hooks_run_without_the_credential_or_not_at_all() {
    let world = world();
    let spy = world.path("work/spy");
    let seen = world.path("work/seen");
    // Where it runs it notes its environment, and whether the plugin's processes or files are in reach.
    script(&spy, &format!("#!/bin/sh\nenv >>'{0}'; cat /proc/$PPID/environ >>'{0}'; exit 1\n", seen.display()));
    let spy = spy.to_str().unwrap();
    for (key, value) in [
        ("core.sshCommand", spy),
        ("core.fsmonitor", spy),
        ("core.askPass", spy),
        ("core.gitProxy", spy),
        ("credential.helper", spy),
        ("core.hooksPath", world.path("work").to_str().unwrap()),
        ("remote.origin.receivepack", spy),
        ("remote.origin.uploadpack", spy),
        ("http.proxy", "http://127.0.0.1:1"),
        ("http.sslVerify", "false"),
        ("http.sslCAInfo", "/dev/null"),
        ("http.extraHeader", "X-Evil: yes"),
        ("receive.procReceiveRefs", "refs/none"),
        ("uploadpack.packObjectsHook", spy),
        ("protocol.ext.allow", "always"),
    ] {
        world.git("app", &["config", key, value]);
    }
    script(&world.path("work/pre-push"), "#!/bin/sh\nexit 0\n");
    script(&world.path("work/reference-transaction"), "#!/bin/sh\nexit 0\n");
    let before = world.refs("app");
    world.git_fails("app", &["push", "origin", "HEAD:refs/heads/main"]);
    for option in ["--receive-pack=/bin/sh -c id", "--exec=/bin/sh -c id"] {
        world.git_fails("app", &["push", option, "origin", "HEAD:refs/heads/main"]);
    }
    world.git_fails("app", &["-c", "receive.procReceiveRefs=refs/none", "push", "origin", "HEAD:refs/heads/main"]);
    assert_eq!(world.refs("app"), before);
    world.git("app", &["push", "-q", "origin", "claude/x"]);
    world.git("app", &["fetch", "-q", "--upload-pack=/bin/sh -c id", "origin"]);
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/x", "refs/heads/main"]);
    let seen = std::fs::read(&seen).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&seen).contains(TOKEN));
    let told = world.server.requests.lock().unwrap().clone();
    assert!(told.iter().all(|(_, path, _)| path.starts_with("/app/")), "{told:?}");
    world.assert_no_canary();
}

#[test]
fn urls_that_lead_elsewhere_get_no_credential() {
    let world = world();
    let port = world.server.port;
    for url in [
        format!("rcc::https://127.0.0.1:{port}/app"),
        format!("rcc::https://localhost:{port}@evil.example/app"),
        format!("rcc::https://localhost:{port}/../app"),
        format!("rcc::http://localhost:{port}/app"),
        "rcc::ext::sh -c id".to_owned(),
        "rcc::file:///etc".to_owned(),
        "rcc::-oProxyCommand=id".to_owned(),
        "rcc::rcc::x".to_owned(),
        "rcc::".to_owned(),
    ] {
        world.git_fails("app", &["ls-remote", &url]);
        world.git_fails("app", &["push", "--no-verify", &url, "claude/x"]);
    }
    // A server that sends the credential's owner on.
    let said = world.git_fails("app", &["ls-remote", &format!("https://localhost:{port}/elsewhere/app")]);
    assert!(said.contains("cannot fetch from"), "{said}");
    // The other way round: back to a helper from a host of the agent's choice.
    world.git("app", &["config", &format!("url.rcc::https://localhost:{port}/.insteadOf"), "https://evil.example/"]);
    world.git("app", &["fetch", "-q", "https://evil.example/app"]);
    assert_eq!(world.ref_names("app"), ["refs/heads/main"]);
    world.assert_no_canary();
}

#[test]
fn objects_that_git_would_trip_over_are_refused() {
    let world = world();
    let before = world.refs("app");
    let tree = |world: &World, entries: &str| {
        let mut git =
            world.agent("app", &["mktree", "--missing"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        git.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
        String::from_utf8(git.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let blob = |world: &World, content: &str| {
        std::fs::write(world.path("work/content"), content).unwrap();
        world.git("app", &["hash-object", "-w", "../content"]).trim().to_owned()
    };
    let modules = blob(&world, "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n");
    let parent = blob(&world, "[submodule \"../../x\"]\n\tpath = x\n\turl = https://h/x\n");
    let plain = blob(&world, "x");
    for entries in [
        format!("100644 blob {modules}\t.gitmodules\n"),
        format!("100644 blob {parent}\t.gitmodules\n"),
        format!("100644 blob {plain}\t.git\n"),
        format!("100644 blob {plain}\t.GIT\n"),
        format!("120000 blob {plain}\t.gitmodules\n"),
        format!("100644 blob {plain}\t..\n"),
    ] {
        let tree = tree(&world, &entries);
        let commit = world.git("app", &["commit-tree", "-m", "x", &tree]).trim().to_owned();
        let said =
            world.git_fails("app", &["push", "--no-verify", "origin", &format!("{commit}:refs/heads/claude/bad")]);
        assert!(said.contains("remote unpack failed") || said.contains("unpacker error"), "{entries}: {said}");
    }
    assert_eq!(world.refs("app"), before);
}

#[test]
fn a_push_is_as_large_as_the_rules_say_and_what_is_refused_takes_no_room() {
    let world = world();
    let noise: Vec<u8> =
        (0..3_000_000_u64).flat_map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    std::fs::write(world.path("work/app/large"), &noise).unwrap();
    world.git("app", &["-c", "core.compression=0", "add", "large"]);
    world.git("app", &["commit", "-q", "--no-verify", "-m", "large"]);
    let said = world.git_fails("app", &["-c", "core.compression=0", "push", "origin", "claude/x"]);
    assert!(said.contains("exceeds maximum allowed size"), "{said}");
    assert_eq!(world.ref_names("app"), ["refs/heads/main"]);
    world.git("app", &["reset", "-q", "--hard", "HEAD~1"]);
    std::fs::write(world.path("work/app/medium"), &noise[..4_000_000]).unwrap();
    world.git("app", &["add", "medium"]);
    world.git("app", &["commit", "-q", "--no-verify", "-m", "medium"]);
    let size = || {
        let files = walkdir::WalkDir::new(world.path("plugin/mirrors")).into_iter().flatten();
        files.map(|entry| entry.metadata().map_or(0, |found| found.len())).sum::<u64>()
    };
    for _ in 0..3 {
        world.git_fails("app", &["push", "--no-verify", "origin", "claude/x:refs/heads/main"]);
    }
    assert!(size() < 1_000_000, "{}", size());
    world.git("app", &["push", "-q", "origin", "claude/x"]);
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/x", "refs/heads/main"]);
}

#[test]
fn what_the_upstream_became_meanwhile_is_not_overwritten() {
    let mut loose = crate::world::rules();
    loose.force = true;
    let world = World::with(loose);
    world.clone_app("app");
    world.commit_on("app", "claude/x", "one");
    world.git("app", &["push", "-q", "origin", "claude/x"]);
    // After the push was judged, and before the upstream says what it has.
    let other = world.outside(&world.path("seed/app"), &["rev-parse", "main"]).stdout;
    let other = String::from_utf8(other).unwrap().trim().to_owned();
    for branch in ["claude/x", "claude/new"] {
        std::fs::write(world.path("srv/app/before-push"), format!("refs/heads/{branch} {other}")).unwrap();
        world.git("app", &["commit", "-q", "--allow-empty", "-m", "two"]);
        let said = world.git_fails("app", &["push", "--force", "origin", &format!("claude/x:{branch}")]);
        assert!(said.contains("the upstream has changed meanwhile: fetch first"), "{said}");
        assert!(world.refs("app").contains(&format!("refs/heads/{branch} {other}")), "{:?}", world.refs("app"));
    }
}

#[test]
fn lies_about_what_a_branch_was_are_found_out() {
    let world = world();
    world.git("app", &["push", "-q", "origin", "claude/x"]);
    let had = world.id("app", "claude/x");
    world.git("app", &["checkout", "-q", "main"]);
    world.commit_on("app", "other", "other");
    let other = world.id("app", "other");
    let pack = world
        .agent("app", &["pack-objects", "--revs", "--stdout", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut pack = pack.unwrap();
    writeln!(pack.stdin.take().unwrap(), "{other}").unwrap();
    let pack = pack.wait_with_output().unwrap().stdout;
    let zeros = "0".repeat(40);
    // A new branch, by its word, and one that was where its new commit comes from.
    for old in [zeros.clone(), world.id("app", "main")] {
        let said = speak(&world, &format!("{old} {other} refs/heads/claude/x\0report-status"), &pack);
        assert!(said.contains("ng refs/heads/claude/x"), "{said}");
        assert!(world.refs("app").contains(&format!("refs/heads/claude/x {had}")));
    }
    let said = speak(&world, &format!("{had} {} refs/heads/claude/x\0report-status", "1".repeat(40)), &pack);
    assert!(said.contains("ng refs/heads/claude/x"), "{said}");
    // A path in a commit with this name would be a submodule's, and any commit.
    for name in ["claude/y:refs/heads/main", "claude/../main", "claude/y*", "claude/y@{1}"] {
        let said = speak(&world, &format!("{zeros} {other} refs/heads/{name}\0report-status"), &pack);
        assert!(said.contains("protected by rcc: this is no name of a ref"), "{said}");
    }
    let said = speak(&world, &format!("{had} {other} ../../evil\0report-status"), &pack);
    assert!(said.contains("ng ../../evil"), "{said}");
    assert_eq!(world.ref_names("app"), ["refs/heads/claude/x", "refs/heads/main"]);
}

#[test]
fn a_delta_that_asks_for_gigabytes_gets_none() {
    let world = world();
    let before = world.refs("app");
    std::fs::write(world.path("work/base"), vec![0; COPY]).unwrap();
    let base = world.git("app", &["hash-object", "-w", "../base"]).trim().to_owned();
    let mut pack = world.agent("app", &["pack-objects", "--stdout", "-q"]);
    let mut pack = pack.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(pack.stdin.take().unwrap(), "{base}").unwrap();
    let bomb = with_a_bomb(&pack.wait_with_output().unwrap().stdout, &base);
    std::fs::write(world.path("work/bomb"), &bomb).unwrap();
    let sum = std::process::Command::new("sha1sum").arg(world.path("work/bomb")).output().unwrap().stdout;
    let bomb = [bomb, unhex(std::str::from_utf8(&sum[..40]).unwrap())].concat();
    let line = format!("{} {} refs/heads/claude/x\0report-status", "0".repeat(40), world.id("app", "claude/x"));
    let said = speak(&world, &line, &bomb);
    assert!(said.contains("unpack ") && !said.contains("unpack ok"), "{said}");
    assert_eq!(world.refs("app"), before);
    // Its memory was at its end, and not its patience.
    let told = String::from_utf8_lossy(&world.broker.told.lock().unwrap()).into_owned();
    assert!(told.contains("Out of memory"), "{told}");
}

/// The most that one instruction of a delta copies.
const COPY: usize = 0xff_ffff;

/// A pack with one object more, without its checksum: a delta that copies the base 200 times.
fn with_a_bomb(pack: &[u8], base: &str) -> Vec<u8> {
    let size = |mut value: usize| {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    let delta = [size(COPY), size(200 * COPY), [0xf0, 0xff, 0xff, 0xff].repeat(200)].concat();
    let mut bomb = pack[..pack.len() - 20].to_vec();
    bomb[11] = 2;
    // REF_DELTA, and its size (gitformat-pack(5)).
    bomb.push(0xf0 | delta.len() as u8 & 0xf);
    bomb.extend(size(delta.len() >> 4));
    bomb.extend(unhex(base));
    // One stored block (RFC 1950, RFC 1951).
    let length = delta.len() as u16;
    bomb.extend([0x78, 0x01, 0x01]);
    bomb.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
    let (a, b) = delta.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    bomb.extend(delta);
    bomb.extend((b << 16 | a).to_be_bytes());
    bomb
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Speaks git's protocol by hand, as a client that says what it likes.
fn speak(world: &World, line: &str, pack: &[u8]) -> String {
    let url = world.url("app");
    let mut helper = std::process::Command::new(world.path("bin/git-remote-rcc"));
    helper.args(["origin", &url]).env("RCC_PLUGINS", world.path("plugins"));
    let mut helper = helper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut to = helper.stdin.take().unwrap();
    to.write_all(b"connect git-receive-pack\n").unwrap();
    write!(to, "{:04x}{line}0000", line.len() + 4).unwrap();
    let _ = to.write_all(pack);
    drop(to);
    text(&helper.wait_with_output().unwrap())
}

#[test]
fn no_process_has_the_token_in_its_arguments_or_environment_and_the_mirror_does_not_have_it() {
    let world = world();
    script(&world.path("srv/app/hooks/pre-receive"), "#!/bin/sh\nsleep 2\n");
    let mut push = world.agent("app", &["push", "-q", "origin", "claude/x"]).spawn().unwrap();
    let mut looked = 0;
    while push.try_wait().unwrap().is_none() {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            // The tests themselves know the token, and git's servers get it; the others are those of interest.
            let of = |name| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let arguments = of("cmdline");
            if pid == std::process::id() || !String::from_utf8_lossy(&arguments).contains("git") {
                continue;
            }
            looked += 1;
            let all = [arguments, of("environ")].concat();
            assert!(!String::from_utf8_lossy(&all).contains(TOKEN), "{pid}: {}", String::from_utf8_lossy(&all));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(push.wait().unwrap().success() && looked > 20, "{looked}");
    world.assert_no_canary();
}
