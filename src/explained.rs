//! Outcomes in words: which rule, where it is written, and which command would change it.

use crate::config::{Admin, Origin, Part};
use crate::policy::explain::Outcome;
use crate::policy::ruleset::Transport;
use crate::policy::{Lease, LeaseTarget, Listed, Profile, ProfileName, Reach, Target};
use crate::shown;
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;
use std::path::Path;

/// What was asked, and what the answer is put together from.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Root's decisions.
    pub admin: &'a Admin,
    /// Where they are written.
    pub file: &'a Path,
    /// The position of the profile.
    pub profile: usize,
    /// The leases that were asked for an outcome, each with how long it lasts, in words.
    pub leases: &'a [(Lease, String)],
    /// What was asked about: a name or an address.
    pub target: &'a Target,
    /// Which port of it.
    pub port: u16,
    /// Over what.
    pub transport: Transport,
}

/// An outcome for people and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Whether it is reached.
    pub allowed: bool,
    /// By which rule.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The same in words.
    pub because: String,
    /// Where the rule is written, if it is.
    pub decided: Option<Origin>,
    /// What would change it: a command or an advice.
    pub change: Option<String>,
}

impl Context<'_> {
    /// Explains an outcome.
    pub fn explain(&self, outcome: Outcome) -> Explained {
        let (because, decided) = self.reason(&outcome);
        Explained { allowed: outcome.is_allowed(), change: self.change(&outcome), because, decided, outcome }
    }

    fn of(&self) -> &Profile {
        &self.admin.profiles[self.profile]
    }

    fn reason(&self, outcome: &Outcome) -> (String, Option<Origin>) {
        let origin = |part| Some(self.admin.origin(self.file, part));
        let name = &self.of().name;
        match outcome {
            Outcome::Exception { at } => {
                let target = shown::target(&self.of().exceptions[*at].target);
                (format!("'{name}' has an exception for {target}"), origin(Part::Exception(self.profile, *at)))
            }
            Outcome::Lease { at } => {
                let (lease, time) = &self.leases[*at];
                (format!("a lease allows {} in '{name}' for another {time}", lease.target), None)
            }
            Outcome::Listed { at } => (self.listed(*at), origin(Part::Listed(self.profile, *at))),
            Outcome::Public => (
                format!("it is public, and '{name}' reaches all of the public internet"),
                origin(Part::Default(self.profile)),
            ),
            Outcome::Loopback => {
                ("inside, this is the sandbox's own loopback, where nothing of this machine listens".to_owned(), None)
            }
            Outcome::Host => ("it is this machine itself".to_owned(), None),
            Outcome::Never { net } => {
                (format!("it is {} ({net}), which no name and no lease opens", kind(net.addr())), None)
            }
            Outcome::Private { net: Some(net) } => (format!("it is {} ({net})", kind(net.addr())), None),
            Outcome::Private { net: None } => {
                (format!("private addresses are removed from the answer: '{name}' has no exception for the name"), None)
            }
            Outcome::Declared { net } => (format!("it is in {net}, which is declared private"), origin(Part::Private)),
            Outcome::OnLink { net } => (format!("it is in {net}, which this machine is directly connected to"), None),
            Outcome::Vpn { pattern, interface } => {
                (format!("it is behind {interface}, which `{pattern}` says is a VPN"), origin(Part::VpnInterfaces))
            }
            Outcome::Unlisted => {
                (format!("'{name}' reaches only what it lists, and not this"), origin(Part::Default(self.profile)))
            }
            Outcome::LocalName => (
                format!("it is a name of the site's own, and '{name}' has no exception for it: it does not resolve"),
                None,
            ),
            Outcome::NoName => ("no resolver answers names like this one".to_owned(), None),
        }
    }

    fn list(&self) -> &[Listed] {
        let Reach::Listed(list) = &self.of().reach else { unreachable!("only a list has listed names") };
        list
    }

    fn listed(&self, at: usize) -> String {
        let pattern = &self.list()[at].pattern;
        match &self.admin.origins[self.profile].listed[at].group {
            Some(group) => format!("'{}' lists {pattern}, by the group {group}", self.of().name),
            None => format!("'{}' lists {pattern}", self.of().name),
        }
    }

    fn change(&self, outcome: &Outcome) -> Option<String> {
        let file = self.file.display();
        let by_name = matches!(self.target, Target::Domain(_));
        match outcome {
            Outcome::Exception { at } => Some(self.deny(&self.of().exceptions[*at].target)),
            Outcome::Lease { at } => Some(self.deny(&match &self.leases[*at].0.target {
                LeaseTarget::Address(address) => Target::Address((*address).into()),
                LeaseTarget::Name(pattern) => Target::Domain(pattern.clone()),
            })),
            Outcome::Listed { at } => Some(match &self.admin.origins[self.profile].listed[*at].group {
                Some(group) => {
                    format!(
                        "leave {group} out of `groups` of [profiles.{}], or write [groups.{group}], in {file}",
                        self.of().name
                    )
                }
                None => self.deny(&Target::Domain(self.list()[*at].pattern.clone())),
            }),
            Outcome::Public => {
                Some("run with --profile allowlist, or declare the network private in [network]".to_owned())
            }
            Outcome::Loopback | Outcome::NoName => None,
            Outcome::Host | Outcome::Never { .. } if by_name => {
                Some("allow the address itself, by address and port".to_owned())
            }
            Outcome::Host | Outcome::Never { .. } => Some(self.command("allow", self.target, "")),
            _ => Some(self.command("allow", self.target, " --for 30m")),
        }
    }

    /// `rcc deny` takes back what was allowed as it was allowed: by the rule's own target, which may
    /// be a pattern or a prefix around what was asked about.
    fn deny(&self, allowed: &Target) -> String {
        self.command("deny", allowed, "")
    }

    fn command(&self, verb: &str, target: &Target, more: &str) -> String {
        let udp = if self.transport == Transport::Udp { " --protocol udp" } else { "" };
        let name = &self.of().name;
        let profile = if *name == ProfileName::public() { String::new() } else { format!(" --profile {name}") };
        format!("sudo rcc {verb} {}{udp}{profile}{more}", shown::typed(target, self.port))
    }
}

/// What lives in a private range.
pub fn kind(address: IpAddr) -> &'static str {
    let net = |text: &str| text.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
    const KINDS: [(&str, &str); 20] = [
        ("10.0.0.0/8", "a private network"),
        ("172.16.0.0/12", "a private network"),
        ("192.168.0.0/16", "a private network"),
        ("100.100.100.200/32", "a cloud's metadata service"),
        ("100.64.0.0/10", "a carrier's or VPN's shared space"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, where clouds serve metadata"),
        ("168.63.129.16/32", "Azure's platform address"),
        ("224.0.0.0/4", "multicast, reserved or broadcast"),
        ("240.0.0.0/4", "multicast, reserved or broadcast"),
        ("::ffff:0:0/96", "IPv4 in IPv6 form"),
        ("64:ff9b::/96", "private IPv4 behind NAT64"),
        ("64:ff9b:1::/48", "IPv4 behind a local NAT64"),
        ("2002::/16", "IPv4 in a tunnel"),
        ("2001::/32", "IPv4 in a tunnel"),
        ("fd00:ec2::/32", "a cloud's metadata service"),
        ("fc00::/7", "a private network"),
        ("fe80::/9", "link-local"),
        ("ff00::/8", "multicast"),
        ("::/96", "unspecified, loopback or IPv4 in IPv6 form"),
    ];
    KINDS.iter().find(|(range, _)| net(range)).map_or("special-purpose space", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ranges;

    #[test]
    fn no_denied_range_is_without_a_word() {
        // What is left is documentation's, benchmarks' and discarded space, and "this network".
        let plain = ["0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "100::/64"];
        for net in ranges::denied().into_iter().chain(ranges::never_behind_a_name()) {
            let known = kind(net.addr()) != "special-purpose space";
            assert_eq!(known, !plain.contains(&net.to_string().as_str()), "{net}");
        }
    }

    fn explain(admin: &Admin, profile: usize, leases: &[(Lease, String)], outcome: Outcome) -> Explained {
        let (file, target) = (Path::new("/etc/rcc/config.toml"), Target::Domain("a.example".parse().unwrap()));
        Context { admin, file, profile, leases, target: &target, port: 443, transport: Transport::Udp }.explain(outcome)
    }

    #[test]
    fn each_outcome_says_why_and_what_to_do() {
        let admin = Admin::default();
        let leases = [("a.example udp 443 allowlist".parse().unwrap(), "29m".to_owned())];
        let explain = |profile, outcome| explain(&admin, profile, &leases, outcome);
        let listed = explain(1, Outcome::Listed { at: 0 });
        assert!(listed.because.contains("api.anthropic.com, by the group claude"), "{listed:?}");
        assert!(listed.change.unwrap().contains("[groups.claude]"));
        assert_eq!(listed.decided, Some(Origin::Default));
        let leased = explain(1, Outcome::Lease { at: 0 });
        assert!(leased.allowed && leased.because.contains("for another 29m"), "{leased:?}");
        assert_eq!(leased.change.unwrap(), "sudo rcc deny a.example:443 --protocol udp --profile allowlist");
        let unlisted = explain(1, Outcome::Unlisted);
        assert_eq!(
            unlisted.change.unwrap(),
            "sudo rcc allow a.example:443 --protocol udp --profile allowlist --for 30m"
        );
        let private = explain(0, Outcome::Private { net: Some("10.0.0.0/8".parse().unwrap()) });
        assert_eq!(private.because, "it is a private network (10.0.0.0/8)");
        assert_eq!(private.change.unwrap(), "sudo rcc allow a.example:443 --protocol udp --for 30m");
        let never = explain(0, Outcome::Never { net: "169.254.0.0/16".parse().unwrap() });
        assert!(never.because.contains("metadata") && !never.change.unwrap().contains("--for"));
        for outcome in [Outcome::Loopback, Outcome::NoName] {
            let silent = explain(0, outcome);
            assert!(!silent.allowed && silent.change.is_none());
        }
    }

    #[test]
    fn what_a_broader_rule_opens_is_taken_back_by_that_rule() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        let text = r#"profiles.public.allow = [
            { address = "10.0.0.0/8", ports = [443], protocol = "any" },
            { domain = "*.example", ports = [443], protocol = "any" },
        ]
        profiles.allowlist = { groups = [], names = ["*.example"] }"#;
        std::fs::write(&file, text).unwrap();
        let admin = crate::config::load_admin(&file, rustix::process::geteuid().as_raw()).unwrap();
        let leases = [("*.example udp 443 public".parse().unwrap(), "29m".to_owned())];
        for (profile, outcome, change) in [
            (0, Outcome::Exception { at: 0 }, "sudo rcc deny 10.0.0.0/8:443 --protocol udp"),
            (0, Outcome::Exception { at: 1 }, "sudo rcc deny '*.example:443' --protocol udp"),
            (0, Outcome::Lease { at: 0 }, "sudo rcc deny '*.example:443' --protocol udp"),
            (1, Outcome::Listed { at: 0 }, "sudo rcc deny '*.example:443' --protocol udp --profile allowlist"),
        ] {
            assert_eq!(explain(&admin, profile, &leases, outcome).change.as_deref(), Some(change));
        }
    }
}
