//! Loads the rules into pf, as root. The kernel is the only state.
//!
//! One anchor, `rcc`, is ours; nothing else of pf is touched but the reference to it in the main
//! ruleset. That one is never removed at run time: DIOCDELETERULE takes away *every* rule without
//! an owner, of everybody, when it is asked to remove a rule that came from pf.conf. A reference to
//! an empty anchor does nothing, and is gone with the next boot.

mod apply;
pub mod conf;
mod device;
mod events;
mod links;
pub(super) mod onlink;
mod pfctl;
mod token;
mod vmnet;
mod watch;

pub use apply::{ApplyError, Inspection, apply, apply_in, inspect, reload, reset, reset_in, status};
pub use watch::{WatchError, watch};

use crate::policy::ruleset::Ruleset;
use ipnet::IpNet;

/// The prefixes that lead through VPN interfaces of this Mac, the default route included. Aggregated.
///
/// # Errors
/// The kernel's.
pub fn behind_vpns(ruleset: &Ruleset) -> Result<Vec<IpNet>, onlink::OnLinkError> {
    Ok(onlink::read()?.vpn(ruleset))
}
