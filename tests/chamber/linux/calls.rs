//! What a call gets, and how it ends.

use super::tests;
use super::world::{CANARY, World, credential, output, refusal, shell, start};
use rcc::plugin::chamber::{Bind, BindAccess, CREDENTIALS, Chamber, ChamberError, Ended, GeneratedFile};
use rcc::plugin::manifest::ProjectAccess;
use rcc::policy::ProfileName;
use std::fs;
use std::io::{Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

tests![
    a_tool_gets_its_streams_its_directory_and_its_environment,
    a_tool_ends_by_the_signal_that_it_was_sent,
    what_a_tool_leaves_in_the_background_ends_with_it,
    a_call_that_is_dropped_is_killed,
    a_chamber_that_is_dropped_takes_everything_with_it,
    a_broker_that_is_killed_takes_its_chambers_with_it,
    a_chamber_that_dies_is_noticed,
    a_program_that_is_not_there_is_told_of,
    many_calls_run_at_once,
    a_terminal_is_the_tools_own,
    a_credential_is_where_the_call_wants_it,
    a_credential_can_be_exchanged,
    without_the_project_a_tool_is_at_home,
    what_is_bound_and_generated_is_there,
    a_profile_that_does_not_exist_starts_nothing,
    it_is_listed_as_the_tool_of_its_session,
];

fn a_tool_gets_its_streams_its_directory_and_its_environment(world: &World) {
    world.write("src/file", "", 0o644);
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::ReadOnly), &[]).await.unwrap();
        let (input, mut writer) = pipe().unwrap();
        writer.write_all(b"input\n").unwrap();
        drop(writer);
        let script = "cat; pwd; echo error >&2; umask; echo $VARIABLE; env | cut -d= -f1 | sort | tr '\\n' ' '; exit 7";
        let mut call = shell(script, Some(&world.project.join("src")));
        call.command.streams[0] = input.into();
        call.command.environment.insert("VARIABLE".into(), "its value".into());
        let (ended, text) = output(&chamber, call).await;
        assert_eq!((ended.code, ended.signal, ended.exit_code()), (Some(7), None, 7));
        let directory = world.project.join("src");
        assert_eq!(text, format!("input\n{}\nerror\n0022\nits value\nPATH PWD VARIABLE ", directory.display()));
    });
}

fn a_tool_ends_by_the_signal_that_it_was_sent(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let (mut running, _output) = start(&chamber, shell("exec sleep 100", None)).await;
        running.signal(libc::SIGTERM);
        let ended = running.ended().await.unwrap();
        assert_eq!((ended, ended.exit_code()), (Ended { code: None, signal: Some(libc::SIGTERM) }, 143));
        let (mut running, mut text) =
            start(&chamber, shell("trap 'echo caught; exit 3' INT; echo; sleep 100 & wait", None)).await;
        text.read_exact(&mut [0]).unwrap();
        running.signal(libc::SIGINT);
        assert_eq!(running.ended().await.unwrap().code, Some(3));
    });
}

fn what_a_tool_leaves_in_the_background_ends_with_it(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let (ended, text) = output(&chamber, shell("(sleep 5; echo survived) & exit 4", None)).await;
        assert_eq!((ended.code, text.as_str()), (Some(4), ""));
    });
}

fn a_call_that_is_dropped_is_killed(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let (running, mut text) = start(&chamber, shell("sleep 5; echo survived", None)).await;
        drop(running);
        // The next call is answered after the kill was done.
        output(&chamber, shell("true", None)).await;
        let mut said = String::new();
        text.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    });
}

fn a_chamber_that_is_dropped_takes_everything_with_it(world: &World) {
    let mut text = world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::Writable), &[]).await.unwrap();
        assert!(world.project.join(".envrc").exists(), "a placeholder");
        // In a session of its own, where no signal to a group finds it.
        let (running, text) =
            start(&chamber, shell("setsid sh -c 'trap \"\" TERM HUP; sleep 5; echo survived'", None)).await;
        drop(chamber);
        // Its end takes a moment, in which placeholders are taken back.
        let begun = Instant::now();
        while world.project.join(".envrc").exists() {
            assert!(begun.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(running);
        text
    });
    assert_eq!(text.read(&mut [0]).unwrap(), 0);
}

/// This program as a broker with one chamber, in which a tool holds its standard output.
pub const BROKER: &str = "broker";

pub fn broker(top: &Path) -> ExitCode {
    let world = World::at(top);
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let mut call = shell("echo begun; setsid sh -c 'sleep 5; echo survived'", None);
        call.command.streams[1] = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
        let mut running = chamber.run(call.command).await.unwrap();
        // For ever: somebody kills it.
        let _ = running.ended().await;
    });
    ExitCode::FAILURE
}

fn a_broker_that_is_killed_takes_its_chambers_with_it(world: &World) {
    let mut broker = Command::new("/proc/self/exe").arg(BROKER).arg(&world.top).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = broker.stdout.take().unwrap();
    let mut begun = [0; 6];
    output.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"begun\n");
    broker.kill().unwrap();
    broker.wait().unwrap();
    // The tool held it, too.
    assert_eq!(output.read(&mut begun).unwrap(), 0);
}

fn a_chamber_that_dies_is_noticed(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let (mut running, _output) = start(&chamber, shell("sleep 1000", None)).await;
        assert!(chamber.is_alive());
        // The executor is the parent of every tool.
        let (mut killer, _said) = start(&chamber, shell("sleep 0.3; kill -9 $PPID; sleep 1000", None)).await;
        assert!(matches!(running.ended().await, Err(ChamberError::Ended { .. })));
        assert!(matches!(killer.ended().await, Err(ChamberError::Ended { .. })));
        assert!(!chamber.is_alive());
        assert!(matches!(chamber.run(shell("true", None).command).await, Err(ChamberError::Ended { .. })));
    });
}

fn a_program_that_is_not_there_is_told_of(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let mut call = shell("true", None);
        call.command.program = "/usr/bin/no-such-program".into();
        let (code, error) = refusal(&chamber, call).await;
        assert_eq!(code, 127);
        assert!(error.contains("/usr/bin/no-such-program"), "{error}");
        let mut call = shell("true", None);
        call.command.program = "/etc/passwd".into();
        assert_eq!(refusal(&chamber, call).await.0, 126);
        let mut call = shell("true", None);
        call.command.secret_environment.insert("TOKEN".into(), "absent".into());
        assert_eq!(refusal(&chamber, call).await.0, 126);
        assert_eq!(output(&chamber, shell("echo on", None)).await.1, "on\n");
    });
}

fn many_calls_run_at_once(world: &World) {
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let mut calls = Vec::new();
        let mut writers = Vec::new();
        for number in 0..64 {
            let (input, writer) = pipe().unwrap();
            let mut call = shell("read line; echo $line", None);
            call.command.streams[0] = input.into();
            calls.push(start(&chamber, call).await);
            writers.push((number, writer));
        }
        // All of them run before the first one ends.
        for (number, mut writer) in writers.into_iter().rev() {
            writeln!(writer, "line {number}").unwrap();
        }
        for (number, (mut running, mut text)) in calls.into_iter().enumerate() {
            assert_eq!(running.ended().await.unwrap().code, Some(0));
            let mut said = String::new();
            text.read_to_string(&mut said).unwrap();
            assert_eq!(said, format!("line {number}\n"));
        }
    });
}

fn a_terminal_is_the_tools_own(world: &World) {
    world.run(async {
        use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = chamber.terminal().await.unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let mut call = shell("test -t 0 && echo terminal > /dev/tty; tty > /dev/stderr; read line; echo never", None);
        let copy = || -> OwnedFd { slave.try_clone().unwrap() };
        call.command.streams = [copy(), copy(), copy()];
        call.command.terminal = true;
        drop(call.output);
        let mut running = chamber.run(call.command).await.unwrap();
        let mut master = fs::File::from(master);
        let expected = b"terminal\r\n/dev/pts/0\r\n";
        let mut said = [0; 22];
        master.read_exact(&mut said).unwrap();
        assert_eq!(&said, expected);
        // Ctrl-C, by the line discipline.
        master.write_all(&[3]).unwrap();
        assert_eq!(running.ended().await.unwrap().exit_code(), 130);
    });
}

fn a_credential_is_where_the_call_wants_it(world: &World) {
    let spec = rcc::plugin::chamber::Spec { credentials: true, ..world.spec(ProjectAccess::None) };
    world.run(async {
        let chamber = Chamber::start(&spec, &[credential("token", CANARY, Some("netrc"))]).await.unwrap();
        let mut call = shell("echo $TOKEN", None);
        call.command.secret_environment.insert("TOKEN".into(), "token".into());
        assert_eq!(output(&chamber, call).await.1, format!("{CANARY}\n"));
        assert_eq!(output(&chamber, shell("echo $TOKEN", None)).await.1, "\n");
        let script = format!("cd {CREDENTIALS}; stat -c '%a %n' . *; cat netrc; stat -f -c %T .");
        assert_eq!(output(&chamber, shell(&script, None)).await.1, format!("700 .\n400 netrc\n{CANARY}ramfs\n"));
    });
}

fn a_credential_can_be_exchanged(world: &World) {
    let spec = rcc::plugin::chamber::Spec { credentials: true, ..world.spec(ProjectAccess::None) };
    world.run(async {
        let chamber = Chamber::start(&spec, &[credential("token", "old", Some("file"))]).await.unwrap();
        chamber.deliver(&credential("token", "new", Some("file"))).await.unwrap();
        let mut call = shell(&format!("echo $TOKEN; cat {CREDENTIALS}/*; ls -A {CREDENTIALS}"), None);
        call.command.secret_environment.insert("TOKEN".into(), "token".into());
        assert_eq!(output(&chamber, call).await.1, "new\nnewfile\n");
        for name in ["../up", ".hidden", "a/b", ""] {
            let refused = chamber.deliver(&credential("token", "new", Some(name))).await;
            assert!(matches!(refused, Err(ChamberError::Refused { .. })), "{name:?}");
        }
    });
}

fn without_the_project_a_tool_is_at_home(world: &World) {
    world.write("file", "", 0o644);
    world.run(async {
        let chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let script =
            format!("pwd; ls -A; ls {} 2>&1 | grep -c 'No such file'; echo kept > kept", world.project.display());
        let home = world.project.parent().unwrap().parent().unwrap();
        assert_eq!(output(&chamber, shell(&script, None)).await.1, format!("{}\n1\n", home.display()));
        assert_eq!(output(&chamber, shell("cat kept", None)).await.1, "kept\n");
        assert_eq!(refusal(&chamber, shell("true", Some(&world.project))).await.0, 126);
    });
    assert_eq!(fs::read_dir(&world.project).unwrap().count(), 1, "no placeholders");
}

fn what_is_bound_and_generated_is_there(world: &World) {
    let mirror = fs::canonicalize(&world.project).unwrap().parent().unwrap().join("mirror");
    fs::create_dir(&mirror).unwrap();
    let mut spec = world.spec(ProjectAccess::None);
    spec.binds = vec![Bind { source: mirror.clone(), target: "/run/rcc/mirror".into(), access: BindAccess::Inert }];
    spec.files = vec![GeneratedFile { path: "/etc/gitconfig".into(), text: "[user]\n".into() }];
    world.run(async {
        let chamber = Chamber::start(&spec, &[]).await.unwrap();
        let script =
            "cat /etc/gitconfig; cd /run/rcc/mirror; printf '#!/bin/sh\\necho run' > it; chmod +x it; ./it; true";
        let text = output(&chamber, shell(script, None)).await.1;
        assert!(text.starts_with("[user]\n") && text.contains("Permission denied"), "{text}");
    });
    assert!(mirror.join("it").exists());
    spec.binds[0].target = world.project.join("mirror");
    world.run(async {
        let Err(ChamberError::NotStarted { said }) = Chamber::start(&spec, &[]).await else { panic!() };
        assert!(said.contains("lies in the project"), "{said}");
    });
}

fn a_profile_that_does_not_exist_starts_nothing(world: &World) {
    let mut spec = world.spec(ProjectAccess::None);
    spec.profile = ProfileName::new("nowhere").unwrap();
    world.run(async {
        let Err(ChamberError::NotStarted { said }) = Chamber::start(&spec, &[]).await else { panic!() };
        // Or what comes before, on a machine without rules.
        assert!(said.contains("nowhere") || said.contains("rcc init"), "{said}");
    });
}

fn it_is_listed_as_the_tool_of_its_session(world: &World) {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let uid = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = rcc::session::runtime_dir(uid, runtime.as_deref(), &home.join(".local/share/rcc")).unwrap();
    world.run(async {
        let _chamber = Chamber::start(&world.spec(ProjectAccess::None), &[]).await.unwrap();
        let listed = rcc::session::list(&runtime).unwrap();
        let record = listed.iter().find(|record| record.id.starts_with("app-1a2b--tool-")).unwrap();
        assert_eq!(record.command, ["(plugin tool of app-1a2b)"]);
    });
}
