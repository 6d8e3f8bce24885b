//! The simple form: a request, and when the tool has ended its answer with all that it wrote.

use super::begin::{Begun, Wanted, begin};
use super::underway::{Due, Outcome, Sink};
use super::{Refusal, Station};
use crate::plugin::broker::desk::Desk;
use crate::plugin::wire::allowance::{Allowance, Charge};
use crate::plugin::wire::stream::{ReadError, Reader, Writer};
use crate::plugin::wire::{CAPTURED_MAX, First, Request, Response, Tag};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long a client may keep its connection without a request.
const IDLE: Duration = Duration::from_secs(300);
/// How long it may take to read an answer.
const READING: Duration = Duration::from_secs(60);

pub(super) async fn serve(
    desk: &Rc<Desk>,
    station: &Station,
    mut request: Request,
    mut reader: Reader<OwnedReadHalf>,
    mut writer: Writer<OwnedWriteHalf>,
) {
    loop {
        // A client that has gone is noticed when it does not take its answer: it may have closed its half only.
        let Some(allowance) = desk.allowance(&station.session) else { return };
        // Held until it is written.
        let mut captured = Captured::new(&allowance);
        let (response, _place) = answer(desk, station, request, &mut captured).await;
        if !matches!(timeout(READING, writer.message(&response)).await, Ok(Ok(()))) {
            return;
        }
        let next = match timeout(IDLE, reader.message()).await {
            Ok(Ok(Some(frame))) => First::parse(frame).map_err(|error| error.to_string()),
            Ok(Ok(None) | Err(ReadError::Io(_))) | Err(_) => return,
            Ok(Err(error)) => Err(error.to_string()),
        };
        let refusal = match next {
            Ok(First::Exec(next)) => {
                request = next;
                continue;
            }
            Ok(First::Stream { .. }) => "the streaming form begins a connection".to_owned(),
            Err(why) => why,
        };
        let _ = timeout(READING, writer.message(&Response::refused(126, refusal))).await;
        return;
    }
}

async fn answer(
    desk: &Rc<Desk>,
    station: &Station,
    request: Request,
    captured: &mut Captured,
) -> (Response, Option<OwnedSemaphorePermit>) {
    let wanted = Wanted::Exec { request, terminal: None };
    let mut underway = match begin(desk, station, wanted).await {
        Ok(Begun::Running(underway)) => underway,
        Ok(Begun::Fallback) => return (Response::refused(126, "this needs the streaming form"), None),
        Err(Refusal { exit_code, why }) => return (Response::refused(exit_code, why), None),
    };
    // There is no input.
    underway.ours.stdin = None;
    let outcome = underway.carry(captured).await;
    let place = underway.finish(&outcome);
    let (stdout, stderr) = (std::mem::take(&mut captured.stdout), std::mem::take(&mut captured.stderr));
    let response = match outcome {
        Outcome::Ended(ended) => Response::ended(ended.exit_code(), &stdout, &stderr),
        Outcome::BrokenOff(Refusal { exit_code, why }) => {
            Response { success: false, error: Some(why), ..Response::ended(exit_code, &stdout, &stderr) }
        }
        Outcome::ClientGone => Response::refused(129, "the client has gone"),
    };
    (response, Some(place))
}

/// What each byte of output costs until it is written: itself, as a text (U+FFFD has three), and that as JSON.
const COST: usize = 7;

/// All that a tool wrote.
struct Captured {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    charge: Charge,
}

impl Captured {
    fn new(allowance: &Allowance) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), charge: allowance.charge() }
    }
}

impl Sink for Captured {
    async fn take(&mut self, tag: Tag, bytes: &[u8]) -> Result<(), Refusal> {
        let whole = if tag == Tag::Output { &mut self.stdout } else { &mut self.stderr };
        let room = CAPTURED_MAX - whole.len();
        let held = self.charge.bytes() + COST * bytes.len().min(room);
        if !self.charge.change(held) {
            let why = "broken off: the answers that this session's clients wait for are too long together";
            return Err(Refusal { exit_code: 124, why: why.to_owned() });
        }
        whole.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() <= room {
            return Ok(());
        }
        let why = format!(
            "broken off: the simple form returns at most {CAPTURED_MAX} bytes of each output; the \
                           streaming form has no such limit"
        );
        Err(Refusal { exit_code: 124, why })
    }

    async fn due(&mut self) -> Due {
        std::future::pending().await
    }

    async fn say(&mut self) -> Result<(), Refusal> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_that_wait_are_charged_to_their_session_together() {
        let allowance = Allowance::of(COST * 100);
        let (mut first, mut second) = (Captured::new(&allowance), Captured::new(&allowance));
        first.take(Tag::Output, &[b'x'; 60]).await.unwrap();
        second.take(Tag::Error, &[b'x'; 40]).await.unwrap();
        assert_eq!(allowance.left(), 0);
        let refused = first.take(Tag::Output, b"x").await.unwrap_err();
        assert!(refused.exit_code == 124 && refused.why.contains("too long together"), "{}", refused.why);
        assert_eq!(first.stdout.len(), 60);
        drop(second);
        first.take(Tag::Output, b"x").await.unwrap();
        drop(first);
        assert_eq!(allowance.left(), COST * 100);
    }

    #[tokio::test]
    async fn one_answer_has_a_length_that_is_never_passed() {
        let allowance = Allowance::of(usize::MAX / 2);
        let mut captured = Captured::new(&allowance);
        captured.take(Tag::Output, &vec![b'x'; CAPTURED_MAX]).await.unwrap();
        assert!(captured.take(Tag::Output, b"xy").await.is_err());
        assert_eq!(captured.stdout.len(), CAPTURED_MAX);
    }
}
