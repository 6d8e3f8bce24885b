//! The thread of the service `rcc-firewall` that writes denials down. The thread that keeps the
//! rules true does not wait for it, and neither does any packet.

use super::message::Logged;
use super::nflog::{self, Nflog};
use super::pending::{Event, Pending, WINDOW};
use super::record::{Denial, Extent, NameReason, Reason};
use super::ring::Rings;
use super::sessions::Sessions;
use crate::firewall::nft::log;
use crate::network::packet;
use crate::policy::Policy;
use crate::resolver::bell::Bell;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long more names that are denied wait to be written down together.
const NAMES: Duration = Duration::from_millis(250);
/// Names of one address that are written down, and bytes of each.
const NAMES_MAX: usize = 4;
const NAME_MAX: usize = 1024;

/// What the resolver knows: it is asked from this module's thread and must not block.
pub struct Asked {
    /// The names by which an identity knows an address, the latest first.
    pub names: Box<dyn Fn(u32, IpAddr) -> Vec<String> + Send>,
    /// The names that were denied since the last call.
    pub denied: Box<dyn FnMut() -> Vec<NameDenied> + Send>,
    /// Readable when there are such.
    pub bell: Bell,
}

/// A name that an identity was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameDenied {
    /// Who asked.
    pub identity: u32,
    /// For what.
    pub name: String,
    /// Why.
    pub reason: NameReason,
    /// How often since the last call.
    pub count: u64,
    /// The last time.
    pub last: SystemTime,
}

/// Why denials are not written down. They are denials all the same.
#[derive(Debug, thiserror::Error)]
pub enum DenialsError {
    /// The kernel's log.
    #[error("cannot read the kernel's log of denials: {0}; `rcc denials` will show none")]
    Log(#[source] io::Error),
    /// The files.
    #[error("cannot write the record of denials below {}: {source}", path.display())]
    Record {
        /// The directory of locks.
        path: std::path::PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The running thread, which ends with the process.
pub struct Recorder {
    policy: Arc<Mutex<Arc<Policy>>>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// Starts the thread, in the network namespace of the calling one. `run` is root's directory
    /// of locks; without a resolver nothing is known about names.
    ///
    /// # Errors
    /// If the kernel does not hand over its log: without CAP_NET_ADMIN, without nfnetlink_log, or
    /// while another process has it. If the record can't be written.
    pub fn start(run: &Path, policy: &Policy, asked: Option<Asked>) -> Result<Self, DenialsError> {
        let log = nflog::open(log::GROUP, log::SNAPLEN).map_err(DenialsError::Log)?;
        let failed = |source| DenialsError::Record { path: run.to_owned(), source };
        let rings = Rings::open(run).map_err(failed)?;
        let extent = Extent { since: now(), lost: 0 };
        rings.tell(&extent).map_err(failed)?;
        let policy = Arc::new(Mutex::new(Arc::new(policy.clone())));
        let sessions = Sessions::new(run);
        let recording = Recording {
            policy: Arc::clone(&policy),
            pending: Pending::default(),
            sessions,
            rings,
            asked,
            named: None,
            extent,
        };
        let thread = std::thread::Builder::new().name("denials".into()).spawn(move || recording.run(log));
        Ok(Self { policy, thread: thread.map_err(DenialsError::Log)? })
    }

    /// Whose identities are whose from now on.
    pub fn follow(&self, policy: &Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy.clone());
    }

    /// Whether nothing is written down any more.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Recording {
    policy: Arc<Mutex<Arc<Policy>>>,
    pending: Pending,
    sessions: Sessions,
    rings: Rings,
    asked: Option<Asked>,
    /// When names were last asked for.
    named: Option<Instant>,
    extent: Extent,
}

impl Recording {
    fn run(mut self, mut log: Nflog) {
        loop {
            if let Err(error) = self.turn(&mut log) {
                tracing::error!("denials are not written down any more: {error}");
                return;
            }
        }
    }

    /// Waits for something to write down, and writes it.
    fn turn(&mut self, log: &mut Nflog) -> io::Result<()> {
        let soon = self.named.and_then(|named| NAMES.checked_sub(named.elapsed()));
        let pending = (!self.pending.is_idle()).then_some(Duration::from_millis(WINDOW / 2));
        // A flood of names is not one of lines.
        let bell = self.asked.as_ref().map(|asked| asked.bell.as_fd()).filter(|_| soon.is_none());
        log.wait(bell, [soon, pending].into_iter().flatten().min())?;
        let mut lines = Vec::new();
        let policy = Arc::clone(&self.policy.lock().unwrap_or_else(PoisonError::into_inner));
        let lost = log.receive(|logged| {
            let line = event(&mut self.sessions, &policy, &logged).and_then(|event| self.pending.note(event, now()));
            lines.extend(line);
        })?;
        lines.extend(self.pending.due(now()));
        for line in &mut lines {
            line.names = self.names_of(line);
        }
        lines.extend(self.names_denied(&policy));
        let unwritten = lines.iter().filter(|line| !self.write(&policy, line)).count();
        let lost = lost + unwritten as u64;
        if lost > 0 {
            self.extent.lost += lost;
            // As with the lines, what can't be written now may be writable the next time.
            let _ = self.rings.tell(&self.extent);
        }
        Ok(())
    }

    fn names_of(&self, line: &Denial) -> Vec<String> {
        let names = self.asked.as_ref().zip(line.address);
        let names = names.map(|(asked, address)| (asked.names)(line.identity, address)).unwrap_or_default();
        names.into_iter().take(NAMES_MAX).map(shortened).collect()
    }

    fn names_denied(&mut self, policy: &Policy) -> Vec<Denial> {
        let Some(asked) = self.asked.as_mut() else { return Vec::new() };
        if self.named.is_some_and(|named| named.elapsed() < NAMES) {
            return Vec::new();
        }
        self.named = None;
        if !asked.bell.still() {
            return Vec::new();
        }
        self.named = Some(Instant::now());
        let denied = (asked.denied)();
        let sessions = &mut self.sessions;
        let lines = denied.into_iter().filter_map(|denied| {
            let (_, session) = sessions.holder(policy, denied.identity)?;
            let last = milliseconds(denied.last);
            Some(Denial {
                first: last,
                last,
                session,
                profile: profile(policy, denied.identity)?,
                identity: denied.identity,
                reason: Reason::Name(denied.reason),
                protocol: "dns".to_owned(),
                address: None,
                port: None,
                names: vec![shortened(denied.name)],
                count: denied.count,
                at_least: false,
            })
        });
        lines.collect()
    }

    fn write(&mut self, policy: &Policy, line: &Denial) -> bool {
        let Some((uid, ..)) = policy.holder(line.identity) else { return false };
        self.rings.append(uid, line).is_ok()
    }
}

fn event(sessions: &mut Sessions, policy: &Policy, logged: &Logged<'_>) -> Option<Event> {
    // Only who is in its place on a bridge has its address, and no packet of the host's own does.
    let placed = packet::source(logged.packet).and_then(|address| policy.identity_at(address));
    let identity = placed.or(logged.uid)?;
    let (class, profile) = log::parse_prefix(logged.prefix)?;
    let (_, session) = sessions.holder(policy, identity)?;
    let (profile, to) = (profile.to_string(), packet::destination(logged.packet));
    Some(Event { identity, session, profile, class, to })
}

fn profile(policy: &Policy, identity: u32) -> Option<String> {
    let (_, position, _) = policy.holder(identity)?;
    policy.profiles.get(position).map(|profile| profile.name.to_string())
}

fn shortened(mut name: String) -> String {
    let end = (0..=NAME_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name.truncate(end);
    name
}

fn now() -> u64 {
    milliseconds(SystemTime::now())
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
