//! A tool's wrapper, started as a sandbox starts it, with a broker that is played by the test.
#![cfg(target_os = "linux")]

mod broker;
mod foreign;
mod streams;
mod terminal;

use broker::Stage;
use rcc::plugin::wire::{Control, Event, Request, Signal};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

#[test]
fn the_tool_gets_what_was_typed_and_its_status_comes_back() {
    let stage = Stage::new(["GH_*", "TERM"]);
    let mut command = stage.wrapper(["pr", "list", "--json=ünï", ""]);
    command.env("GH_REPO", "a/b").env("TERM", "dumb").env("SECRET", "x").stdin(Stdio::null());
    let output = stage.play(command, |broker| {
        let Control::Exec { request, terminal: None } = broker.control() else { panic!() };
        let Request { args, cwd, env } = request;
        assert_eq!(args, ["pr", "list", "--json=ünï", ""]);
        assert_eq!(cwd, std::env::current_dir().unwrap().to_str().unwrap());
        assert_eq!(
            env.into_iter().collect::<Vec<_>>(),
            [("GH_REPO".into(), "a/b".into()), ("TERM".into(), "dumb".into())]
        );
        broker.event(Event::Started);
        broker.output(b"out\xff\0");
        broker.error(b"err");
        broker.exited(7);
    });
    assert_eq!(
        (output.status.code(), &output.stdout[..], &output.stderr[..]),
        (Some(7), &b"out\xff\0"[..], &b"err"[..])
    );
}

#[test]
fn a_tool_that_a_signal_ended_ends_its_wrapper_by_it() {
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV, libc::SIGPIPE] {
        let stage = Stage::new([]);
        let output = stage.play(stage.wrapper([]), |broker| {
            broker.started();
            broker.event(Event::Exited { exit_code: 128 + signal as u8, signal: Some(signal), read: None });
        });
        assert_eq!(output.status.signal(), Some(signal));
        assert!(!output.status.core_dumped());
    }
}

#[test]
fn signals_are_passed_on_and_the_tool_decides() {
    let stage = Stage::new([]);
    let output = stage.play(stage.wrapper([]), |broker| {
        broker.started();
        for (raw, signal) in [
            (libc::SIGINT, Signal::Int),
            (libc::SIGTERM, Signal::Term),
            (libc::SIGQUIT, Signal::Quit),
            (libc::SIGHUP, Signal::Hup),
            (libc::SIGUSR1, Signal::Usr1),
            (libc::SIGUSR2, Signal::Usr2),
        ] {
            broker.kill(raw);
            assert_eq!(broker.control(), Control::Signal { signal });
        }
        broker.exited(0);
    });
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_plugin_it_says_so() {
    let stage = Stage::new([]);
    let output = stage.without_broker(["x"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(127));
    assert!(said.starts_with("rcc: no plugin 'gh' in this sandbox: ") && said.contains("gh.toml"), "{said}");
}

#[test]
fn a_socket_that_nobody_serves_is_not_a_missing_plugin() {
    let stage = Stage::new([]);
    drop(std::os::unix::net::UnixListener::bind(stage.socket()).unwrap());
    let output = stage.without_broker([]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(said.contains("rcc plugin status"), "{said}");
}

#[test]
fn a_refusal_is_told_on_standard_error_and_cannot_speak_to_the_terminal() {
    let stage = Stage::new([]);
    let output = stage.play(stage.wrapper([]), |broker| {
        broker.control();
        broker.event(Event::Refused { exit_code: 126, error: "`gh auth` is not allowed\u{1b}[2J\nask".into() });
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert_eq!(said, "rcc: gh: `gh auth` is not allowed\\u{1b}[2J\nrcc: ask\n");
}

#[test]
fn a_broker_that_speaks_another_version_is_heard() {
    let stage = Stage::new([]).refusing("this broker speaks version 2");
    let output = stage.play(stage.wrapper([]), |_| {});
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(126));
    assert!(said.contains("this broker speaks version 2"), "{said}");
}

#[test]
fn a_broker_that_dies_in_mid_call_is_no_success() {
    let stage = Stage::new([]);
    let output = stage.play(stage.wrapper([]), |broker| {
        broker.started();
        broker.output(b"half");
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(125), &b"half"[..]));
    assert!(said.contains("closed the connection"), "{said}");
}

#[test]
fn what_is_not_utf_8_is_refused_here() {
    use std::os::unix::ffi::OsStrExt;
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff"));
    let output = stage.play(command, |broker| assert!(broker.has_gone()));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.as_str()),
        (Some(126), "rcc: gh: argument 1 is not UTF-8, and a plugin takes nothing else\n")
    );
}

#[test]
fn under_its_own_name_it_is_no_tool() {
    let stage = Stage::new([]);
    for name in ["rcc", "/somewhere/rcc", "/usr/bin/rcc-guest"] {
        let mut command = stage.named(name, ["--version"]);
        let output = command.output().unwrap();
        assert!(output.stdout.starts_with(b"rcc-guest "), "{name}");
    }
    // Renamed by somebody, where there are no wrappers.
    let mut command = stage.named("sandboxes", ["--version"]);
    let output = command.env_remove("RCC_PLUGINS").output().unwrap();
    assert!(output.stdout.starts_with(b"rcc-guest "));
}
