//! What `setup` and `init` need of the rest of rcc.

use crate::config::{self, UserRef};
use crate::enforcement::{self, ProbeError};
use crate::facts::User;
use crate::firewall;
use crate::output;
use crate::policy::ProfileName;
use crate::relay::pair;
use crate::setup::{Failure, Unguarded, Wiring, account};
use std::path::Path;
use std::process::ExitCode;

/// Runs one of the two, wired.
pub fn with(command: impl FnOnce(Wiring<'_>) -> Result<ExitCode, Failure>) -> miette::Result<ExitCode> {
    let wiring = Wiring { apply: &apply, reset: &|| Ok(firewall::reset()?), probe: &probe, users: &users };
    command(wiring).map_err(|failure| miette::miette!("{failure}"))
}

fn probe(user: &User) -> Result<(), Unguarded> {
    let rules = |error: &dyn std::error::Error| Unguarded::Rules(error.to_string());
    let policy = enforcement::current().map_err(|error| rules(&error))?;
    enforcement::probe(&policy, &ProfileName::public(), user.uid).map_err(|error| match error {
        ProbeError::NoResolver(why) => Unguarded::Resolver(why),
        error => rules(&error),
    })
}

/// Loads the rules that root's configuration asks for, and makes the places where two users' pairs meet.
fn apply() -> Result<(), Failure> {
    let policy = enforcement::current()?;
    firewall::apply(&policy, &firewall::gather()?)?;
    let admin = config::load_admin(Path::new(config::ADMIN_FILE), 0)?;
    for error in pair::prepare(admin.pairs()) {
        output::tell_line(format_args!("rcc: {error}"));
    }
    Ok(())
}

/// The uids of the users that root's configuration names.
fn users() -> Result<Vec<u32>, Failure> {
    let admin = config::load_admin(Path::new(config::ADMIN_FILE), 0)?;
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = |user: &UserRef| match user {
        UserRef::Uid(uid) => Ok(*uid),
        UserRef::Name(name) => account::find(&passwd, name)
            .map(|account| account.uid)
            .ok_or_else(|| format!("{} names the user {name:?}, whom /etc/passwd does not know", config::ADMIN_FILE)),
    };
    Ok(admin.users.iter().map(uid).collect::<Result<_, _>>()?)
}
