//! Whether the rules hold, asked under a network identity.

use super::{EnforcementError, current_of, identities};
use crate::config;
use crate::firewall::State;
use crate::firewall::probe::{self, Expectation};
use crate::network::identity::{PASSWD, SUBGID, SUBUID};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName};
use crate::resolver::alive;
use crate::runtime::embedded::as_identity::{self, AskError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether the rules hold for this user and names resolve, asked under one of the user's own
/// identities.
pub fn probe(policy: &Policy, profile: &ProfileName, uid: u32) -> Result<(), ProbeError> {
    let identity = identities(policy, profile, uid)?.start;
    let expectation = Expectation::new(&Ruleset::from(policy), profile);
    let answer = as_identity::ask(identity, || match probe::check(&expectation) {
        Ok(()) => match alive::ask() {
            Ok(()) => Vec::new(),
            Err(failure) => serde_json::to_vec(&(None::<State>, failure.to_string())).unwrap_or_else(|_| vec![0]),
        },
        Err(failure) => {
            serde_json::to_vec(&(Some(State::from(&failure)), failure.to_string())).unwrap_or_else(|_| vec![0])
        }
    })?;
    if answer.is_empty() {
        return Ok(());
    }
    let (state, why) = serde_json::from_slice(&answer).unwrap_or((Some(State::Drifted), "no answer".to_owned()));
    Err(state.map_or(ProbeError::NoResolver(why.clone()), |state| ProbeError::NotInForce(state, why)))
}

/// Whether the resolver answers now, asked by root under an identity of some user; nothing if nobody
/// has one.
///
/// # Errors
/// If the question could not be asked.
pub fn resolves(policy: &Policy) -> Result<Option<bool>, AskError> {
    let public = policy.profile(&ProfileName::public()).map(|(position, _)| position);
    let Some((range, position)) = policy.users.first().zip(public) else { return Ok(None) };
    let answer = as_identity::ask(range.slots(position).start, || vec![u8::from(alive::answers())])?;
    Ok(Some(answer == [1]))
}

/// Why the rules do not hold, or why that could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// See there.
    #[error(transparent)]
    Enforcement(#[from] EnforcementError),
    /// See there.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// They do not hold.
    #[error("{1}")]
    NotInForce(State, String),
    /// They hold, and no name resolves.
    #[error("{0}")]
    NoResolver(String),
}

/// How often a running sandbox makes sure that nothing answers in the resolver's place.
const WHO_ANSWERS: Duration = Duration::from_secs(2);
const REPLACED: &str = "another DNS server answers in place of the sandboxes' resolver: start the service \
                        rcc-firewall, and let the other listen on its own addresses alone";

/// A failed look, for [`crate::runtime::embedded::verifier`].
pub type Failure = (String, Duration);

/// Looks whether the rules hold for one identity, over and over. When root has applied another
/// configuration, it follows, as long as the identity still belongs to the same profile.
pub struct Watch {
    profile: ProfileName,
    uid: u32,
    identity: u32,
    expectation: Expectation,
    seen: Stamps,
    /// When the resolver was last asked; it answered then, or at least nothing else did.
    asked: Option<Instant>,
}

/// Which file it is, and when it changed last: device, inode, seconds and nanoseconds of inode(7)'s
/// ctime. Not the time of its content, which is the same for every file of the Nix store.
type Stamp = (u64, u64, i64, i64);

type Stamps = [Option<Stamp>; 4];

fn stamps() -> Stamps {
    [config::ADMIN_FILE, SUBUID, SUBGID, PASSWD].map(|path| stamp(Path::new(path)))
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

/// Whose root's files seem to be in a user namespace that does not map root: proc_sys_kernel(5). Those
/// of all other users outside of it look the same there, which does no harm: what the files say counts
/// only if the kernel has those very rules, and root alone loads them, from files that are root's.
fn unmapped() -> u32 {
    const DEFAULT: u32 = 65534; // DEFAULT_OVERFLOWUID in include/linux/highuid.h
    let uid = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    uid.ok().and_then(|uid| uid.trim().parse().ok()).unwrap_or(DEFAULT)
}

impl Watch {
    /// Starts from the policy that the run was planned with.
    pub fn new(policy: &Policy, profile: &ProfileName, uid: u32, identity: u32) -> Self {
        let expectation = Expectation::new(&Ruleset::from(policy), profile);
        Self { profile: profile.clone(), uid, identity, expectation, seen: stamps(), asked: None }
    }

    /// One look; to be called under the identity. The failure says how long it may be excused.
    /// The first also asks the resolver, without which a sandbox does not start. Later ones ask who
    /// answers now and then: without an answer the sandbox is as closed as before, but another's would
    /// resolve any name for it.
    pub fn look(&mut self) -> Result<(), Failure> {
        self.look_at_rules()?;
        match self.asked {
            None => alive::ask().map_err(|failure| (failure.to_string(), Duration::ZERO))?,
            Some(asked) if asked.elapsed() < WHO_ANSWERS => return Ok(()),
            Some(_) if alive::is_replaced() => return Err((REPLACED.to_owned(), Duration::ZERO)),
            Some(_) => {}
        }
        self.asked = Some(Instant::now());
        Ok(())
    }

    fn look_at_rules(&mut self) -> Result<(), Failure> {
        let failure = match probe::check(&self.expectation) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let now = stamps();
        if now != self.seen && self.follow() {
            self.seen = now;
            return Ok(());
        }
        Err((failure.to_string(), failure.grace()))
    }

    /// Whether the rules that the files ask for now are in force and still hold for this identity.
    fn follow(&mut self) -> bool {
        let Ok(policy) = current_of(unmapped()) else { return false };
        let ours = identities(&policy, &self.profile, self.uid).is_ok_and(|range| range.contains(&self.identity));
        let expectation = Expectation::new(&Ruleset::from(&policy), &self.profile);
        let holds = ours && probe::check(&expectation).is_ok();
        if holds {
            self.expectation = expectation;
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn another_file_of_the_same_age_behind_a_link_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("config.toml");
        let seen = ["old", "new"].map(|name| {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(name, &link).unwrap();
            assert_eq!(stamp(&link), stamp(&link));
            stamp(&link).unwrap()
        });
        assert_ne!(seen[0], seen[1]);
    }
}
