//! Judges a Mac by what was observed: each requirement is plain data. Pure.

use super::requirement::{Mender, Requirement, Verdict};
use crate::firewall::State;
use crate::firewall::pf::loaded::Reference;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observations {
    /// How this rcc is called in remedies.
    pub rcc: String,
    /// Whether rcc runs as root now.
    pub privileged: bool,
    /// Whether there is a /dev/pf.
    pub device: bool,
    /// What pf said, to root alone.
    pub pf: Option<Result<Rules, String>>,
    /// Whether /etc/pf.conf refers to our anchor.
    pub boot_reference: bool,
    /// Whether launchd runs the daemon.
    pub daemon: bool,
    /// What the daemon of `init` would run; `None` where another program declared one.
    pub copy: Option<Copy>,
}

/// What pf has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How the rules stand to the configuration.
    pub state: State,
    /// Whether pf looks at packets at all.
    pub enabled: bool,
    /// How the main ruleset refers to them.
    pub reference: Reference,
}

/// The root-owned copy of rcc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The same program as the running one.
    Current,
    /// Another one.
    Other,
    /// There is none.
    Absent,
}

/// Every requirement, in the order in which they are best mended.
pub fn judge(host: &Observations) -> Vec<Requirement> {
    let mut all = vec![device(host), rules(host), reference(host), boot(host), daemon(host)];
    all.extend(host.copy.map(|found| copy(host, found)));
    all.push(runtime());
    all
}

fn device(host: &Observations) -> Requirement {
    let found = |state| Requirement::ok("pf", "the packet filter that enforces the rules", state);
    if host.device { found("available") } else { found("no /dev/pf").unless(Verdict::Missing, "use a Mac's own macOS") }
}

fn rules(host: &Observations) -> Requirement {
    let found = |state: &str| Requirement::ok("firewall rules", "deny private networks, as root's rules", state);
    let rules = match &host.pf {
        None => return unknown(host, found("only root can see them")),
        Some(Err(error)) => return by_init(host, found(error)),
        Some(Ok(rules)) => rules,
    };
    match rules.state {
        State::InForce => found("in force"),
        State::Absent if !rules.enabled => by_init(host, found("pf is disabled")),
        State::Absent => by_init(host, found("absent")),
        State::Stale => by_init(host, found("of another configuration, or of another rcc")),
        State::Drifted => by_init(host, found("somebody changed them")),
    }
}

fn reference(host: &Observations) -> Requirement {
    let found =
        |state| Requirement::ok("their place in pf", "other programs' rules that come first decide first", state);
    match host.pf.as_ref().and_then(|found| found.as_ref().ok()).map(|rules| rules.reference) {
        None => unknown(host, found("only root can see it")),
        Some(Reference::First) => found("before all others"),
        Some(Reference::Behind) => found("behind rules of others until the next boot")
            .unless(Verdict::Degraded, "restart this Mac, or look at the others: sudo pfctl -s rules"),
        Some(Reference::Absent) => by_init(host, found("nowhere")),
    }
}

fn boot(host: &Observations) -> Requirement {
    let found = |state| Requirement::ok("/etc/pf.conf", "puts the rules first at boot", state);
    if host.boot_reference { found("refers to the rules") } else { by_init(host, found("does not refer to the rules")) }
}

fn daemon(host: &Observations) -> Requirement {
    let found = |state| Requirement::ok("daemon", "loads the rules at boot and keeps them current", state);
    if host.daemon { found("running") } else { by_init(host, found("not loaded")) }
}

fn copy(host: &Observations, copy: Copy) -> Requirement {
    let found = |state| Requirement::ok("root's copy of rcc", "what the daemon runs", state);
    match copy {
        Copy::Current => found("this version"),
        Copy::Other => by_init(host, found("another version")),
        Copy::Absent => by_init(host, found("not installed")),
    }
}

fn runtime() -> Requirement {
    Requirement::ok("runtime", "runs the sandboxes", "none for macOS in this version: nothing can be run")
        .unless(Verdict::Degraded, "run sandboxes on Linux")
}

fn unknown(host: &Observations, found: Requirement) -> Requirement {
    found.unless(Verdict::Degraded, format!("sudo {} setup", host.rcc))
}

fn by_init(host: &Observations, found: Requirement) -> Requirement {
    let sudo = if host.privileged { "" } else { "sudo " };
    found.unless(Verdict::Missing, format!("{sudo}{} init", host.rcc)).by(Mender::Init)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Observations {
        let rules = Rules { state: State::InForce, enabled: true, reference: Reference::First };
        Observations {
            rcc: "rcc".into(),
            privileged: true,
            device: true,
            pf: Some(Ok(rules)),
            boot_reference: true,
            daemon: true,
            copy: Some(Copy::Current),
        }
    }

    fn unready(host: &Observations) -> Vec<&'static str> {
        judge(host).iter().filter(|it| !it.is_ready()).map(|it| it.name).collect()
    }

    #[test]
    fn a_mac_that_has_everything_lacks_only_a_runtime() {
        let found = judge(&host());
        assert!(unready(&host()).is_empty());
        let short: Vec<&str> = found.iter().filter(|it| it.verdict != Verdict::Ok).map(|it| it.name).collect();
        assert_eq!(short, ["runtime"]);
    }

    #[test]
    fn each_thing_that_is_missing_is_named_and_mended_by_init() {
        let rules = |state, reference| Some(Ok(Rules { state, enabled: true, reference }));
        for (changed, expected) in [
            (Observations { pf: rules(State::Stale, Reference::First), ..host() }, vec!["firewall rules"]),
            (
                Observations { pf: rules(State::Absent, Reference::Absent), ..host() },
                vec!["firewall rules", "their place in pf"],
            ),
            (Observations { boot_reference: false, ..host() }, vec!["/etc/pf.conf"]),
            (Observations { daemon: false, ..host() }, vec!["daemon"]),
            (Observations { copy: Some(Copy::Other), ..host() }, vec!["root's copy of rcc"]),
        ] {
            assert_eq!(unready(&changed), expected);
            assert!(judge(&changed).iter().filter(|it| !it.is_ready()).all(|it| it.mender == Mender::Init));
        }
    }

    #[test]
    fn what_a_user_cannot_see_is_not_called_good() {
        let found = judge(&Observations { pf: None, privileged: false, ..host() });
        assert!(found.iter().any(|it| it.name == "firewall rules" && it.verdict == Verdict::Degraded));
    }
}
