//! A client that somebody wrote from `docs/plugin-protocol.md` alone.

use super::broker::Broker;
use rcc::plugin::wire::frames::{self, Sender};
use rcc::plugin::wire::{First, Response};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

const PAGE: &str = include_str!("../../docs/plugin-protocol.md");

/// The page's client, with the sockets where they are here.
fn client(directory: &str) -> String {
    let (_, rest) = PAGE.split_once("```python\n").unwrap();
    let (client, _) = rest.split_once("```\n").unwrap();
    assert!(client.contains("/run/rcc/plugins/") && client.lines().count() < 30);
    client.replace("/run/rcc/plugins/", &format!("{directory}/"))
}

#[test]
fn the_pages_client_calls_a_tool() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("gh.sock")).unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", &client(directory.path().to_str().unwrap()), "gh", "pr", "vüew"]);
    command.env("TERM", "vt100").stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    // Where there is no Python the page cannot be tried, and the checks have one.
    let Ok(child) = command.spawn() else { return };
    let (stream, _) = listener.accept().unwrap();
    let mut broker = Broker::new(stream, child.id());
    let First::Exec(request) = broker.first() else { panic!("another form") };
    assert_eq!(request.args, ["pr", "vüew"]);
    assert_eq!(request.cwd, std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(request.env.into_iter().collect::<Vec<_>>(), [("TERM".into(), "vt100".into())]);
    // More than comes with one read.
    let long = "ü".repeat(300_000);
    let response = Response::ended(7, long.as_bytes(), b"warning \xff");
    broker.write(&frames::message(Sender::Broker, &response).unwrap());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), long);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "warning \u{fffd}");
}
