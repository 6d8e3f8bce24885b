//! What the process that holds a sandbox's ends is told by the launcher: plain data.

use super::super::name::{PairName, ProjectName, SessionName};
use super::super::policy::Policy;
use super::super::wire::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a sandbox has the directory of its own socket.
pub const INSIDE: &str = "/run/rcc/pairs";
/// That socket.
pub const INSIDE_SOCKET: &str = "/run/rcc/pairs/sock";
/// Where the ends of two users meet. Root makes it.
pub const SHARED: &str = "/run/rcc/pairs";
/// The name of a socket in its directory.
pub(super) const SOCKET: &str = "sock";
/// The name of the lock of whoever has an end, beside its socket.
pub(super) const LOCK: &str = "lock";

/// A sandbox and its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The sandbox's session.
    pub session: SessionName,
    /// Its project's name.
    pub project: ProjectName,
    /// The project's root, to be masked in texts.
    pub root: PathBuf,
    /// The user's home, likewise.
    pub home: PathBuf,
    /// The user's login name.
    pub user: String,
    /// The user's uid.
    pub uid: u32,
    /// The directory of the sandbox's own socket. It is there, and nothing is in it.
    pub directory: PathBuf,
    /// The relay that the sandbox is at: while it listens, nothing goes directly.
    pub relay: Option<PathBuf>,
    /// What one sandbox may do.
    pub limits: Limits,
    /// The pairs.
    pub pairs: Vec<Paired>,
}

/// One pair, seen from this end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// What it is called.
    pub name: PairName,
    /// What goes directly.
    pub kinds: BTreeSet<Kind>,
    /// The directory of this end.
    pub own: PathBuf,
    /// The directory of the other one.
    pub peer: PathBuf,
    /// The directory of this end's audit.
    pub audit: PathBuf,
    /// The other end's project.
    pub peer_project: ProjectName,
    /// The login name of the user whose it is.
    pub peer_user: String,
    /// That user's uid.
    pub peer_uid: u32,
}

/// Ceilings for one sandbox's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a message's text, before and after control characters are escaped.
    pub message_size: usize,
    /// Messages a minute, in the long run.
    pub rate: u32,
    /// Messages that may come at once before the rate counts.
    pub burst: u32,
    /// Messages that wait to be read.
    pub waiting: u32,
    /// Bytes of them.
    pub waiting_bytes: u64,
    /// After this long a message that nobody read is dropped.
    pub expiry: Duration,
    /// How long the audit is kept.
    pub retention: Duration,
    /// Whether host paths in texts are masked.
    pub mask_paths: bool,
}

/// Messages that wait at most, in the memory of a process.
const WAITING_MAX: u32 = 1_000;
/// Bytes of them.
const WAITING_BYTES_MAX: u64 = 16 << 20;

impl Limits {
    /// What both policies allow: the system's relay's and the user's own. A pair is no way around either.
    pub fn of(one: &Policy, other: &Policy) -> Self {
        let (a, b) = (&one.limits, &other.limits);
        Self {
            message_size: a.message_size.min(b.message_size),
            rate: a.rate.min(b.rate),
            burst: a.burst.min(b.burst),
            waiting: a.stored_messages.min(b.stored_messages).min(WAITING_MAX),
            waiting_bytes: a.stored_bytes.min(b.stored_bytes).min(WAITING_BYTES_MAX),
            expiry: a.message_expiry.min(b.message_expiry),
            retention: one.audit_retention.max(other.audit_retention),
            mask_paths: one.mask_paths || other.mask_paths,
        }
    }
}

/// The directory of an end of one user's own pair. `run` is the user's directory for locks and sessions, `end` 0 or 1.
pub fn own_end(run: &Path, pair: &PairName, end: usize) -> PathBuf {
    run.join("pairs").join(pair.as_str()).join((end + 1).to_string())
}

/// The directory of an end of two users' pair, below [`SHARED`].
pub fn shared_end(shared: &Path, pair: &PairName, end: usize) -> PathBuf {
    shared.join(pair.as_str()).join((end + 1).to_string())
}

impl Plan {
    /// Bytes of the longest line that either end takes.
    pub(super) fn line_max(&self) -> usize {
        /// JSON takes six bytes for a byte at most (`\u0000`).
        const ESCAPED: usize = 6;
        const MARGIN: usize = 64 << 10;
        self.limits.message_size * ESCAPED + MARGIN
    }
}

impl Paired {
    /// Whether the other end is another user's.
    pub fn joins_users(&self, uid: u32) -> bool {
        self.peer_uid != uid
    }

    /// Whether a session of this name can be the other end's: it is called like the project.
    pub(super) fn is_peer(&self, session: &SessionName) -> bool {
        let rest = session.as_str().strip_prefix(self.peer_project.as_str());
        rest.is_some_and(|rest| rest.starts_with('-'))
    }
}
