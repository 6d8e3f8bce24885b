//! Puts the rules into force, and tells whether they are.

use super::links::{self, LinksError};
use super::pfctl::{self, PfctlError};
use super::token::{self, TokenError};
use super::vmnet::{self, VmnetError};
use super::{device, onlink};
use crate::firewall::pf::loaded::{Loaded, Reference};
use crate::firewall::pf::{self, Anchor};
use crate::firewall::run_directory::{self, RunError};
use crate::firewall::{State, Status};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, Surroundings};
use crate::setup::unit::LABEL;
use ::pfctl::PfCtl;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::path::Path;

/// Where locks and the token live; macOS empties /var/run at boot.
pub(super) const RUN: &str = "/var/run/rcc";

/// Why the rules are not in force. What was loaded before may still be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Only root may.
    #[error("the firewall belongs to root: run this with sudo")]
    NotRoot,
    /// A file or directory of ours.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The host's addresses and routes.
    #[error(transparent)]
    Links(#[from] LinksError),
    /// The sandboxes' networks.
    #[error(transparent)]
    Vmnet(#[from] VmnetError),
    /// The daemon would load them again at once.
    #[error("the daemon {LABEL} keeps the rules loaded: stop it first (`sudo launchctl bootout system/{LABEL}`)")]
    Watched,
    /// pfctl.
    #[error(transparent)]
    Pfctl(#[from] PfctlError),
    /// /dev/pf.
    #[error("cannot {doing} through /dev/pf: {source}{}", cause(source))]
    Device {
        /// What was attempted.
        doing: &'static str,
        /// What the crate said.
        source: ::pfctl::Error,
    },
    /// Keeping pf enabled.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The anchor is not what was just loaded: somebody else changes it too.
    #[error("the rules were loaded but are not what pf lists now: is another program rewriting the anchor `rcc`?")]
    Overwritten,
}

fn cause(error: &::pfctl::Error) -> String {
    std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default()
}

fn device(doing: &'static str) -> impl FnOnce(::pfctl::Error) -> ApplyError {
    move |source| ApplyError::Device { doing, source }
}

/// Replaces the anchor by what policy and surroundings ask for, makes sure that packets meet it, and
/// reads it back. Idempotent. If it is killed at any moment, the old rules or the new ones are in
/// force. A change ends the flows of sandboxes: states outlive the rules that allowed them.
pub fn apply(policy: &Policy, shared: &Surroundings) -> Result<(), ApplyError> {
    let ruleset = Ruleset::from(policy);
    let surroundings = around(&ruleset, shared)?;
    apply_in(Path::new(RUN), &Anchor::new(&ruleset, &surroundings))
}

/// What is around the host, with what is shared by all packet filters, and the networks of Apple's `container`.
pub(super) fn around(ruleset: &Ruleset, shared: &Surroundings) -> Result<pf::Surroundings, ApplyError> {
    let links = links::links()?;
    let networks = vmnet::read(&links.addresses)?;
    let vpn = onlink::Links::from(links).vpn(ruleset);
    Ok(pf::Surroundings { shared: shared.clone(), vpn, networks, ..pf::Surroundings::default() })
}

/// Puts this very anchor into force. `run` is the directory for locks and the token.
pub fn apply_in(run: &Path, anchor: &Anchor) -> Result<(), ApplyError> {
    require_root()?;
    let _lock = run_directory::lock(run)?;
    let mut pf = PfCtl::new().map_err(device("open pf"))?;
    // First, so that there is an anchor to read; what is in it is what was there before.
    device::refer(&mut pf).map_err(device("refer to the anchor"))?;
    let before = pfctl::anchor_rules()?;
    if before.label() != Some(&anchor.label) {
        device::load(&mut pf, anchor).map_err(device("load the rules"))?;
        let now = pfctl::anchor_rules()?;
        pfctl::kill_states(&[before.sources, now.sources.clone()].concat())?;
        if now.label() != Some(&anchor.label) {
            return Err(ApplyError::Overwritten);
        }
    }
    Ok(token::hold(run, &mut pf)?)
}

/// Applies the policy with what is around now. A daemon that watches notices and follows.
pub fn reload(policy: &Policy) -> Result<(), ApplyError> {
    apply(policy, &crate::firewall::gather()?)
}

/// Empties the anchor, ends the flows that it allowed and releases pf; no error if there is nothing.
pub fn reset() -> Result<(), ApplyError> {
    reset_in(Path::new(RUN))
}

/// [`reset`] with another directory for locks and the token.
pub fn reset_in(run: &Path) -> Result<(), ApplyError> {
    require_root()?;
    let _lock = run_directory::lock(run)?;
    let watch = run_directory::watch_lock(run)?;
    if flock(&watch, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
        return Err(ApplyError::Watched);
    }
    let before = loaded(pfctl::reference()?)?;
    if !before.is_empty() {
        let mut pf = PfCtl::new().map_err(device("open pf"))?;
        device::flush(&mut pf).map_err(device("empty the anchor"))?;
        pfctl::kill_states(&before.sources)?;
    }
    Ok(token::release(run)?)
}

/// What pf says now.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Whether pf looks at packets at all.
    pub enabled: bool,
    /// Whether packets meet the anchor.
    pub reference: Reference,
    /// What is in it.
    pub loaded: Loaded,
}

/// Asks pf; needs root.
pub fn inspect() -> Result<Inspection, ApplyError> {
    require_root()?;
    let mut pf = PfCtl::new().map_err(device("open pf"))?;
    let enabled = pf.is_enabled().map_err(device("ask pf whether it is enabled"))?;
    let reference = pfctl::reference()?;
    Ok(Inspection { enabled, reference, loaded: loaded(reference)? })
}

/// An anchor that nothing refers to may not even exist, and does nothing.
fn loaded(reference: Reference) -> Result<Loaded, PfctlError> {
    if reference == Reference::Absent { Ok(Loaded::default()) } else { pfctl::anchor_rules() }
}

impl Inspection {
    /// How that stands to a version.
    pub fn state(&self, ruleset: &Ruleset) -> State {
        if !self.enabled || self.reference == Reference::Absent {
            return State::Absent;
        }
        match (self.loaded.any_label(), self.loaded.label()) {
            (None, _) => State::Absent,
            (Some(label), _) if !label.is_version(&pf::version(ruleset)) => State::Stale,
            (Some(_), None) => State::Drifted,
            (Some(_), Some(_)) => State::InForce,
        }
    }
}

/// Compares what pf has with what the configuration asks for; needs root.
pub fn status(ruleset: &Ruleset) -> Result<Status, ApplyError> {
    let state = inspect()?.state(ruleset);
    Ok(Status { state, version: pf::version(ruleset), resolver: None, counters: Vec::new() })
}

fn require_root() -> Result<(), ApplyError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(ApplyError::NotRoot) }
}
