//! Between the hub, which decides, and everything that has effects.

use super::super::commit::{Outcome, Token};
use super::super::hub::{Answer, Ask, Connection, Door, Effect, Hub, Made};
use super::super::name::SessionName;
use super::super::policy::Policy;
use super::super::wire::{Refusal, Reply};
use super::super::writer::{Gone, Writer};
use super::client::Outbox;
use super::sockets::Directories;
use super::worktables::Worktables;
use super::{Clock, client, store};
use std::cell::{Ref, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// What the writer's thread tells the loop.
pub(super) enum Done {
    /// Commits, in their order.
    Batch(Vec<(Token, Outcome)>),
    /// The store's answer.
    Answer(Token, Box<Answer>),
}

/// What all tasks of the loop share.
pub(super) struct Core {
    hub: RefCell<Hub>,
    writer: RefCell<Option<Writer>>,
    to_loop: mpsc::UnboundedSender<Done>,
    pub(super) directories: Directories,
    worktables: Arc<Worktables>,
    clients: RefCell<HashMap<Connection, Rc<Outbox>>>,
    listeners: RefCell<HashMap<SessionName, JoinHandle<()>>>,
    /// Sessions whose cache files are out of date.
    pub(super) stale: RefCell<BTreeSet<SessionName>>,
    clock: Clock,
    connections: std::cell::Cell<Connection>,
    stop: Notify,
    /// Something that time decides has changed.
    earlier: Notify,
}

impl Core {
    pub(super) fn new(
        hub: Hub,
        writer: Writer,
        to_loop: mpsc::UnboundedSender<Done>,
        (directories, worktables): (Directories, Worktables),
        clock: Clock,
    ) -> Self {
        Self {
            hub: RefCell::new(hub),
            writer: RefCell::new(Some(writer)),
            to_loop,
            directories,
            worktables: Arc::new(worktables),
            clients: RefCell::default(),
            listeners: RefCell::default(),
            stale: RefCell::default(),
            clock,
            connections: std::cell::Cell::new(0),
            stop: Notify::new(),
            earlier: Notify::new(),
        }
    }

    pub(super) fn hub(&self) -> Ref<'_, Hub> {
        self.hub.borrow()
    }

    /// Changes the hub and does what it wants done.
    pub(super) fn decide<T>(self: &Rc<Self>, change: impl FnOnce(&mut Hub, super::Now) -> T) -> T {
        let result = change(&mut self.hub.borrow_mut(), self.clock.now());
        self.act();
        result
    }

    pub(super) fn connect(self: &Rc<Self>, door: Door, outbox: &Rc<Outbox>) -> Result<Connection, Refusal> {
        let connection = self.connections.get() + 1;
        self.connections.set(connection);
        self.clients.borrow_mut().insert(connection, outbox.clone());
        let connected = self.decide(|hub, now| hub.connected(connection, door, now));
        if connected.is_err() {
            self.clients.borrow_mut().remove(&connection);
        }
        connected.map(|()| connection)
    }

    pub(super) fn disconnect(self: &Rc<Self>, connection: Connection) {
        self.clients.borrow_mut().remove(&connection);
        self.decide(|hub, now| hub.disconnected(connection, now));
    }

    pub(super) fn follow(self: &Rc<Self>, policy: Policy) {
        self.decide(|hub, _| hub.follow(policy));
    }

    pub(super) fn act(self: &Rc<Self>) {
        loop {
            let effects = self.hub.borrow_mut().effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
        }
    }

    fn perform(self: &Rc<Self>, effect: Effect) {
        match effect {
            Effect::Write(connection, reply) => self.write(connection, &reply),
            Effect::Push(connection, line) => self.with(connection, |outbox| outbox.push(line)),
            Effect::Close(connection) => self.with(connection, Outbox::close),
            Effect::Pause(connection, time) => self.with(connection, |outbox| outbox.pause(time)),
            Effect::Commit(commit) => self.with_writer(|writer| writer.commit(commit)),
            Effect::Ask(token, ask) => self.ask(token, ask),
            Effect::Listen(session) => self.listen(&session),
            Effect::Unlisten(session) => {
                if let Some(task) = self.listeners.borrow_mut().remove(&session) {
                    task.abort();
                }
                self.directories.remove_session(&session);
            }
            Effect::Show(session) => {
                self.stale.borrow_mut().insert(session);
            }
            Effect::Stop => self.stop(),
        }
        self.earlier.notify_one();
    }

    /// Has the writer's thread answer. A loop that has ended wants no answer.
    fn ask(&self, token: Token, ask: Ask) {
        let (to_loop, worktables) = (self.to_loop.clone(), self.worktables.clone());
        self.with_writer(|writer| {
            writer.ask(move |state| {
                let answer = match ask {
                    Ask::Document(work) => worktables.perform(*work),
                    ask => store::answer(state, ask),
                };
                drop(to_loop.send(Done::Answer(token, Box::new(answer))));
            })
        });
    }

    fn write(&self, connection: Connection, reply: &Reply) {
        self.with(connection, |outbox| outbox.write(&reply.line()));
    }

    fn with(&self, connection: Connection, act: impl FnOnce(&Outbox)) {
        let outbox = self.clients.borrow().get(&connection).cloned();
        if let Some(outbox) = outbox {
            act(&outbox);
        }
    }

    fn with_writer(&self, act: impl FnOnce(&Writer) -> Result<(), Gone>) {
        if let Some(Err(gone)) = self.writer.borrow().as_ref().map(act) {
            tracing::error!("{gone}");
            self.stop();
        }
    }

    /// Makes a session's socket and takes its clients.
    pub(super) fn listen(self: &Rc<Self>, session: &SessionName) {
        let made = self.directories.session(session).map(|(listener, directory, lease)| {
            let task = tokio::task::spawn_local(client::accept_session(self.clone(), session.clone(), listener));
            if let Some(before) = self.listeners.borrow_mut().insert(session.clone(), task) {
                before.abort();
            }
            // Without one of them the session is still one, and the log says why.
            let groups = self.hub().worktables(session);
            let groups = groups.iter().filter_map(|group| self.worktables.directory(group).ok()).collect();
            Made { directory, lease, groups }
        });
        let made = made.map_err(|error| {
            tracing::error!("{error}");
            Refusal::new(super::super::wire::Reason::Storage, error.to_string())
        });
        self.hub.borrow_mut().listening(session, made);
        // Called while effects are performed: what comes of it is performed with them, or by who called.
    }

    /// Returns when something of this client's may have come to an end.
    pub(super) async fn settled(&self, connection: Connection) {
        let outbox = self.clients.borrow().get(&connection).cloned();
        match outbox {
            Some(outbox) => outbox.answered().await,
            // The client is gone, and with it what it waits for.
            None => std::future::pending().await,
        }
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }

    pub(super) fn farewell(self: &Rc<Self>) {
        self.decide(|hub, _| hub.end());
    }

    /// Writes what was taken, and ends the writer.
    pub(super) fn finish(&self) -> Result<(), Gone> {
        self.writer.borrow_mut().take().map_or(Ok(()), Writer::finish)
    }
}

/// Works through what the writer's thread tells.
pub(super) async fn outcomes(core: Rc<Core>, mut done: mpsc::UnboundedReceiver<Done>) {
    while let Some(first) = done.recv().await {
        core.decide(|hub, now| {
            let mut next = Some(first);
            while let Some(told) = next {
                match told {
                    Done::Batch(batch) => {
                        batch.into_iter().for_each(|(token, outcome)| hub.outcome(token, outcome, now))
                    }
                    Done::Answer(token, answer) => hub.answered(token, *answer, now),
                }
                next = done.try_recv().ok();
            }
            hub.flush();
        });
    }
}

/// Does what time brings.
pub(super) async fn ticks(core: Rc<Core>) {
    loop {
        let gone = |session: &SessionName| core.directories.launcher_has_ended(session);
        let quiet = core.decide(|hub, now| hub.tick(now, gone));
        // Not more often than this, however much happens: what is due is not that urgent.
        let least = Duration::from_millis(100);
        let _ = tokio::time::timeout(quiet, core.earlier.notified()).await;
        tokio::time::sleep(least.min(quiet)).await;
    }
}
