//! The log of denials: what is written into it, and what its reader makes of that.
//!
//! A record goes to a netlink group (nfnetlink_log), never to the kernel's own log: without a
//! listener it is dropped, and a listener that is too slow loses records. Packets wait for neither.

use super::rules::{self, Class};
use super::sets::Family;
use super::words;
use crate::policy::ProfileName;
use crate::policy::bridge::Bridge;
use crate::policy::ruleset::ProfileRules;
use nftables::expr::{Expression, MetaKey};
use nftables::stmt::{Log, Meter, Statement};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

/// The netlink group: "rc" in ASCII, a number that nobody else is likely to use.
pub const GROUP: u16 = 0x7263;
/// Bytes of each packet that are handed over: an IPv6 header, its usual extensions, and ports.
pub const SNAPLEN: u32 = 128;
/// Records a second for each identity and reason; what is beyond is denied like everything else
/// and not recorded. No sandbox can use up another's.
pub const RATE: u32 = 10;
/// Records that an identity may cause at once before the rate holds.
pub const BURST: u32 = 50;

const MARK: &str = "rcc-deny";

/// Logs the packet unless its sender has been logged too often.
pub(super) fn statements(class: Class, profile: &ProfileName) -> Vec<Statement<'static>> {
    vec![limited(meter(class, profile), words::meta(MetaKey::Skuid)), record(class, profile)]
}

/// The same for what comes from a bridge, where the address tells the sender; for each family.
pub(super) fn bridge_statements(class: Class, bridge: &Bridge) -> [Vec<Statement<'static>>; 2] {
    Family::BOTH.map(|family| {
        let protocol = if family == Family::V4 { "ip" } else { "ip6" };
        let from = words::is(words::meta(MetaKey::Iifname), words::text(bridge.interface()));
        let meter = limited(bridge_meter(class, &bridge.profile, family), words::field(protocol, "saddr"));
        vec![from, meter, record(class, &bridge.profile)]
    })
}

/// [`meters`] of a profile with a bridge.
pub(super) fn bridge_meters(profile: &ProfileRules) -> Vec<String> {
    let both = |class: &Class| Family::BOTH.map(|family| bridge_meter(*class, &profile.name, family));
    Class::of(profile).iter().flat_map(both).collect()
}

fn bridge_meter(class: Class, profile: &ProfileName, family: Family) -> String {
    format!("bridge{}log{}", family.digit(), class.counter(profile))
}

fn limited(name: String, key: Expression<'static>) -> Statement<'static> {
    Statement::Meter(Meter { name: name.into(), key, stmt: Box::new(rules::limit(RATE, BURST)) })
}

fn record(class: Class, profile: &ProfileName) -> Statement<'static> {
    let log = Log {
        // At most 127 bytes (`NF_LOG_PREFIXLEN`, linux/netfilter/nf_log.h): names are of up to 24.
        prefix: Some(format!("{MARK} {class} {profile}").into()),
        snaplen: Some(SNAPLEN),
        ..Log::new(Some(GROUP.into()))
    };
    Statement::Log(Some(log))
}

/// The sets in which the kernel counts who was logged how often: newer nft lists them as sets.
pub(super) fn meters(profile: &ProfileRules) -> Vec<String> {
    Class::of(profile).iter().map(|class| meter(*class, &profile.name)).collect()
}

fn meter(class: Class, profile: &ProfileName) -> String {
    format!("log{}", class.counter(profile))
}

/// The reason and the profile that a record's prefix names; nothing if it is not one of ours.
pub fn parse_prefix(prefix: &str) -> Option<(Class, ProfileName)> {
    let mut words = prefix.split(' ');
    let (mark, class, profile) = (words.next()?, words.next()?, words.next()?);
    if mark != MARK || words.next().is_some() {
        return None;
    }
    let class = Class::deserialize(StrDeserializer::<Error>::new(class)).ok()?;
    Some((class, ProfileName::new(profile).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_finds_what_the_rule_writes() {
        let profile = ProfileName::new("my-work").unwrap();
        for class in [Class::Host, Class::Private, Class::OnLink, Class::Vpn, Class::Unlisted] {
            let written = statements(class, &profile).into_iter().find_map(|statement| match statement {
                Statement::Log(Some(log)) => log.prefix,
                _ => None,
            });
            let prefix = written.unwrap();
            assert!(prefix.len() < 128, "{prefix}");
            assert_eq!(parse_prefix(&prefix), Some((class, profile.clone())));
        }
    }

    #[test]
    fn other_prefixes_are_not_ours() {
        for prefix in
            ["", "rcc-deny", "rcc-deny host", "x host public", "rcc-deny all public", "rcc-deny host public x"]
        {
            assert_eq!(parse_prefix(prefix), None, "{prefix}");
        }
    }
}
