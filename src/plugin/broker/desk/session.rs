//! The sessions of a broker: what each may have, where its tools run, and what it costs.

use super::Desk;
use crate::moment::Moment;
use crate::plugin::broker::audit::Unrecorded;
use crate::plugin::broker::call::{self, Station};
use crate::plugin::broker::room::Room;
use crate::plugin::broker::sessions::{self, Sockets};
use crate::plugin::broker::{git_files, spec};
use crate::plugin::event::Event;
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::manifest::{Git, Kind, Manifest};
use crate::plugin::name::ToolName;
use crate::plugin::port::Port;
use crate::plugin::wire::allowance::Allowance;
use crate::rate::Bucket;
use crate::shown;
use crate::sockets::SocketError;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes of unfinished frames that all clients of one session may have the broker hold.
const SESSION_BYTES: usize = 64 << 20;
/// Calls of one session in a minute, and at once: each is an entry of the journal at least. Who asks for more waits.
const CALLS_PER_MINUTE: u32 = 3000;
const CALLS_AT_ONCE: u32 = 2000;
/// Clients of one session at a time.
const CLIENTS_MAX: usize = 256;
/// Bytes of an entry that count as another call.
const RECORDED_BYTES: usize = 1024;
/// Sessions at a time.
const SESSIONS_MAX: usize = 256;

/// A session.
pub(super) struct Session {
    pub project: PathBuf,
    /// The tools that it has, of those that there are; all of them, if `None`.
    tools: Option<BTreeSet<ToolName>>,
    pub opened: Moment,
    sockets: Sockets,
    pub rooms: BTreeMap<ToolName, Rc<Room>>,
    allowance: Allowance,
    pace: Bucket,
    /// Of all of its clients.
    clients: Arc<Semaphore>,
    /// No two sessions of a broker have the same.
    number: u64,
}

impl Session {
    /// Whether it has this tool, where there is one.
    fn may_have(&self, tool: &ToolName) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.contains(tool))
    }
}

/// A session was not opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::plugin::broker) enum NotOpened {
    #[error("a session of the name {0} is open already")]
    Twice(String),
    #[error("{SESSIONS_MAX} sessions are open, and more are not taken")]
    TooMany,
    #[error("{0:?} is no session's name: letters, digits and '-'")]
    Name(String),
    #[error("{}, the project, is not an absolute path without symbolic links", shown::terminal(.0))]
    Project(PathBuf),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
}

impl Desk {
    /// Opens a session: its directory.
    pub(in crate::plugin::broker) async fn open(
        self: &Rc<Self>,
        session: &str,
        project: PathBuf,
        tools: Option<BTreeSet<ToolName>>,
        before: Option<&Path>,
    ) -> Result<PathBuf, NotOpened> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(1..=64).contains(&session.len()) || !session.bytes().all(plain) {
            return Err(NotOpened::Name(session.to_owned()));
        }
        if !project.is_absolute() || std::fs::canonicalize(&project).ok().as_deref() != Some(&project) {
            return Err(NotOpened::Project(project));
        }
        self.has_room_for(session)?;
        // Meanwhile the last one may end, and a broker that is passing does not for it.
        self.opening.set(self.opening.get() + 1);
        let recorded = self.audit.record(Event::Opened { session: session.to_owned(), project: project.clone() }).await;
        self.opening.set(self.opening.get() - 1);
        recorded?;
        // Others may have come while the disk was waited for.
        self.has_room_for(session)?;
        let sockets = Sockets::new(&self.place, session, before)?;
        let directory = sockets.directory().to_owned();
        let opened = Session {
            project,
            tools,
            opened: Moment::now(),
            sockets,
            rooms: BTreeMap::new(),
            allowance: Allowance::of(SESSION_BYTES),
            pace: Bucket::new(CALLS_PER_MINUTE, CALLS_AT_ONCE),
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
            number: self.next_call(),
        };
        self.sessions.borrow_mut().insert(session.to_owned(), opened);
        self.listen(session).inspect_err(|_| self.close(session))?;
        Ok(directory)
    }

    fn has_room_for(&self, session: &str) -> Result<(), NotOpened> {
        let sessions = self.sessions.borrow();
        match sessions.contains_key(session) {
            true => Err(NotOpened::Twice(session.to_owned())),
            false if sessions.len() >= SESSIONS_MAX => Err(NotOpened::TooMany),
            false => Ok(()),
        }
    }

    /// Ends a session and all that runs for it.
    pub(in crate::plugin::broker) fn close(&self, session: &str) {
        let closed = self.sessions.borrow_mut().remove(session);
        if let Some(closed) = closed {
            // Calls that wait or begin hold their room, too.
            closed.rooms.values().for_each(|room| room.end());
            self.audit.note(Event::Closed { session: session.to_owned() });
        }
        self.stop_if_passing();
    }

    fn stop_if_passing(&self) {
        if self.own.passing && self.opening.get() == 0 && self.sessions.borrow().is_empty() {
            self.stop();
        }
    }

    /// Ends all sessions, and what runs for them.
    pub(in crate::plugin::broker) fn close_all(&self) {
        let open: Vec<String> = self.sessions.borrow().keys().cloned().collect();
        open.iter().for_each(|session| self.close(session));
    }

    /// Brings a session's sockets in line with the tools in force.
    pub(super) fn listen(self: &Rc<Self>, session: &str) -> Result<(), SocketError> {
        let catalogue = self.catalogue.borrow();
        let mut sessions = self.sessions.borrow_mut();
        let Some(open) = sessions.get_mut(session) else { return Ok(()) };
        let gone: Vec<ToolName> =
            open.sockets.tools().filter(|tool| !catalogue.tools().contains_key(*tool)).cloned().collect();
        gone.iter().for_each(|tool| open.sockets.remove(tool));
        git_files::write(open.sockets.directory(), git(&catalogue, open))?;
        for (tool, manifest) in catalogue.tools() {
            if open.sockets.wraps(tool).is_some_and(|wraps| wraps != is_wrapped(manifest)) {
                open.sockets.remove(tool);
            }
            if !open.may_have(tool) || open.sockets.wraps(tool).is_some() {
                continue;
            }
            let station = Station { session: session.to_owned(), number: open.number, tool: tool.clone() };
            let (desk, clients) = (self.clone(), open.clients.clone());
            open.sockets.add(tool, is_wrapped(manifest), |listener| {
                tokio::task::spawn_local(call::accept(desk, station, clients, listener))
            })?;
            if matches!(manifest.kind, Kind::Git(_)) {
                open.sockets.add_program(spec::REMOTE_HELPER)?;
            }
        }
        Ok(())
    }

    /// The ports that a session's plugins name.
    pub(in crate::plugin::broker) fn ports(&self, session: &str) -> Vec<Port> {
        let (catalogue, sessions) = (self.catalogue.borrow(), self.sessions.borrow());
        let Some(open) = sessions.get(session) else { return Vec::new() };
        let named = |manifest: &Arc<Manifest>| match &manifest.kind {
            Kind::Http(http) => Some(Port { tool: manifest.tool.clone(), port: http.port? }),
            Kind::Exec(_) | Kind::Git(_) => None,
        };
        catalogue.tools().values().filter(|manifest| open.may_have(&manifest.tool)).filter_map(named).collect()
    }

    /// What clients of a session may have the broker hold.
    pub(in crate::plugin::broker) fn allowance(&self, session: &str) -> Option<Allowance> {
        self.sessions.borrow().get(session).map(|session| session.allowance.clone())
    }

    /// Waits until the session may ask for one more call, of which so many bytes are recorded.
    pub(in crate::plugin::broker) async fn keep_pace(&self, session: &str, recorded: usize) {
        let tokens = 1 + u32::try_from(recorded / RECORDED_BYTES).unwrap_or(u32::MAX);
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let wait = self.sessions.borrow_mut().get_mut(session).map(|session| session.pace.owe(now, tokens));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// The project of a client's session, if that is the one that the client came to.
    pub(in crate::plugin::broker) fn project(&self, station: &Station) -> Option<PathBuf> {
        let sessions = self.sessions.borrow();
        let session = sessions.get(&station.session).filter(|session| session.number == station.number);
        session.map(|session| session.project.clone())
    }

    /// Where a session's tool runs; made with the first call.
    pub(in crate::plugin::broker) fn room(&self, station: &Station, manifest: &Arc<Manifest>) -> Option<Rc<Room>> {
        let mut sessions = self.sessions.borrow_mut();
        let open = sessions.get_mut(&station.session).filter(|session| session.number == station.number)?;
        let room = open.rooms.entry(manifest.tool.clone());
        Some(room.or_insert_with(|| Rc::new(Room::new(manifest.clone()))).clone())
    }

    pub(super) fn end_rooms(&self, tool: &ToolName) {
        for session in self.sessions.borrow_mut().values_mut() {
            if let Some(room) = session.rooms.remove(tool) {
                room.end();
            }
        }
    }

    /// Ends sandboxes that nobody has used for a while.
    pub(in crate::plugin::broker) fn end_idle_rooms(&self) {
        for session in self.sessions.borrow_mut().values_mut() {
            session.rooms.retain(|_, room| {
                let idle = room.is_idle();
                if idle {
                    room.end();
                }
                !idle
            });
        }
    }

    /// Removes the directories of sessions that are no more.
    pub(in crate::plugin::broker) fn sweep(&self) {
        let sessions = self.sessions.borrow();
        sessions::sweep(&self.place, |path| sessions.values().any(|session| session.sockets.directory() == path));
    }
}

/// Whether a tool has a wrapper by its name.
fn is_wrapped(manifest: &Manifest) -> bool {
    matches!(manifest.kind, Kind::Exec(_))
}

/// The plugin for git's remotes, if the session has it.
fn git<'a>(catalogue: &'a Catalogue, session: &Session) -> Option<&'a Git> {
    catalogue.tools().values().find_map(|manifest| match &manifest.kind {
        Kind::Git(git) if session.may_have(&manifest.tool) => Some(git),
        _ => None,
    })
}
