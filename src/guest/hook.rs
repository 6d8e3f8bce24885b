//! Claude Code's hooks: confirm what came by the messaging socket; where there is none, hand over what waits.

use super::Delivery;
use super::bridge;
use super::inbox::Inbox;
use super::ledger::{DIRECTORY, Ledger, Turn};
use super::post::{self, Pause, Post, Sockets};
use super::present;
use crate::output;
use crate::relay::client::{Client, ClientError};
use crate::relay::name::MessageId;
use crate::relay::wire::answer::{Nothing, Subscribed};
use crate::relay::wire::{Associate, Request, Subscribe};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long a relay that is away is waited for: the session waits meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);
/// Bytes of what Claude Code says. A tool's answer is in it.
const INPUT_MAX: u64 = 64 << 20;
/// The longest id of a client's that the relay takes.
const CLIENT_ID_MAX: usize = 128;
/// How often the one that waits looks whether there is still a session to wake.
const LOOK: Duration = Duration::from_secs(5);
/// What makes Claude Code wake the session with what the hook wrote to standard error.
const WAKE: u8 = 2;

/// What Claude Code says to a hook, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct Input {
    #[serde(default)]
    hook_event_name: String,
    #[serde(default)]
    session_id: String,
    #[serde(default)]
    prompt: String,
}

/// Runs one hook. It never fails: a session goes on without a relay.
pub fn run(delivery: Delivery, wait: bool) -> ExitCode {
    let mut said = Vec::new();
    let _ = std::io::stdin().lock().take(INPUT_MAX).read_to_end(&mut said);
    let input: Input = serde_json::from_slice(&said).unwrap_or_default();
    let Ok(ledger) = Ledger::open(Path::new(DIRECTORY)) else { return ExitCode::SUCCESS };
    let by_socket = delivery == Delivery::Socket && bridge::messaging_socket().is_some();
    let mut inbox = Inbox { post: Post::new(&Sockets::inside(), PATIENCE), ledger };
    if wait {
        return if by_socket || !is_interactive() { ExitCode::SUCCESS } else { wake(&mut inbox) };
    }
    match input.hook_event_name.as_str() {
        "SessionStart" => meet(&mut inbox, input.session_id),
        "UserPromptSubmit" => inbox.hand_over(&present::handed(&input.prompt)),
        _ => {}
    }
    // The bridge may come a moment after the session's start.
    if !(by_socket && input.hook_event_name == "SessionStart") {
        deliver(&mut inbox, &input.hook_event_name);
    }
    ExitCode::SUCCESS
}

/// Whether there is a person's terminal, by Claude Code's word. In print mode nothing is idle, and the session
/// would not end before the hook that waits.
fn is_interactive() -> bool {
    std::env::var_os("CLAUDE_CODE_ENTRYPOINT").is_some_and(|entry| entry == "cli")
}

/// Tells the relay which of the client's sessions this is; a wish, not more.
fn meet(inbox: &mut Inbox, session_id: String) {
    inbox.ledger.note_hooks();
    if !session_id.is_empty() && session_id.len() <= CLIENT_ID_MAX {
        let _ = inbox.post.ask::<Nothing>(&Request::Associate(Associate { session_id }));
    }
}

/// Hands over what waits, unless somebody else does.
fn deliver(inbox: &mut Inbox, event: &str) {
    let Some(_turn) = inbox.ledger.take(Turn::Deliver) else { return };
    let Some((text, handed)) = waiting(inbox) else { return };
    if let Some(answer) = answer(event, &text)
        && output::print(format!("{answer}\n")).is_ok()
        && !output::reader_has_gone(Duration::ZERO)
    {
        inbox.hand_over(&handed);
    }
}

fn waiting(inbox: &mut Inbox) -> Option<(String, Vec<MessageId>)> {
    let uid = rustix::process::geteuid().as_raw();
    inbox.to_push(uid).unwrap_or_else(|error| {
        tracing::debug!("cannot ask for messages: {error}");
        None
    })
}

/// How a text gets into the session at this event.
fn answer(event: &str, text: &str) -> Option<Value> {
    match event {
        "SessionStart" | "UserPromptSubmit" | "PostToolUse" => {
            Some(json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}))
        }
        "Stop" => Some(json!({"decision": "block", "reason": text})),
        _ => None,
    }
}

/// Waits for a message and wakes the session with it.
fn wake(inbox: &mut Inbox) -> ExitCode {
    let Some(_turn) = inbox.ledger.take(Turn::Wait) else { return ExitCode::SUCCESS };
    let session = Session::current();
    let mut pause = Pause::default();
    while session.lives() {
        match listen(inbox, &session) {
            // Who ended meanwhile is told nothing, and what came waits for the next one.
            Ok(Some(_)) if !session.lives() => return ExitCode::SUCCESS,
            Ok(Some(found)) => {
                output::tell(&found.text);
                inbox.hand_over(&found.ids);
                return ExitCode::from(WAKE);
            }
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) => {
                tracing::debug!("cannot wait for messages: {error}");
                pause.before(None);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Messages that are being handed over.
struct Found {
    text: String,
    ids: Vec<MessageId>,
    _turn: File,
}

/// The next messages, until the session ends.
fn listen(inbox: &mut Inbox, session: &Session) -> Result<Option<Found>, ClientError> {
    let sockets = Sockets::inside();
    let mut clients: Vec<(&Path, Client)> = Vec::new();
    while session.lives() {
        // The relay may have come back, or what is paired may be all there is.
        let mut away = None;
        for path in sockets.all().filter(|path| clients.iter().all(|(known, _)| known != path)).collect::<Vec<_>>() {
            match subscribe(path) {
                Ok(client) => clients.push((path, client)),
                Err(error) => away = away.or(Some(error)),
            }
        }
        if let Some(error) = away.filter(|_| clients.is_empty()) {
            return Err(error);
        }
        let (look, mut came) = (LOOK / clients.len() as u32, false);
        for (_, client) in &mut clients {
            came |= client.next(Some(look))?.is_some();
        }
        if !came {
            continue;
        }
        // Whoever has the turn may be handing it over.
        let Some(_turn) = inbox.ledger.await_turn(Turn::Deliver) else { continue };
        if let Some((text, ids)) = waiting(inbox) {
            return Ok(Some(Found { text, ids, _turn }));
        }
    }
    Ok(None)
}

fn subscribe(path: &Path) -> Result<Client, ClientError> {
    let mut client = post::connect(path)?;
    client.ask::<Subscribed>(&Request::Subscribe(Subscribe {}))?;
    Ok(client)
}

/// The Claude Code that the hook is of.
struct Session {
    /// Its process, where it says so.
    process: Option<String>,
    parent: Option<rustix::process::Pid>,
}

impl Session {
    fn current() -> Self {
        let process = std::env::var("CLAUDE_PID").ok().filter(|pid| pid.parse::<u32>().is_ok());
        Self { process, parent: rustix::process::getppid() }
    }

    fn lives(&self) -> bool {
        match &self.process {
            Some(pid) => Path::new("/proc").join(pid).exists(),
            None => rustix::process::getppid() == self.parent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_own_way_into_the_session() {
        let context = answer("PostToolUse", "T").unwrap();
        assert_eq!(context["hookSpecificOutput"]["additionalContext"], "T");
        assert_eq!(context["hookSpecificOutput"]["hookEventName"], "PostToolUse");
        assert_eq!(answer("Stop", "T").unwrap(), json!({"decision": "block", "reason": "T"}));
        // What has no way in is not taken for handed over.
        assert_eq!(answer("SessionEnd", "T"), None);
    }

    #[test]
    fn what_claude_code_says_is_understood_whatever_else_is_in_it() {
        let said = r#"{"hook_event_name":"UserPromptSubmit","session_id":"s","prompt":"p","effort":{"level":"x"}}"#;
        let input: Input = serde_json::from_str(said).unwrap();
        assert_eq!((input.hook_event_name.as_str(), input.prompt.as_str()), ("UserPromptSubmit", "p"));
    }
}
