//! One client's connection.

use super::super::hub::{Connection, Door, LONG};
use super::super::name::SessionName;
use super::super::wire::{self, Lines, Malformed, Reason, Refusal, Reply, Response};
use super::core::Core;
use super::credentials;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// Bytes of answers that wait for a client to read, beyond which nothing is read from it.
const WAITING_MAX: usize = 1 << 20;
/// Who does not finish a line, or does not take what it gets, for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// JSON takes six bytes for a byte at most (`\u0000`): there are clients that escape all but ASCII.
const ESCAPED: usize = 6;
/// JSON around a text.
const LINE_MARGIN: usize = 64 << 10;
/// Lines of one client that are worked through before others have their turn; a long one counts as several.
const TURN: usize = 32;
/// Who waits for what others of its session have on the way looks again after this time.
const BUSY_AGAIN: Duration = Duration::from_millis(20);
/// After accept(2) failed, for want of descriptors most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What is on its way to a client.
pub(super) struct Outbox {
    stream: UnixStream,
    queue: RefCell<VecDeque<Chunk>>,
    bytes: Cell<usize>,
    closing: Cell<bool>,
    pause: Cell<Duration>,
    /// There is more to write, or nothing more will come.
    more: Notify,
    /// Room for more.
    room: Notify,
    /// An answer came.
    answered: Notify,
}

/// A part of it.
struct Chunk {
    line: Rc<[u8]>,
    from: usize,
    /// Whether it is a message, which the hub counts.
    pushed: bool,
}

impl Outbox {
    fn new(stream: UnixStream) -> Rc<Self> {
        Rc::new(Self {
            stream,
            queue: RefCell::default(),
            bytes: Cell::new(0),
            closing: Cell::new(false),
            pause: Cell::new(Duration::ZERO),
            more: Notify::new(),
            room: Notify::new(),
            answered: Notify::new(),
        })
    }

    /// An answer. It leaves at once if nothing waits before it: most do.
    pub(super) fn write(&self, line: &[u8]) {
        self.answered.notify_one();
        let sent = if self.queue.borrow().is_empty() { self.stream.try_write(line).unwrap_or(0) } else { 0 };
        if sent < line.len() {
            self.add(Chunk { line: line[sent..].into(), from: 0, pushed: false });
        }
    }

    /// A message.
    pub(super) fn push(&self, line: Rc<[u8]>) {
        let from = if self.queue.borrow().is_empty() { self.stream.try_write(&line).unwrap_or(0) } else { 0 };
        // Even if it has left: it is counted when the writer comes to it.
        self.add(Chunk { line, from, pushed: true });
    }

    /// Returns when an answer came, or the end.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    fn add(&self, chunk: Chunk) {
        self.bytes.set(self.bytes.get() + chunk.line.len() - chunk.from);
        self.queue.borrow_mut().push_back(chunk);
        self.more.notify_one();
    }

    /// Closes it when everything has left.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.more.notify_one();
        self.room.notify_one();
        self.answered.notify_one();
    }

    pub(super) fn pause(&self, time: Duration) {
        self.pause.set(time.min(PATIENCE));
    }

    /// Writes what waits, until it is closed or the client is gone; tells how many bytes of messages have left.
    async fn run(&self, left: impl Fn(usize)) -> io::Result<()> {
        loop {
            let Some((line, from)) = self.queue.borrow().front().map(|chunk| (chunk.line.clone(), chunk.from)) else {
                if self.closing.get() {
                    return Ok(());
                }
                self.more.notified().await;
                continue;
            };
            let mut sent = 0;
            if from < line.len() {
                let writable = tokio::time::timeout(PATIENCE, self.stream.writable());
                writable.await.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
                sent = match self.stream.try_write(&line[from..]) {
                    Ok(sent) => sent,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error),
                };
                self.bytes.set(self.bytes.get() - sent);
            }
            self.advance(sent, &left);
        }
    }

    fn advance(&self, sent: usize, left: &impl Fn(usize)) {
        let mut queue = self.queue.borrow_mut();
        let Some(chunk) = queue.front_mut() else { return };
        chunk.from += sent;
        if chunk.from < chunk.line.len() {
            return;
        }
        let whole = queue.pop_front().filter(|chunk| chunk.pushed).map_or(0, |chunk| chunk.line.len());
        drop(queue);
        self.room.notify_one();
        if whole > 0 {
            left(whole);
        }
    }
}

/// Takes the clients of the shared socket.
pub(super) async fn accept_shared(core: Rc<Core>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let door = credentials::of_shared(&stream, core.hub().own());
                match door {
                    Ok(door) => serve(&core, stream, door),
                    Err(refusal) => turn_away(&stream, refusal),
                }
            }
            Err(error) => wait_after(&error).await,
        }
    }
}

/// Takes the clients of a session's own socket.
pub(super) async fn accept_session(core: Rc<Core>, session: SessionName, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let owner = core.hub().owner(&session).map(|(uid, user)| (uid, user.to_owned()));
                let Some((uid, user)) = owner else { return };
                let door = match credentials::of_session(&stream, &session, uid, &user) {
                    Ok(door) => door,
                    // Not at the session's cost.
                    Err(refusal) => {
                        turn_away(&stream, refusal);
                        continue;
                    }
                };
                let pause = core.decide(|hub, now| hub.knocked(&session, now));
                serve(&core, stream, door);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Err(error) => wait_after(&error).await,
        }
    }
}

async fn wait_after(error: &io::Error) {
    tracing::error!("cannot take a client: {error}");
    tokio::time::sleep(ACCEPT_AGAIN).await;
}

/// Says why, and leaves it at that.
fn turn_away(stream: &UnixStream, refusal: Refusal) {
    let response = Response::refused("connect", None, refusal);
    // Whoever does not take it does not learn it.
    let _ = stream.try_write(&Reply::Response(response).line());
}

fn serve(core: &Rc<Core>, stream: UnixStream, door: Door) {
    let outbox = Outbox::new(stream);
    let connection = match core.connect(door, &outbox) {
        Ok(connection) => connection,
        Err(refusal) => return turn_away(&outbox.stream, refusal),
    };
    let core = core.clone();
    tokio::task::spawn_local(async move {
        let (reader, told) = (outbox.clone(), core.clone());
        let reading = tokio::task::spawn_local(read(core.clone(), connection, reader));
        // Who has gone is no error.
        let _ = outbox.run(|bytes| told.decide(|hub, _| hub.left(connection, bytes))).await;
        reading.abort();
        core.disconnect(connection);
    });
}

/// Reads requests until the client closes, or says what is not to be said.
async fn read(core: Rc<Core>, connection: Connection, outbox: Rc<Outbox>) {
    let mut lines = Lines::default();
    loop {
        let ready = outbox.stream.readable();
        let ready = if lines.unfinished() == 0 {
            ready.await
        } else {
            match tokio::time::timeout(PATIENCE, ready).await {
                Ok(ready) => ready,
                Err(_) => break refuse(&outbox, Reason::Malformed, "a line was not finished within a minute"),
            }
        };
        let limit = core.hub().policy().limits.message_size * ESCAPED + LINE_MARGIN;
        match ready.and_then(|()| take(&outbox.stream, &mut lines)) {
            Ok(0) => {
                // Nothing more comes, but what was asked is answered.
                while core.hub().is_waiting(connection) {
                    core.settled(connection).await;
                }
                break;
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(_) => break,
        }
        let mut turn = 0;
        loop {
            match lines.line(limit).map(|line| line.map(|line| (line.len(), wire::parse(line)))) {
                // Nobody hears it any more, and who does not read must not stay.
                Ok(Some(_)) if outbox.closing.get() => return,
                Ok(Some((length, said))) => {
                    if length >= LONG {
                        core.decide(|hub, now| hub.weigh(connection, length, now));
                    }
                    turn += 1 + length / (LONG / 4);
                    request(&core, connection, &outbox, said).await;
                }
                Ok(None) => break,
                Err(error) => return refuse(&outbox, Reason::TooLarge, &format!("{error}: send less at once")),
            }
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        let charged = core.decide(|hub, _| hub.charge(connection, lines.unfinished()));
        if let Err(refusal) = charged {
            break refuse(&outbox, refusal.reason, &refusal.error);
        }
    }
    outbox.close();
}

thread_local! {
    /// Where reads go first: a client that says nothing costs no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

fn take(stream: &UnixStream, lines: &mut Lines) -> io::Result<usize> {
    SCRATCH.with_borrow_mut(|scratch| {
        let count = stream.try_read(scratch)?;
        lines.push(&scratch[..count]);
        Ok(count)
    })
}

async fn request(
    core: &Rc<Core>,
    connection: Connection,
    outbox: &Outbox,
    said: Result<(wire::Envelope, wire::Request), Malformed>,
) {
    core.decide(|hub, now| hub.request(connection, said, now));
    let pause = outbox.pause.take();
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    while core.hub().is_busy(connection) {
        // What its session has on the way by other connections is answered there.
        let _ = tokio::time::timeout(BUSY_AGAIN, core.settled(connection)).await;
    }
    while outbox.bytes.get() > WAITING_MAX && !outbox.closing.get() {
        outbox.room.notified().await;
    }
}

fn refuse(outbox: &Outbox, reason: Reason, why: &str) {
    let response = Response::refused("request", None, Refusal::new(reason, why));
    outbox.write(&Reply::Response(response).line());
    outbox.close();
}
