//! Changes of root's file by a program: one rule more, or less, and everything else as it was
//! written. Pure: text in, text out.

mod edit;

use super::admin::Admin;
use super::error::ConfigError;
use super::problem::Document;
use crate::policy::{Exception, Listed, PortRange, Ports, Profile, ProfileName, Protocol, Reach, Target};
use std::path::Path;

/// What is to be changed in one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more entry of `allow`.
    Except(Exception),
    /// One more entry of `names`.
    List(Listed),
    /// What entries for this very target open is taken from them; those of groups stay.
    Take {
        /// The target, as it was written.
        target: Target,
        /// Over what.
        protocol: Protocol,
        /// Which ports.
        ports: PortRange,
    },
}

/// A text that says what it did before, and the change.
#[derive(Clone, Debug)]
pub struct Amended {
    /// The new text.
    pub text: String,
    /// What it decides.
    pub admin: Admin,
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum AmendError {
    /// The file, as it is or as it would be.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// Not where nobody wrote it.
    #[error("there is no network profile '{name}'")]
    #[diagnostic(help("{known}"))]
    NoProfile {
        /// The name.
        name: ProfileName,
        /// What there is.
        known: String,
    },
    /// The reader and the writer see the file differently, or it is written in a way that can't be
    /// changed part by part.
    #[error("the file is written in a way that rcc cannot change without touching something else")]
    #[diagnostic(help("change it by hand, then run `sudo rcc firewall apply`; a lease (`--for 30m`) needs no change"))]
    Unclear,
}

/// The text with the change in it; `None` if it says so already. Comments and formatting stay.
///
/// # Errors
/// If the text has mistakes before or after, or anything but the change would change.
pub fn amended(path: &Path, text: &str, profile: &ProfileName, change: &Change) -> Result<Option<Amended>, AmendError> {
    let read = |text: &str| -> Result<Admin, ConfigError> {
        let document = Document { path: path.to_owned(), text: text.to_owned() };
        Admin::read(&document).map_err(|mistakes| ConfigError::mistakes(path, mistakes))
    };
    let before = read(text)?;
    let Some(at) = before.profiles.iter().position(|known| known.name == *profile) else {
        return Err(AmendError::NoProfile { name: profile.clone(), known: before.known_profiles() });
    };
    let mut expected = before.clone();
    let own_names = before.origins[at].listed.iter().filter(|origin| origin.group.is_none()).count();
    let Some(steps) = steps(&mut expected.profiles[at], own_names, change) else { return Ok(None) };
    let after = edit::apply(text, profile, &steps).ok_or(AmendError::Unclear)?;
    let admin = read(&after)?;
    if is_same(&admin, &expected) { Ok(Some(Amended { text: after, admin })) } else { Err(AmendError::Unclear) }
}

/// What to do with the entries of one list, by their positions before the change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Entries of `allow`.
    pub allow: Vec<Step>,
    /// Entries of `names`.
    pub names: Vec<Step>,
}

/// One of them, from the last position to the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A new entry at the end.
    Add(Entry),
    /// The entry is replaced by these; by none if it goes.
    Replace(usize, Vec<Entry>),
}

/// An entry as it is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub target: Target,
    pub ports: Ports,
    pub protocol: Protocol,
}

/// The steps, which are also taken in the profile itself; `None` if there are none. The first
/// `own_names` of the listed names are the profile's own.
fn steps(profile: &mut Profile, own_names: usize, change: &Change) -> Option<Steps> {
    let mut steps = Steps::default();
    match change {
        Change::Except(exception) => {
            if profile.exceptions.contains(exception) {
                return None;
            }
            let Exception { target, ports, protocol } = exception.clone();
            steps.allow.push(Step::Add(Entry { target, ports, protocol }));
            profile.exceptions.push(exception.clone());
        }
        Change::List(listed) => {
            let Reach::Listed(list) = &mut profile.reach else { return None };
            if list.contains(listed) {
                return None;
            }
            let Listed { pattern, ports, protocol } = listed.clone();
            steps.names.push(Step::Add(Entry { target: Target::Domain(pattern), ports, protocol }));
            list.insert(own_names, listed.clone());
        }
        Change::Take { target, protocol, ports } => {
            let taken = |entry: Entry| (entry.target == *target).then(|| left(&entry, *protocol, *ports))?;
            for at in (0..profile.exceptions.len()).rev() {
                let Exception { target, ports, protocol } = profile.exceptions[at].clone();
                if let Some(left) = taken(Entry { target, ports, protocol }) {
                    let entries = left.iter().cloned().map(|Entry { target, ports, protocol }| Exception {
                        target,
                        ports,
                        protocol,
                    });
                    profile.exceptions.splice(at..=at, entries);
                    steps.allow.push(Step::Replace(at, left));
                }
            }
            if let Reach::Listed(list) = &mut profile.reach {
                for at in (0..own_names).rev() {
                    let Listed { pattern, ports, protocol } = list[at].clone();
                    if let Some(left) = taken(Entry { target: Target::Domain(pattern.clone()), ports, protocol }) {
                        let entries = left.iter().cloned();
                        let entries = entries.map(|Entry { ports, protocol, .. }| Listed {
                            pattern: pattern.clone(),
                            ports,
                            protocol,
                        });
                        list.splice(at..=at, entries.collect::<Vec<_>>());
                        steps.names.push(Step::Replace(at, left));
                    }
                }
            }
        }
    }
    (steps != Steps::default()).then_some(steps)
}

/// What stays of an entry; `None` if nothing is taken from it.
fn left(entry: &Entry, protocol: Protocol, taken: PortRange) -> Option<Vec<Entry>> {
    let of = |transport: Protocol| -> Option<Ports> {
        if !covers(entry.protocol, transport) {
            return None;
        }
        if covers(protocol, transport) { without(&entry.ports, taken) } else { Some(entry.ports.clone()) }
    };
    let (tcp, udp) = (of(Protocol::Tcp), of(Protocol::Udp));
    let written =
        |ports: Option<Ports>, protocol| Some(Entry { target: entry.target.clone(), ports: ports?, protocol });
    let entries: Vec<Entry> = if tcp == udp {
        written(tcp, Protocol::Any).into_iter().collect()
    } else {
        [written(tcp, Protocol::Tcp), written(udp, Protocol::Udp)].into_iter().flatten().collect()
    };
    (entries != std::slice::from_ref(entry)).then_some(entries)
}

fn covers(protocol: Protocol, transport: Protocol) -> bool {
    protocol == Protocol::Any || protocol == transport
}

/// The ports but for those taken; `None` if none are left.
fn without(ports: &Ports, taken: PortRange) -> Option<Ports> {
    let rest = ports.ranges().iter().flat_map(|range| {
        let below = taken.first().checked_sub(1).map(|last| (range.first(), range.last().min(last)));
        let above = taken.last().checked_add(1).map(|first| (range.first().max(first), range.last()));
        [below, above].into_iter().flatten().filter_map(|(first, last)| PortRange::new(first, last).ok())
    });
    Ports::new(rest.collect()).ok()
}

/// Whether both decide the same. Where the parts stand may differ, and which form a rule is
/// written in does not matter.
fn is_same(one: &Admin, other: &Admin) -> bool {
    let groups = |admin: &Admin| -> Vec<_> {
        admin.groups.iter().map(|group| (group.name.clone(), group.names.clone())).collect()
    };
    // The order of profiles decides their identities, that of rules decides nothing.
    let profiles = |admin: &Admin| -> Vec<_> {
        let each = admin.profiles.iter().cloned().map(|mut profile| {
            profile.exceptions.sort_unstable();
            if let Reach::Listed(list) = &mut profile.reach {
                list.sort_unstable();
            }
            profile
        });
        each.collect()
    };
    one.users == other.users
        && profiles(one) == profiles(other)
        && one.private == other.private
        && one.vpn_interfaces == other.vpn_interfaces
        && one.bridging == other.bridging
        && one.limits == other.limits
        && groups(one) == groups(other)
}

#[cfg(test)]
mod tests;
