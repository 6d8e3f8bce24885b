//! Loads the rules into pf, as root. The kernel is the only state.
//!
//! One anchor, `rcc`, is ours; nothing else of pf is touched but the reference to it in the main
//! ruleset. That one is never removed at run time: DIOCDELETERULE takes away *every* rule without
//! an owner, of everybody, when it is asked to remove a rule that came from pf.conf. An empty anchor
//! does nothing, and is gone with the next boot.

mod apply;
mod device;
mod events;
mod links;
pub(super) mod onlink;
mod pfctl;
mod token;
mod watch;

pub use apply::{ApplyError, apply, reload, reset, status};
pub use links::{LinksError, links};
pub use pfctl::{PfctlError, check_conf};
pub use watch::{WatchError, watch};

pub(super) use apply::inspect;
