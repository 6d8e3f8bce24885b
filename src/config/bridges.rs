//! `[bridges]` of root's file.

use super::profiles::Origins;
use super::reader::{Sourced, Table, suggestion};
use crate::policy::Profile;
use crate::policy::bridge::{Bridging, DEFAULT_V4, DEFAULT_V6, SHARED_V4, SHARED_V6};
use ipnet::{Ipv4Net, Ipv6Net};

/// Nothing where no profile has one.
pub(super) fn take(file: &mut Table<'_, '_>, profiles: &[(Profile, Origins)]) -> Option<Sourced<Bridging>> {
    let known: Vec<&str> = profiles.iter().map(|(profile, _)| profile.name.as_str()).collect();
    file.sourced("bridges", |value| {
        let mut table = value.table()?;
        let profiles = table.take("profiles", |value| {
            value.list("a list of profiles like [\"public\", \"allowlist\"]", |item| {
                item.parse("a profile that can have a bridge", |text| {
                    let found = profiles.iter().find(|(profile, _)| profile.name.as_str() == text);
                    found.map(|(profile, _)| profile.name.clone()).ok_or_else(|| suggestion(text, &known))
                })
            })
        });
        let v4 = table.take("v4", |value| value.parse("where bridges can be", shared_v4)).unwrap_or(DEFAULT_V4);
        let v6 = table.take("v6", |value| value.parse("where bridges can be", shared_v6)).unwrap_or(DEFAULT_V6);
        table.finish();
        let profiles = profiles.filter(|profiles| !profiles.is_empty())?;
        Some(Bridging { profiles, v4, v6 })
    })
}

fn shared_v4(text: &str) -> Result<Ipv4Net, String> {
    let allowed = format!("expected a private prefix of length {SHARED_V4}, as \"{DEFAULT_V4}\"");
    let net = text.parse::<Ipv4Net>().map_err(|_| allowed.clone())?;
    let private = net.network().is_private() && net.broadcast().is_private();
    if net.prefix_len() == SHARED_V4 && net.trunc() == net && private { Ok(net) } else { Err(allowed) }
}

fn shared_v6(text: &str) -> Result<Ipv6Net, String> {
    let allowed = format!("expected a unique local prefix of length {SHARED_V6}, as \"{DEFAULT_V6}\"");
    let net = text.parse::<Ipv6Net>().map_err(|_| allowed.clone())?;
    // Of fc00::/7 only the half whose prefixes are chosen locally (RFC 4193, 3.1).
    let local = net.network().octets()[0] == 0xfd;
    if net.prefix_len() == SHARED_V6 && net.trunc() == net && local { Ok(net) } else { Err(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_are_in_private_space_of_one_size() {
        for good in ["10.82.0.0/16", "172.31.0.0/16", "192.168.0.0/16"] {
            assert!(shared_v4(good).is_ok(), "{good}");
        }
        for bad in ["10.82.0.0/15", "10.82.0.1/16", "100.64.0.0/16", "8.8.0.0/16", "172.32.0.0/16", "10.0.0.1", "x"] {
            assert!(shared_v4(bad).is_err(), "{bad}");
        }
        assert!(shared_v6("fd00:1:2::/48").is_ok());
        for bad in ["fd00:1:2::/64", "fc00:1:2::/48", "2001:db8:1::/48", "fd00:1:2:3::/48"] {
            assert!(shared_v6(bad).is_err(), "{bad}");
        }
    }
}
