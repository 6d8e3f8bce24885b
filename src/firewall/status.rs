//! Compares what the kernel has with what the configuration asks for.

use super::kernel::{Nft, NftError};
use super::loaded::Loaded;
use super::nft;
use super::probe::NotInForce;
use super::state::{State, Status};
use crate::policy::Surroundings;
use crate::policy::ruleset::{Ruleset, Version};
use std::io;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// nft.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The kernel gives no network namespace to compare in.
    #[error("cannot make a network namespace to compare the rules in: {0}")]
    Scratch(#[source] io::Error),
}

/// Reads the kernel's rules; needs root. Does not ask the resolver. Changes nothing: what they should look like is learned
/// by loading them in a network namespace that nobody else sees.
pub fn status(ruleset: &Ruleset) -> Result<Status, StatusError> {
    let (nft, version) = (Nft::find()?, nft::version(ruleset));
    let Some(objects) = nft.table()? else {
        return Ok(Status { state: State::Absent, version, resolver: None, counters: Vec::new() });
    };
    let loaded = Loaded::new(objects);
    let counters = loaded.counters(ruleset);
    if !loaded.is_version(&version, ruleset) {
        return Ok(Status { state: State::Stale, version, resolver: None, counters });
    }
    let dynamic = nft::dynamic_sets(ruleset, &version);
    let same = loaded.normalised(&dynamic) == scratch(&nft, ruleset, &version)?.normalised(&dynamic);
    Ok(Status { state: if same { State::InForce } else { State::Drifted }, version, resolver: None, counters })
}

/// The first digits of the version that is loaded, for the record: `None` if nothing is, or if it
/// has no rules for names, whose sets carry them. Needs root.
pub fn loaded_tag() -> Option<String> {
    let loaded = Loaded::new(Nft::find().ok()?.outline().ok()??);
    loaded.tag().map(str::to_owned)
}

/// As many digits of another version.
pub fn tag(version: &Version) -> String {
    nft::tag(Some(version))
}

/// What an unprivileged look tells. It cannot see drift in what it does not probe.
impl From<&NotInForce> for State {
    fn from(failure: &NotInForce) -> Self {
        match failure {
            NotInForce::Absent => Self::Absent,
            NotInForce::OtherVersion => Self::Stale,
            _ => Self::Drifted,
        }
    }
}

/// The rules as this host's nft lists them when they are exactly as rendered. Namespaces belong
/// to threads, so the process itself stays where it is.
fn scratch(nft: &Nft, ruleset: &Ruleset, version: &Version) -> Result<Loaded, StatusError> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: CLONE_NEWNET moves this thread only, and no memory or descriptor with it.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
                .map_err(|errno| StatusError::Scratch(errno.into()))?;
            nft.execute("load the rules for comparison", &nft::replace(ruleset, version, &Surroundings::default()))?;
            Ok(Loaded::new(nft.table()?.unwrap_or_default()))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
