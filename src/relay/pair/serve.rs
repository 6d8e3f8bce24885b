//! One connection, of the sandbox or of the other end.

use super::super::daemon::credentials;
use super::super::wire::{self, Lines, Malformed, Reason, Refusal, Reply, Request, Response};
use super::core::{Core, Door};
use crate::rate::Bucket;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// Who does not finish a line, or does not take what it gets, for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections by the sandbox's own socket: those of a few clients, as at the relay.
const CLIENTS_MAX: u32 = 32;
/// Connections of the other end, which has one at a time, and one more that asks who is there.
const PEERS_MAX: u32 = 4;
/// Whole lines' worth of unfinished ones, in all connections by one socket together.
const UNFINISHED_LINES: usize = 2;
/// Requests a minute by one socket, and connections: each is one.
const REQUESTS_RATE: u32 = 6_000;
/// As many may come at once.
const REQUESTS_BURST: u32 = 600;
/// Bytes of a line that count as a request more.
const LONG: usize = 64 << 10;
/// After accept(2) failed, for want of descriptors most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What one socket's connections use up together.
pub(super) struct Gate {
    core: Rc<Core>,
    door: Door,
    requests: RefCell<Bucket>,
    connections: Cell<u32>,
    unfinished: Cell<usize>,
}

impl Gate {
    pub(super) fn new(core: &Rc<Core>, door: Door) -> Rc<Self> {
        Rc::new(Self {
            core: core.clone(),
            door,
            requests: RefCell::new(Bucket::new(REQUESTS_RATE, REQUESTS_BURST)),
            connections: Cell::new(0),
            unfinished: Cell::new(0),
        })
    }

    /// Takes connections for ever.
    pub(super) async fn accept(self: Rc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let pause = self.owed(1);
                    match self.admit(&stream) {
                        Ok(()) => drop(tokio::task::spawn_local(self.clone().serve(stream))),
                        Err(refusal) => turn_away(&stream, refusal),
                    }
                    tokio::time::sleep(pause).await;
                }
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            }
        }
    }

    /// How long whoever asks so much waits for it.
    fn owed(&self, requests: usize) -> Duration {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        self.requests.borrow_mut().owe(self.core.now().ticks, requests).min(PATIENCE)
    }

    /// Who it is, by the kernel's word, and whether there is room.
    fn admit(&self, stream: &UnixStream) -> Result<(), Refusal> {
        let plan = &self.core.plan;
        let most = match self.door {
            Door::Inside => {
                credentials::of_session(stream, &plan.session, plan.uid, &plan.user)?;
                CLIENTS_MAX
            }
            Door::Peer(pair) => {
                let expected = plan.pairs[pair].peer_uid;
                if !stream.peer_cred().is_ok_and(|credentials| credentials.uid() == expected) {
                    let why = format!("this end is for uid {expected}");
                    return Err(Refusal::new(Reason::Unauthenticated, why));
                }
                PEERS_MAX
            }
        };
        if self.connections.get() >= most {
            return Err(Refusal::new(Reason::Quota, format!("{most} connections are open: close some of them")));
        }
        Ok(())
    }

    fn count(&self, change: i32) {
        let now = self.connections.get().saturating_add_signed(change);
        self.connections.set(now);
        if self.door == Door::Inside {
            self.core.clients.set(now);
        }
    }

    async fn serve(self: Rc<Self>, stream: UnixStream) {
        self.count(1);
        let mut client = Client { stream, lines: Lines::default(), charged: 0, subscribed: false, seen: 0 };
        // Who has gone is no error.
        let _ = client.run(&self).await;
        self.charge(&mut client.charged, 0);
        self.count(-1);
    }

    /// Whether there is room for so many unfinished bytes of this connection.
    fn charge(&self, charged: &mut usize, unfinished: usize) -> bool {
        let all = self.unfinished.get() - *charged + unfinished;
        self.unfinished.set(all);
        *charged = unfinished;
        all <= UNFINISHED_LINES * self.core.plan.line_max()
    }
}

/// Says why, and leaves it at that.
fn turn_away(stream: &UnixStream, refusal: Refusal) {
    // Whoever does not take it does not learn it.
    let _ = stream.try_write(&Reply::Response(Response::refused("connect", None, refusal)).line());
}

struct Client {
    stream: UnixStream,
    lines: Lines,
    charged: usize,
    subscribed: bool,
    /// The last message that it got.
    seen: u64,
}

impl Client {
    async fn run(&mut self, gate: &Gate) -> io::Result<()> {
        let limit = gate.core.plan.line_max();
        loop {
            loop {
                let (length, said) = match self.lines.line(limit) {
                    Ok(Some(line)) => (line.len(), wire::parse(line)),
                    Ok(None) => break,
                    Err(error) => return self.end(Reason::TooLarge, &format!("{error}: send less at once")).await,
                };
                let line = self.take(gate, said).await.line();
                self.write(&line).await?;
                tokio::time::sleep(gate.owed(1 + length / LONG)).await;
            }
            if !gate.charge(&mut self.charged, self.lines.unfinished()) {
                return self.end(Reason::TooLarge, "too much of unfinished lines: finish some of them").await;
            }
            let arrived = gate.core.arrived.notified();
            self.push(gate).await?;
            let unfinished = self.lines.unfinished() > 0;
            tokio::select! {
                read = self.stream.readable() => read?,
                () = arrived, if self.subscribed => continue,
                () = tokio::time::sleep(PATIENCE), if unfinished => {
                    return self.end(Reason::Malformed, "a line was not finished within a minute").await;
                }
            }
            let mut chunk = vec![0; READ];
            match self.stream.try_read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.lines.push(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn take(&mut self, gate: &Gate, said: Result<(wire::Envelope, Request), Malformed>) -> Reply {
        let response = match said {
            Err(Malformed { request, word, refusal }) => {
                Response::refused(word.unwrap_or_else(|| "request".to_owned()), request, refusal)
            }
            Ok((envelope, request)) => {
                let (word, subscribes) = (request.word(), matches!(request, Request::Subscribe(_)));
                let answer = gate.core.answer(gate.door, &envelope, request).await;
                self.subscribed |= subscribes && answer.is_ok();
                match answer {
                    Ok(data) => Response::done(word, envelope.request, data),
                    Err(refusal) => Response::refused(word, envelope.request, refusal),
                }
            }
        };
        Reply::Response(Response { internal_id: Some(gate.core.plan.session.clone()), ..response })
    }

    /// Gives a client that asked for it what came.
    async fn push(&mut self, gate: &Gate) -> io::Result<()> {
        while self.subscribed {
            let next = gate.core.ends.borrow().inbox.next(self.seen);
            let Some((order, message)) = next else { break };
            self.write(&Reply::Message((*message).clone()).line()).await?;
            self.seen = order;
        }
        Ok(())
    }

    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(line)).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
    }

    async fn end(&mut self, reason: Reason, why: &str) -> io::Result<()> {
        self.write(&Reply::Response(Response::refused("request", None, Refusal::new(reason, why))).line()).await
    }
}
