//! `rcc allowed`.

use super::permit::check_profile;
use crate::cli::permit::AllowedArguments;
use crate::cli::table;
use crate::config::{self, Admin, Origin, Part};
use crate::enforcement;
use crate::firewall::leases::{Leases, Remaining};
use crate::output;
use crate::permit::sessions;
use crate::permit::{moment, span};
use crate::policy::{Exception, Holder, Listed, Policy, Ports, ProfileName, Protocol, Reach, Target};
use crate::session::RUN;
use crate::shown;
use miette::IntoDiagnostic;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// One thing that is allowed.
#[derive(Debug, Serialize)]
struct Allowed {
    profile: ProfileName,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    target: String,
    ports: String,
    protocol: String,
    /// `exception`, `name` or `lease`.
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Seconds that are left of a lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<Origin>,
}

impl AllowedArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let file = Path::new(config::ADMIN_FILE);
        let admin = config::load_admin(file, 0)?;
        self.profile.as_ref().map_or(Ok(()), |profile| check_profile(&admin, profile))?;
        let mut rows = written(&admin, file);
        let root = rustix::process::geteuid().is_root();
        if root {
            rows.extend(leased(&enforcement::policy(&admin).into_diagnostic()?)?);
        }
        rows.retain(|row| self.profile.as_ref().is_none_or(|wanted| row.profile == *wanted));
        if self.json {
            output::print_json(&serde_json::json!({ "allowed": rows, "leases_shown": root }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let cells: Vec<Vec<String>> = rows.iter().map(Allowed::row).collect();
        let mut text = table::render(&["PROFILE", "WHAT", "PORTS", "UNTIL", "DECIDED BY"], &cells);
        if !root {
            text += "\nleases are not shown: only root can read them\n";
        }
        output::print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Allowed {
    fn row(&self) -> Vec<String> {
        let now = SystemTime::now();
        let until = self.remaining_seconds.map(Duration::from_secs);
        let until = until.map(|left| format!("{} ({} left)", moment(now + left), span(left)));
        let decided = match (&self.group, &self.decided, &self.session) {
            (Some(group), Some(origin), _) => format!("group {group}, {origin}"),
            (None, Some(origin), _) => origin.to_string(),
            (_, None, Some(session)) => format!("lease of {session} alone"),
            (_, None, None) => "lease".to_owned(),
        };
        let ports = format!("{} {}", self.protocol, self.ports);
        vec![self.profile.to_string(), self.target.clone(), ports, until.unwrap_or_else(|| "-".to_owned()), decided]
    }
}

fn written(admin: &Admin, file: &Path) -> Vec<Allowed> {
    let mut rows = Vec::new();
    for (position, profile) in admin.profiles.iter().enumerate() {
        let mut row = |by, target: &Target, ports: &Ports, protocol: Protocol, group, part| {
            let ports: Vec<String> = ports.ranges().iter().map(ToString::to_string).collect();
            rows.push(Allowed {
                profile: profile.name.clone(),
                session: None,
                target: shown::target(target),
                ports: ports.join(","),
                protocol: protocol.as_str().to_owned(),
                by,
                group,
                remaining_seconds: None,
                decided: Some(admin.origin(file, part)),
            });
        };
        for (at, Exception { target, ports, protocol }) in profile.exceptions.iter().enumerate() {
            row("exception", target, ports, *protocol, None, Part::Exception(position, at));
        }
        if let Reach::Listed(list) = &profile.reach {
            for (at, Listed { pattern, ports, protocol }) in list.iter().enumerate() {
                let group = admin.origins[position].listed[at].group.clone();
                let target = Target::Domain(pattern.clone());
                row("name", &target, ports, *protocol, group, Part::Listed(position, at));
            }
        }
    }
    rows
}

fn leased(policy: &Policy) -> miette::Result<Vec<Allowed>> {
    let held = Leases::open().and_then(|mut kernel| kernel.list()).into_diagnostic()?;
    let running = sessions::all(Path::new(RUN), policy);
    let rows = held.into_iter().filter_map(|Remaining { lease, time }| {
        let (profile, session) = match &lease.holder {
            Holder::Profile(profile) => (profile.clone(), None),
            Holder::Identity(identity) => {
                let (_, at, _) = policy.holder(*identity)?;
                let session = running.iter().find(|running| running.identity == *identity);
                let session = session.map_or_else(|| format!("@{identity}"), |running| running.id.clone());
                (policy.profiles[at].name.clone(), Some(session))
            }
        };
        Some(Allowed {
            profile,
            session,
            target: lease.target.to_string(),
            ports: lease.ports.to_string(),
            protocol: lease.transport.as_str().to_owned(),
            by: "lease",
            group: None,
            remaining_seconds: Some(time.as_secs()),
            decided: None,
        })
    });
    Ok(rows.collect())
}
