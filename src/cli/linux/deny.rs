//! `rcc deny`.

use super::permit::{Made, Now, files, make, record_end, require_root, transports};
use crate::cli::permit::DenyArguments;
use crate::config;
use crate::config::amend::Change;
use crate::firewall::leases::{Leases, Remaining};
use crate::output;
use crate::permit::audit::{Entry, Log, State, Who};
use crate::policy::ruleset::Transport;
use crate::policy::{Holder, Lease, LeaseTarget, PortRange, ProfileName, Protocol, Target};
use crate::shown;
use miette::IntoDiagnostic;
use std::process::ExitCode;

impl DenyArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        require_root()?;
        let all = PortRange::new(1, u16::MAX).into_diagnostic()?;
        let ports = self.destination.ports.unwrap_or(all);
        match files() {
            Ok(files) => self.take(&Now::of(files, self.profile.as_ref(), self.session.as_deref())?, ports),
            Err(unread) => self.take_blindly(unread, ports),
        }
    }

    fn take(&self, now: &Now, ports: PortRange) -> miette::Result<ExitCode> {
        let typed = self.typed();
        let entry = |protocol| now.entry("deny", &typed, protocol, None);
        let revoked = revoke(|lease| self.is_meant(now, lease, ports), &entry)?;
        let mut taken: Vec<String> = revoked.iter().map(|lease| format!("the lease {lease}")).collect();
        if self.session.is_none() {
            let target = self.destination.target.clone();
            let change = Change::Take { target, protocol: self.protocol.into(), ports };
            if matches!(make(now, change, entry(Protocol::from(self.protocol).as_str()))?, Made::Done) {
                taken.push(format!("its entry in {}", config::ADMIN_FILE));
            }
        }
        self.tell(&taken, ports, &typed)
    }

    /// What tightens does not wait for a file that has mistakes: leases are revoked by what was
    /// typed, and those of single sandboxes whatever their profile, which only the file tells.
    ///
    /// # Errors
    /// What is wrong with the file, if it was all that could have helped.
    fn take_blindly(&self, unread: miette::Report, ports: PortRange) -> miette::Result<ExitCode> {
        let typed = self.typed();
        let profile = self.profile.clone().unwrap_or_else(ProfileName::public);
        let entry = |protocol| Entry {
            action: "deny",
            destination: typed.clone(),
            protocol,
            profile: profile.to_string(),
            session: self.session.clone(),
            until: None,
        };
        let revoked = revoke(|lease| self.is_meant_blindly(&profile, lease, ports), &entry)?;
        if revoked.is_empty() {
            return Err(unread.wrap_err(format!(
                "no lease of {typed} is there to take back, and what {} allows was not looked at",
                config::ADMIN_FILE
            )));
        }
        let taken: Vec<String> = revoked.iter().map(|lease| format!("the lease {lease}")).collect();
        output::tell_line(format_args!("{unread:?}"));
        output::tell_line(format_args!(
            "rcc: {} was not looked at: mend it, then run this again for what it allows",
            config::ADMIN_FILE
        ));
        if self.json {
            output::print_json(&serde_json::json!({
                "taken": taken, "profile": profile, "allowed": null, "outcome": null,
            }))?;
        } else {
            output::print(format!("{typed}: taken back: {}\n", taken.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn typed(&self) -> String {
        let target = &self.destination.target;
        self.destination.ports.map_or_else(|| shown::target(target), |ports| shown::destination(target, ports))
    }

    fn is_meant(&self, now: &Now, lease: &Lease, ports: PortRange) -> bool {
        let holder = match (&lease.holder, &now.session) {
            (Holder::Identity(identity), Some(running)) => *identity == running.identity,
            (Holder::Profile(profile), None) => *profile == now.profile,
            // Without --session all of the profile's sandboxes are meant.
            (Holder::Identity(identity), None) => {
                now.policy.holder(*identity).is_some_and(|(_, at, _)| now.policy.profiles[at].name == now.profile)
            }
            (Holder::Profile(_), Some(_)) => false,
        };
        holder && self.covers(lease, ports)
    }

    fn is_meant_blindly(&self, profile: &ProfileName, lease: &Lease, ports: PortRange) -> bool {
        let holder = match &lease.holder {
            Holder::Identity(_) => true,
            Holder::Profile(holder) => self.session.is_none() && holder == profile,
        };
        holder && self.covers(lease, ports)
    }

    fn covers(&self, lease: &Lease, ports: PortRange) -> bool {
        let target = match (&lease.target, &self.destination.target) {
            (LeaseTarget::Address(address), Target::Address(net)) => net.contains(address),
            (LeaseTarget::Name(own), Target::Domain(pattern)) => own.is_within(pattern),
            _ => false,
        };
        let protocol = transports(self.protocol.into()).contains(&lease.transport);
        target && protocol && lease.ports.first() <= ports.last() && ports.first() <= lease.ports.last()
    }

    /// Exit status 1 if nothing was taken back and it is reached.
    fn tell(&self, taken: &[String], ports: PortRange, typed: &str) -> miette::Result<ExitCode> {
        let after = Now::look(self.profile.as_ref(), self.session.as_deref())?;
        let held = Leases::open().and_then(|mut kernel| kernel.list()).into_diagnostic()?;
        let leases: Vec<Lease> = held.into_iter().map(|Remaining { lease, .. }| lease).collect();
        let port = if self.destination.ports.is_some() { ports.first() } else { 443 };
        let transport = transports(self.protocol.into())[0];
        let outcome = after.outcome(&self.destination.target, transport, port, &leases)?;
        let still = outcome.is_allowed();
        let status = if still && taken.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        if self.json {
            output::print_json(&serde_json::json!({
                "taken": taken, "profile": after.profile, "allowed": still, "outcome": outcome,
            }))?;
            return Ok(status);
        }
        let what = if taken.is_empty() {
            "nothing allowed it by itself".to_owned()
        } else {
            format!("taken back: {}", taken.join(", "))
        };
        let mut told = format!("{typed} {}: {what}\n", after.beneficiary());
        if still {
            let udp = if transport == Transport::Udp { " --protocol udp" } else { "" };
            let asked = shown::typed(&self.destination.target, port);
            told += &format!(
                "it is reached all the same: `rcc why {asked} --profile {}{udp}` says by which rule\n",
                after.profile
            );
        }
        output::print(told)?;
        Ok(status)
    }
}

/// Revokes every lease that holds a part of what is meant, and with it the rest of that lease:
/// denying goes first.
fn revoke(is_meant: impl Fn(&Lease) -> bool, entry: &dyn Fn(&'static str) -> Entry) -> miette::Result<Vec<Lease>> {
    let mut kernel = Leases::open().into_diagnostic()?;
    let held = kernel.list().into_diagnostic()?;
    let wanted: Vec<Lease> = held.into_iter().map(|Remaining { lease, .. }| lease).filter(is_meant).collect();
    let (log, who) = (Log::host(), Who::calling());
    for lease in &wanted {
        let entry = entry(lease.transport.as_str());
        // What tightens does not wait for the record.
        if let Err(error) = log.add(&who, &entry, State::Requested) {
            output::tell_line(format_args!("rcc: {error}"));
        }
        let done = kernel.revoke(lease).map(drop);
        record_end(&log, &who, &entry, &done);
        done.into_diagnostic()?;
    }
    Ok(wanted)
}
