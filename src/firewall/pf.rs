//! Renders a ruleset as the text of a pf anchor (pf.conf(5)) for macOS, where sandboxes are
//! virtual machines behind a bridge: their packets come in on it and are told apart by address.
//!
//! The tables of sandboxes, of on-link prefixes, of resolvers and of names are `persist`: whoever
//! loads the anchor fills them.

use crate::policy::ruleset::{Opening, ProfileRules, Ruleset, Transport};
use crate::policy::{PortRange, ProfileName};
use std::fmt::{self, Display, Formatter, Write};

/// The first bridge that vmnet makes for Apple's `container`; a macro, so that `pfctl -D` can
/// name another.
const BRIDGE: &str = "bridge100";

/// The text of the anchor.
pub fn render(ruleset: &Ruleset) -> String {
    let mut text = format!("# Rules of rcc, version {}\n", super::nft::version(ruleset));
    // A String takes everything.
    let _ = write_anchor(&mut text, ruleset);
    text
}

fn write_anchor(out: &mut String, ruleset: &Ruleset) -> fmt::Result {
    writeln!(out, "bridge = \"{BRIDGE}\"")?;
    writeln!(out, "table <rcc_denied> const {{ {} }}", List(&ruleset.denied))?;
    for table in ["rcc_onlink", "rcc_resolvers"] {
        writeln!(out, "table <{table}> persist")?;
    }
    for (position, profile) in ruleset.profiles.iter().enumerate() {
        writeln!(out, "table <{}> persist", sandboxes(&profile.name))?;
        for (number, name) in profile.excepted.patterns.keys().enumerate() {
            writeln!(out, "table <{}> persist # {name}", named(position, number))?;
        }
    }
    // What the bridge's packets may not leave by is only known on their way out.
    for pattern in &ruleset.vpn_interfaces {
        let interface = pattern.as_str().trim_end_matches('*');
        writeln!(out, "block return out log quick on {interface} tagged rcc")?;
    }
    for (position, profile) in ruleset.profiles.iter().enumerate() {
        write_profile(out, position, profile)?;
    }
    // A sandbox of no profile reaches nothing, and sandboxes of any do not reach each other.
    writeln!(out, "block return in log quick on $bridge all")
}

fn write_profile(out: &mut String, position: usize, profile: &ProfileRules) -> fmt::Result {
    let from = sandboxes(&profile.name);
    writeln!(out, "# Profile {}", profile.name)?;
    let dns = "to <rcc_resolvers> port 53";
    writeln!(out, "pass in quick on $bridge proto {{ tcp udp }} from <{from}> {dns} keep state")?;
    write_openings(out, &from, &profile.hosts)?;
    writeln!(out, "block return in log quick on $bridge from <{from}> to {{ self, $bridge:network }}")?;
    // `tag` marks what the rules on VPN interfaces look for; an exception carries none.
    write_openings(out, &from, &profile.prefixes)?;
    for (number, class) in profile.excepted.patterns.values().enumerate() {
        for (transport, ports) in &profile.excepted.classes[*class] {
            let to = format!("<{}>", named(position, number));
            write_pass(out, &from, &to, *transport, *ports)?;
        }
    }
    for table in ["rcc_denied", "rcc_onlink"] {
        writeln!(out, "block return in log quick on $bridge from <{from}> to <{table}>")?;
    }
    writeln!(out, "pass in quick on $bridge from <{from}> to any tag rcc keep state")
}

fn write_openings(out: &mut String, from: &str, openings: &[Opening]) -> fmt::Result {
    openings.iter().try_for_each(|o| write_pass(out, from, &o.net.to_string(), o.transport, o.ports))
}

fn write_pass(out: &mut String, from: &str, to: &str, transport: Transport, ports: PortRange) -> fmt::Result {
    let (protocol, first, last) = (transport.as_str(), ports.first(), ports.last());
    let ports = if first == last { first.to_string() } else { format!("{first}:{last}") };
    writeln!(out, "pass in quick on $bridge proto {protocol} from <{from}> to {to} port {ports} keep state")
}

/// Names of tables have at most 31 bytes (`PF_TABLE_NAME_SIZE`, net/pfvar.h), those of profiles
/// at most 24.
fn sandboxes(profile: &ProfileName) -> String {
    format!("rcc_{}", profile.as_str().replace('-', "_"))
}

/// The addresses of one name, by the positions of the profile and of the name in it.
fn named(profile: usize, number: usize) -> String {
    format!("rcc_name_{profile}_{number}")
}

struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, item) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
