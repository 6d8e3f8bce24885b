//! The process that holds a sandbox's ends: told by its standard input what to do, and by the end of it to stop.

use super::super::name::PairName;
use super::audit::Audit;
use super::core::{Core, Door};
use super::plan::{LOCK, Paired, Plan, SOCKET};
use super::serve::Gate;
use crate::journal::JournalError;
use crate::moment::Moment;
use crate::sockets::{self, SocketError};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

/// Bytes of a plan: it holds a few paths for each pair.
const PLAN_MAX: u64 = 4 << 20;

/// What the process says when its sockets are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The pairs of which it has the end.
    pub pairs: Vec<PairName>,
    /// Those that it does without.
    pub left_out: Vec<LeftOut>,
}

/// A pair that this sandbox does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which.
    pub pair: PairName,
    /// Why.
    pub why: String,
}

/// Why the process ended before it began.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum HoldError {
    /// It would run as root.
    #[error("no process of root's listens to what an agent writes")]
    #[diagnostic(help("root's agents use the system's relay: `rcc relay install --system`"))]
    Root,
    /// It was not started by a launcher.
    #[error("no launcher says what pairs to hold: {0}")]
    #[diagnostic(help("`rcc run` and `rcc claude` start this by themselves"))]
    Plan(String),
    /// The process.
    #[error("cannot {attempt}: {source}")]
    Host {
        /// What was attempted.
        attempt: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn host(attempt: &'static str) -> impl Fn(io::Error) -> HoldError {
    move |source| HoldError::Host { attempt, source }
}

/// Why an end is not held.
#[derive(Debug, thiserror::Error)]
enum NotHeld {
    #[error("another sandbox of this project has its end")]
    Taken,
    #[error(
        "{} is not there: `sudo rcc init` makes it, where there is a group rcc-agents (`sudo rcc relay install --system`)",
        .0.display()
    )]
    NotMade(std::path::PathBuf),
    #[error("{} must be a directory of yours that nobody else can write", .0.display())]
    Foreign(std::path::PathBuf),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Audit(#[from] JournalError),
    #[error("cannot lock its end: {0}")]
    Lock(#[from] Errno),
}

/// An end that is held: nobody else has its lock.
struct End {
    listener: UnixListener,
    audit: Audit,
    lock: File,
}

/// Holds the ends until standard input ends, whatever ends it: the launcher has the other side.
///
/// # Errors
/// Why there is nothing to hold.
pub fn run() -> Result<(), HoldError> {
    if rustix::process::geteuid().is_root() {
        return Err(HoldError::Root);
    }
    // What a terminal sends to the foreground is the launcher's to act on.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/").map_err(host("leave the current directory"))?;
    let mut line = String::new();
    io::stdin().lock().take(PLAN_MAX).read_line(&mut line).map_err(host("read the plan"))?;
    let plan: Plan = serde_json::from_str(&line).map_err(|error| HoldError::Plan(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(host("start the loop"))?;
    LocalSet::new().block_on(&runtime, async {
        let (held, core) = hold(plan);
        let told = serde_json::to_vec(&held).map_err(|error| HoldError::Plan(error.to_string()))?;
        let mut out = io::stdout().lock();
        out.write_all(&[&told[..], b"\n"].concat()).and_then(|()| out.flush()).map_err(host("answer the launcher"))?;
        if let Some(core) = core {
            let (tell, told) = oneshot::channel();
            std::thread::spawn(move || {
                let _ = io::stdin().lock().read(&mut [0]);
                let _ = tell.send(());
            });
            let _ = told.await;
            close(&core);
        }
        Ok(())
    })
}

/// Takes what can be had of the plan, and listens, in a loop's context. Without any end there is nothing to serve.
pub(super) fn hold(mut plan: Plan) -> (Held, Option<Rc<Core>>) {
    let mut held = Held::default();
    let (mut ends, mut pairs) = (Vec::new(), Vec::new());
    for pair in std::mem::take(&mut plan.pairs) {
        match take(&plan, &pair) {
            Ok(end) => {
                held.pairs.push(pair.name.clone());
                ends.push(end);
                pairs.push(pair);
            }
            Err(why) => held.left_out.push(LeftOut { pair: pair.name, why: why.to_string() }),
        }
    }
    if ends.is_empty() {
        return (held, None);
    }
    plan.pairs = pairs;
    let inside = match sockets::listen(&plan.directory.join(SOCKET), 0o600) {
        Ok(inside) => inside,
        Err(error) => {
            let without = held.pairs.drain(..).map(|pair| LeftOut { pair, why: error.to_string() });
            held.left_out.extend(without);
            return (held, None);
        }
    };
    let (listeners, audits): (Vec<_>, Vec<_>) =
        ends.into_iter().map(|End { listener, audit, lock }| ((listener, lock), audit)).unzip();
    let core = Rc::new(Core::new(plan, audits));
    core.note(false);
    spawn_local(Gate::new(&core, Door::Inside).accept(inside));
    for (pair, (listener, lock)) in listeners.into_iter().enumerate() {
        let gate = Gate::new(&core, Door::Peer(pair));
        spawn_local(async move {
            let _lock = lock;
            gate.accept(listener).await;
        });
    }
    (held, Some(core))
}

fn take(plan: &Plan, pair: &Paired) -> Result<End, NotHeld> {
    let shared = pair.joins_users(plan.uid);
    if shared {
        check_made(&pair.own, plan.uid)?;
    } else {
        sockets::directory(&pair.own, 0o700)?;
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = File::from(rustix::fs::open(pair.own.join(LOCK), flags, Mode::from_raw_mode(0o600))?);
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Err(NotHeld::Taken),
        locked => locked?,
    }
    sockets::directory(pair.audit.parent().unwrap_or(&pair.audit), 0o700)?;
    let audit = Audit::open(&pair.audit, plan.limits.retention, Moment::now())?;
    // The group of the directory is that of those who may send: root made it so.
    let listener = sockets::listen(&pair.own.join(SOCKET), if shared { 0o660 } else { 0o600 })?;
    Ok(End { listener, audit, lock })
}

/// Whether root made the directory for this user.
fn check_made(path: &std::path::Path, uid: u32) -> Result<(), NotHeld> {
    let meta = std::fs::symlink_metadata(path).map_err(|_| NotHeld::NotMade(path.to_owned()))?;
    let own = meta.is_dir() && meta.uid() == uid && meta.mode() & 0o022 == 0;
    if own { Ok(()) } else { Err(NotHeld::Foreign(path.to_owned())) }
}

/// Leaves nothing behind but the audit.
pub(super) fn close(core: &Core) {
    core.note(true);
    let ends = core.plan.pairs.iter().map(|pair| &pair.own);
    for directory in ends.chain([&core.plan.directory]) {
        // A stale socket is in nobody's way.
        let _ = std::fs::remove_file(directory.join(SOCKET));
    }
    let _ = std::fs::remove_dir(&core.plan.directory);
}
