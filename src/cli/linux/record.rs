//! Who puts root's file into force, and who takes the rules away, is recorded.

use crate::enforcement;
use crate::firewall::{self, nft};
use crate::output;
use crate::permit::audit::{Log, Rules};
use crate::policy::Policy;
use crate::policy::ruleset::Ruleset;
use std::fmt::Display;

/// Does what loads the rules of this policy, or with `None` what removes them.
pub(in crate::cli) fn recorded<T, E: Display>(
    action: &'static str,
    policy: Option<&Policy>,
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    record(action, &|| policy.map(tag), act)
}

/// [`recorded`], of the policy that the host's files ask for, which this may write before.
pub(super) fn recorded_current<T, E: Display>(
    action: &'static str,
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    record(action, &|| enforcement::current().ok().as_ref().map(tag), act)
}

fn tag(policy: &Policy) -> String {
    firewall::tag(&nft::version(&Ruleset::from(policy)))
}

fn record<T, E: Display>(
    action: &'static str,
    to: &dyn Fn() -> Option<String>,
    act: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    // It refuses by itself.
    if !rustix::process::geteuid().is_root() {
        return act();
    }
    let rules = Rules { action, from: firewall::loaded_tag(), to: None };
    Log::host().around(
        rules,
        to,
        &|error| output::tell_line(format_args!("rcc: {error}; it is done without a record")),
        act,
    )
}
