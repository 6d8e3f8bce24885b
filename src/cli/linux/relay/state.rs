//! Whether the relay runs, where it is, and its end.

use super::super::clock::{age, local};
use super::Ground;
use crate::cli::relay::PathArguments;
use crate::moment::Moment;
use crate::output;
use crate::relay::client::{Client, ClientError};
use crate::relay::wire::answer::{Nothing, Status};
use crate::relay::wire::{Query, Question, Request, Stop};
use crate::shown;
use miette::IntoDiagnostic;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What a relay needs at most to write down what it has taken.
const FAREWELL: Duration = Duration::from_secs(30);

/// It was asked to end, and is still there.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the relay was told to end, and has not after {} seconds", FAREWELL.as_secs())]
#[diagnostic(help("its log tells what it waits for; it can be killed without losing what it had acknowledged"))]
struct Lingers;

/// Asks the daemon about itself.
pub(super) fn ask(client: &mut Client) -> Result<Status, ClientError> {
    client.ask(&Request::Query(Query { query: Question::Status, session_id: None }))
}

pub(super) fn status(ground: &Ground, json: bool) -> miette::Result<ExitCode> {
    let candidates = ground.candidates();
    let (mut client, socket) = candidates.connect()?;
    let status = ask(&mut client)?;
    if json {
        let mut value = serde_json::to_value(&status).into_diagnostic()?;
        value["socket"] = socket.to_string_lossy().into();
        output::print_json(&value)?;
    } else {
        output::print(described(&status, socket, Moment::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(status: &Status, socket: &Path, now: Moment) -> String {
    let whose = if status.system { "the system's relay" } else { "your relay" };
    let mut text = format!("{whose}, rcc {}, process {}\n", shown::text(&status.version), status.pid);
    let ran = age(now.since(status.started).as_secs());
    let lines = [
        ("started", format!("{} ({ran} ago)", local(status.started.0))),
        ("socket", shown::terminal(socket)),
        ("sessions", format!("{} (connections: {})", status.sessions, status.connections)),
        ("waiting", format!("{} ({} KiB)", status.waiting, status.stored_bytes.div_ceil(1024))),
        ("audit", format!("{} entries in {}", status.journal.entries, shown::terminal(&status.journal.directory))),
    ];
    let cluster = status.cluster.iter().map(|cluster| {
        let bridge = if cluster.linked { "linked" } else { "no bridge is linked" };
        ("cluster", format!("{} ({bridge}; {} to other hosts wait)", cluster.host, cluster.waiting))
    });
    let mended = status.mended.iter().map(|what| ("mended", shown::text(what)));
    for (name, value) in lines.into_iter().chain(cluster).chain(mended) {
        let _ = writeln!(text, "  {name:<9} {value}");
    }
    text
}

pub(super) fn stop(ground: &Ground) -> miette::Result<ExitCode> {
    let mut candidates = ground.candidates();
    // Whoever means the system's relay says so.
    candidates.sockets.truncate(1);
    let mut client = match candidates.connect() {
        Ok((client, _)) => client,
        Err(ClientError::NotRunning { .. }) => {
            output::tell_line("rcc: no relay is running: nothing to stop");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    };
    let _: Nothing = client.ask(&Request::Stop(Stop {}))?;
    let deadline = Instant::now() + FAREWELL;
    loop {
        match client.next(Some(deadline.saturating_duration_since(Instant::now()))) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(Lingers.into()),
            Err(ClientError::Closed { .. }) => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) fn path(ground: &Ground, arguments: &PathArguments) -> miette::Result<ExitCode> {
    let place = ground.place();
    let all = [
        (arguments.socket, "socket", place.socket()),
        (arguments.state, "state", place.state.clone()),
        (arguments.audit, "audit", place.audit()),
    ];
    let text = match all.iter().find(|(only, _, _)| *only) {
        // For scripts: as the file system has it.
        Some((_, _, path)) => [path.as_os_str().as_encoded_bytes(), b"\n"].concat(),
        None => {
            let line = |name: &str, path: &Path| format!("{name:<7} {}\n", shown::terminal(path));
            all.iter().map(|(_, name, path)| line(name, path)).collect::<String>().into_bytes()
        }
    };
    output::print(text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::wire::answer::{ClusterState, Journal};

    #[test]
    fn a_status_is_a_few_lines() {
        let status = Status {
            version: "1.0".into(),
            pid: 7,
            started: Moment(1_000_000),
            system: false,
            sessions: 2,
            connections: 3,
            waiting: 4,
            stored_bytes: 1025,
            journal: Journal { entries: 9, directory: "/s/audit".into() },
            cluster: Some(ClusterState { host: "desk".parse().unwrap(), linked: false, waiting: 3 }),
            mended: vec!["the last line was cut\u{1b}".into()],
            policy: serde_json::Value::Null,
        };
        let text = described(&status, Path::new("/r/relay.sock"), Moment(1_065_000));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "your relay, rcc 1.0, process 7");
        assert!(lines[1].ends_with("(1m ago)"), "{text}");
        assert_eq!(lines[4], "  waiting   4 (2 KiB)");
        assert_eq!(lines[6], "  cluster   desk (no bridge is linked; 3 to other hosts wait)");
        assert_eq!(lines[7], "  mended    the last line was cut\\u{1b}");
    }
}
