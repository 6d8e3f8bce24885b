//! Brings messages into a running session by Claude Code's messaging socket: a line there becomes a turn where
//! the session is idle, and goes along with the next tool's answer where it is busy.
//!
//! Claude Code says to its MCP servers and hooks where the socket is, so no version needs to be known. It does
//! not answer on it: what was taken is confirmed by the hook `UserPromptSubmit`, which is told the text.

use super::Delivery;
use super::inbox::Inbox;
use super::ledger::{Ledger, Turn};
use super::post::{self, Pause};
use super::present;
use crate::relay::client::ClientError;
use crate::relay::name::MessageId;
use crate::relay::wire::answer::{Nothing, Subscribed};
use crate::relay::wire::{Heartbeat, Message, Request, Subscribe};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Where Claude Code says that its messaging socket is.
const SOCKET_VARIABLE: &str = "CLAUDE_CODE_MESSAGING_SOCKET";
/// How often the relay hears of a session that has nothing to say: it takes one for away after 90 s.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// After this long a message that went into the messaging socket is shown to whoever asks for it as well: at the
/// end of the tool that runs it would have been taken.
const COMING: Duration = Duration::from_secs(30);
/// Messages that are remembered as on their way. The relay sends them again when it was restarted.
const REMEMBERED: usize = 10_000;

/// The messaging socket of the Claude Code that started this process, if it has one.
pub fn messaging_socket() -> Option<PathBuf> {
    std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What came and was not handed over, and who wants it.
pub struct Desk {
    state: Mutex<State>,
    /// Something came.
    pub arrived: Notify,
    ledger: Ledger,
    uid: u32,
}

struct State {
    /// Where to push; none where the hooks deliver.
    target: Option<Target>,
    pending: VecDeque<Message>,
    /// What was pushed and may not be confirmed, and when.
    coming: BTreeMap<MessageId, Instant>,
    /// Tools that wait for a message: it is theirs then.
    readers: usize,
}

/// The messaging socket, and the turn of whoever delivers.
struct Target {
    socket: PathBuf,
    _turn: File,
}

/// As long as it lives, messages go to the tool that has it.
pub struct Reader<'a>(&'a Desk);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.state().readers -= 1;
    }
}

impl Desk {
    /// Where a messaging socket is, this process delivers from now on.
    pub fn new(ledger: Ledger, delivery: Delivery, socket: Option<PathBuf>) -> Self {
        let socket = socket.filter(|_| delivery == Delivery::Socket);
        // A hook may be handing over: that is soon over. Another bridge is not.
        let target = socket.and_then(|socket| {
            let turn = (0..50).find_map(|_| {
                ledger.take(Turn::Deliver).or_else(|| {
                    std::thread::sleep(Duration::from_millis(100));
                    None
                })
            });
            turn.map(|_turn| Target { socket, _turn })
        });
        let state = State { target, pending: VecDeque::new(), coming: BTreeMap::new(), readers: 0 };
        let uid = rustix::process::geteuid().as_raw();
        Self { state: Mutex::new(state), arrived: Notify::new(), ledger, uid }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages go to the caller while it has this.
    pub fn reader(&self) -> Reader<'_> {
        self.state().readers += 1;
        Reader(self)
    }

    /// Whether this process delivers, and so has the turn.
    pub fn delivers(&self) -> bool {
        self.state().target.is_some()
    }

    /// Whether the message is on its way into the session.
    pub fn is_coming(&self, id: &MessageId) -> bool {
        self.state().coming.get(id).is_some_and(|pushed| pushed.elapsed() < COMING)
    }

    /// A tool has handed these over.
    pub fn taken(&self, ids: &[MessageId]) {
        self.state().pending.retain(|message| !ids.contains(&message.id));
    }

    fn arrive(&self, message: Message) {
        let mut state = self.state();
        let known = state.coming.contains_key(&message.id) || state.pending.iter().any(|it| it.id == message.id);
        if state.target.is_some() && !known {
            state.pending.push_back(message);
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Pushes what waits; the ids of what counts as handed over, since nobody confirms it.
    pub fn flush(&self) -> Vec<MessageId> {
        let confirmed = self.ledger.has_hooks();
        let mut unconfirmed = Vec::new();
        let mut state = self.state();
        while state.readers == 0
            && let Some(target) = &state.target
            && let Some(message) = state.pending.front()
        {
            let id = message.id.clone();
            let long = message.text.len() > present::PUSHED_MAX;
            let pushed = if self.ledger.knows(&id) || (long && !self.ledger.announce(&id)) {
                Ok(())
            } else if long {
                push(&target.socket, &present::announcement(message))
            } else {
                push(&target.socket, &present::message(message, self.uid))
            };
            if let Err(error) = pushed {
                // Claude Code closed it: from now on the hooks deliver, if there still is a session.
                tracing::debug!("cannot push into the session: {error}");
                state.target = None;
                state.pending.clear();
                break;
            }
            state.pending.pop_front();
            if !long {
                state.remember(id.clone());
                unconfirmed.extend((!confirmed).then_some(id));
            }
        }
        unconfirmed
    }
}

impl State {
    fn remember(&mut self, id: MessageId) {
        if self.coming.len() >= REMEMBERED
            && let Some(oldest) = self.coming.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone())
        {
            self.coming.remove(&oldest);
        }
        self.coming.insert(id, Instant::now());
    }
}

/// One line (see the module), and the end of it: Claude Code reads what came before.
fn push(socket: &Path, text: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let line = json!({"type": "user", "message": {"role": "user", "content": text}});
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Takes messages from the relay as they come, for ever.
pub fn carry(relay: &Path, desk: &Desk, inbox: &Arc<Mutex<Inbox>>) {
    let mut pause = Pause::default();
    loop {
        let begun = Instant::now();
        if let Err(error) = listen(relay, desk, inbox) {
            tracing::debug!("the relay is away: {error}");
        }
        if begun.elapsed() > HEARTBEAT {
            pause = Pause::default();
        }
        pause.before(None);
    }
}

fn listen(relay: &Path, desk: &Desk, inbox: &Arc<Mutex<Inbox>>) -> Result<(), ClientError> {
    let mut client = post::connect(relay)?;
    client.ask::<Subscribed>(&Request::Subscribe(Subscribe {}))?;
    loop {
        match client.next(Some(HEARTBEAT))? {
            Some(message) => desk.arrive(message),
            None => {
                client.ask::<Nothing>(&Request::Heartbeat(Heartbeat { data: None }))?;
            }
        }
        settle(desk, inbox);
    }
}

/// Pushes what waits, and acknowledges what nobody will confirm.
pub fn settle(desk: &Desk, inbox: &Mutex<Inbox>) {
    let unconfirmed = desk.flush();
    if !unconfirmed.is_empty() {
        inbox.lock().unwrap_or_else(PoisonError::into_inner).hand_over(&unconfirmed);
    }
}
