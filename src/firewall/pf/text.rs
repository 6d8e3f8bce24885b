//! Rules in the syntax of pf.conf(5).

use super::{Action, Anchor, Ndp, Protocol, Rule};
use ipnet::IpNet;
use std::fmt::{self, Display, Formatter};

/// The whole anchor, each rule with its label.
pub(super) fn anchor(anchor: &Anchor) -> String {
    anchor.rules.iter().map(|rule| format!("{rule} label \"{}\"\n", anchor.label)).collect()
}

/// The rules without labels.
pub(super) fn rules(rules: &[Rule]) -> String {
    rules.iter().map(|rule| format!("{rule}\n")).collect()
}

/// The rule without its label. Nothing in it is text of a configuration.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let action = match (self.action, self.protocol) {
            (Action::Pass, _) => "pass in quick",
            (Action::Reset, _) => "block return-rst in log quick",
            (Action::Drop, _) => "block drop in log quick",
        };
        write!(f, "{action} on {}", self.interface)?;
        match (self.from, self.protocol) {
            (_, Protocol::Ndp(_)) | (Some(IpNet::V6(_)), _) => f.write_str(" inet6")?,
            (Some(IpNet::V4(_)), _) => f.write_str(" inet")?,
            (None, _) => {}
        }
        match self.protocol {
            Protocol::Any => {}
            Protocol::Transport(transport) => write!(f, " proto {}", transport.as_str())?,
            Protocol::Ndp(_) => f.write_str(" proto ipv6-icmp")?,
        }
        match (self.from, self.to, self.ports) {
            (None, None, None) => f.write_str(" all")?,
            (from, to, _) => write!(f, " from {} to {}", Place(from), Place(to))?,
        }
        match self.ports {
            Some(ports) if ports.first() == ports.last() => write!(f, " port {}", ports.first())?,
            Some(ports) => write!(f, " port {}:{}", ports.first(), ports.last())?,
            None => {}
        }
        match (self.action, self.protocol) {
            (_, Protocol::Ndp(message)) => write!(f, " icmp6-type {} no state", name(message)),
            (Action::Pass, Protocol::Transport(crate::policy::ruleset::Transport::Udp)) => f.write_str(" keep state"),
            // The flags are looked at for TCP only.
            (Action::Pass, _) => f.write_str(" flags S/SA keep state"),
            (Action::Reset | Action::Drop, _) => Ok(()),
        }
    }
}

struct Place(Option<IpNet>);

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(net) => write!(f, "{net}"),
            None => f.write_str("any"),
        }
    }
}

/// As pf.conf(5) calls it.
fn name(message: Ndp) -> &'static str {
    match message {
        Ndp::RouterSolicitation => "routersol",
        Ndp::NeighbourSolicitation => "neighbrsol",
        Ndp::NeighbourAdvertisement => "neighbradv",
    }
}
