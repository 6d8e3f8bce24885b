//! `rcc relay send`.

use super::super::clock::local;
use super::Ground;
use super::sessions::known;
use crate::cli::relay::SendArguments;
use crate::output;
use crate::relay::client::{self, Client, ClientError};
use crate::relay::name::{Address, MessageId, Recipient};
use crate::relay::wire::answer::{Scheduled, Sent, Sessions};
use crate::relay::wire::{Request, Schedule, Send};
use crate::timespan;
use miette::{Diagnostic, IntoDiagnostic};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io::Read;
use std::process::ExitCode;

/// Bytes that are read of a text: no relay takes a longer one.
const TEXT_MAX: u64 = 4 << 20;

/// The text cannot be sent.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum BadText {
    #[error("cannot read the text from the standard input: {0}")]
    Read(#[source] std::io::Error),
    #[error("the standard input has more than {} MiB", TEXT_MAX >> 20)]
    #[diagnostic(help("put it into a file of the project, and send its name"))]
    TooLong,
    #[error("the standard input is not UTF-8 from byte {0} on")]
    #[diagnostic(help("messages are text: encode it, with base64 for example"))]
    NotText(usize),
}

pub(super) fn run(ground: &Ground, arguments: SendArguments) -> miette::Result<ExitCode> {
    let text = match arguments.text.as_str() {
        "-" => read(std::io::stdin().lock(), TEXT_MAX)?,
        _ => arguments.text.clone(),
    };
    let mut client = ground.connect()?;
    let to = address(&mut client, &arguments.to)?;
    let kind = arguments.kind.into();
    if arguments.at.is_none() && arguments.in_.is_none() && arguments.every.is_none() {
        let id = Some(new_id()?);
        let (reply_to, seq, expires_in) = (arguments.reply_to.clone(), None, None);
        let send = Request::Send(Send { to: to.clone(), text, kind, id, reply_to, seq, expires_in });
        return tell_sent(&to, &once(client, &send, || ground.connect())?, arguments.json);
    }
    let schedule = Request::Schedule(Schedule {
        to: to.clone(),
        text,
        kind,
        at: arguments.at.map(|at| at.to_string()),
        in_: arguments.in_.map(timespan::written),
        every: arguments.every.clone(),
        id: None,
    });
    tell_scheduled(&to, &client.ask(&schedule)?, arguments.json)
}

/// A text of its own, to the end.
fn read(from: impl Read, limit: u64) -> Result<String, BadText> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes).map_err(BadText::Read)?;
    if bytes.len() as u64 > limit {
        return Err(BadText::TooLong);
    }
    String::from_utf8(bytes).map_err(|error| BadText::NotText(error.utf8_error().valid_up_to()))
}

/// Only the beginning of a session's name needs the list of sessions.
fn address(client: &mut Client, typed: &str) -> miette::Result<Address> {
    let short = typed.parse::<Address>().is_ok_and(|it| matches!(it.to, Recipient::Session(_)) && it.host.is_none());
    let known = if short { known(client)? } else { Sessions { sessions: Vec::new(), groups: Vec::new() } };
    Ok(client::recipient(typed, &known.sessions)?)
}

/// Where the answer is lost, the same is sent again: under the same id it is one message.
fn once(
    mut client: Client,
    send: &Request,
    again: impl FnOnce() -> Result<Client, ClientError>,
) -> Result<Sent, ClientError> {
    match client.ask(send) {
        Err(error) if error.is_uncertain() => again().map_err(|_| error)?.ask(send),
        answered => answered,
    }
}

fn new_id() -> miette::Result<MessageId> {
    let mut random = [0; 16];
    getrandom(&mut random, GetRandomFlags::empty()).into_diagnostic()?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("m{digits}").parse().into_diagnostic()
}

fn tell_sent(to: &Address, sent: &Sent, json: bool) -> miette::Result<ExitCode> {
    if json {
        let mut value = serde_json::to_value(sent).into_diagnostic()?;
        value["to"] = to.to_string().into();
        output::print_json(&value)?;
    } else {
        if sent.direct {
            let lost = "no relay is running; it is lost if that sandbox ends before it was read";
            output::print(format!("{} sent directly to {to}: {lost}\n", sent.id))?;
            return Ok(ExitCode::SUCCESS);
        }
        let whom = match sent.recipients {
            1 => to.to_string(),
            several => format!("{to}, {several} mailboxes"),
        };
        output::print(format!("{} sent to {whom}\n", sent.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_scheduled(to: &Address, scheduled: &Scheduled, json: bool) -> miette::Result<ExitCode> {
    if json {
        let mut value = serde_json::to_value(scheduled).into_diagnostic()?;
        value["to"] = to.to_string().into();
        output::print_json(&value)?;
    } else {
        output::print(format!("{} is sent to {to} at {}\n", scheduled.id, local(scheduled.next.0)))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::wire::Kind;
    use serde_json::{Value, json};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_text_is_read_whole_or_not_at_all() {
        assert_eq!(read(&b"two\nlines\n"[..], 10).unwrap(), "two\nlines\n");
        assert!(matches!(read(&b"two\nlines\n"[..], 9), Err(BadText::TooLong)));
        assert!(matches!(read(&b"ab\xff"[..], 9), Err(BadText::NotText(2))));
    }

    #[test]
    fn what_was_not_answered_is_sent_again_under_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let script = std::thread::spawn(move || {
            let ask = |stream: &UnixStream| {
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).unwrap();
                serde_json::from_str::<Value>(&line).unwrap()
            };
            let first = ask(&listener.accept().unwrap().0);
            let mut stream = listener.accept().unwrap().0;
            let second = ask(&stream);
            assert_eq!((&first["id"], &first["text"]), (&second["id"], &second["text"]));
            let data = json!({"id": second["id"], "seq": 1, "accepted": 1, "recipients": 1, "duplicate": true});
            let answer = json!({
                "type": "response", "query": "send", "request": second["request"], "data": data, "timestamp": 1,
            });
            writeln!(stream, "{answer}").unwrap();
        });
        let send = Request::Send(Send {
            to: "user".parse().unwrap(),
            text: "t".into(),
            kind: Kind::Message,
            id: Some(new_id().unwrap()),
            reply_to: None,
            seq: None,
            expires_in: None,
        });
        let sent = once(Client::connect(&path).unwrap(), &send, || Client::connect(&path)).unwrap();
        assert!(sent.duplicate);
        script.join().unwrap();
    }

    #[test]
    fn every_message_has_an_id_of_its_own() {
        let (first, second) = (new_id().unwrap(), new_id().unwrap());
        assert_ne!(first, second);
        assert_eq!(first.as_str().len(), 33);
    }
}
