//! `rcc status`.

use super::clock::{age, local};
use super::ps::{of_ceiling, runtime_dir};
use super::relay;
use super::sandboxes::{self, Sandbox};
use crate::cli::status::StatusArguments;
use crate::cli::table;
use crate::facts::Facts;
use crate::firewall::State;
use crate::output;
use crate::plugin::client::{self, Client};
use crate::plugin::control::{Ask, Status as BrokerStatus};
use crate::run::engine::left::{self, Left};
use crate::shown;
use miette::IntoDiagnostic;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// All there is.
#[derive(Debug, Serialize)]
struct Status {
    /// rcc's.
    version: &'static str,
    firewall: Part<Firewall>,
    relay: Part<Relay>,
    broker: Part<Broker>,
    sandboxes: Vec<Sandbox>,
    /// Runs of engines whose launcher is gone.
    left: Vec<Left>,
}

/// What is there, or why it is not.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part<T> {
    There(T),
    Not { why: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Firewall {
    state: State,
    version: String,
    /// Whether names resolve, where that was asked.
    #[serde(default)]
    resolver: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Relay {
    system: bool,
    pid: u32,
    sessions: u32,
    waiting: u64,
}

#[derive(Debug, Serialize)]
struct Broker {
    pid: u32,
    /// Those that can be used, and those that cannot.
    tools: Vec<String>,
    unusable: Vec<String>,
    /// What is wrong with manifests.
    problems: usize,
    sessions: usize,
}

impl<T> Part<T> {
    fn of<E: std::fmt::Display>(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Not { why: error.to_string() }, Self::There)
    }
}

impl StatusArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let (firewall, facts) = (Asked::now(), Facts::gather().into_diagnostic()?);
        let dir = runtime_dir(&facts).into_diagnostic()?;
        let sandboxes = sandboxes::look(&facts, &dir).into_diagnostic()?;
        let running: Vec<_> = sandboxes.iter().map(|sandbox| sandbox.record.clone()).collect();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            relay: Part::of(relay(&facts)),
            broker: Part::of(broker(&facts)),
            left: left::left(&dir, &running, &facts),
            sandboxes,
            firewall: Part::of(firewall.answer()),
        };
        if self.json {
            output::print_json(&status)?;
        } else {
            output::print(described(&status))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The question whether the rules are in force, which takes as long as all others: a process of its own asks it
/// meanwhile.
struct Asked(io::Result<Child>);

impl Asked {
    fn now() -> Self {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rcc").args(["firewall", "status", "--json"]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
    }

    fn answer(self) -> Result<Firewall, String> {
        let output = self.0.and_then(Child::wait_with_output).map_err(|error| format!("cannot ask: {error}"))?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it was not told").to_owned()
        })
    }
}

fn relay(facts: &Facts) -> Result<Relay, crate::relay::client::ClientError> {
    let status = relay::state(facts)?;
    Ok(Relay { system: status.system, pid: status.pid, sessions: status.sessions, waiting: status.waiting })
}

fn broker(facts: &Facts) -> miette::Result<Broker> {
    let status: BrokerStatus = Client::connect(&client::place(facts)?)?.ask(&Ask::Status)?;
    let (usable, unusable): (Vec<_>, Vec<_>) = status.tools.iter().partition(|tool| tool.unusable.is_none());
    let names =
        |tools: Vec<&crate::plugin::control::ToolStatus>| tools.iter().map(|tool| tool.tool.to_string()).collect();
    Ok(Broker {
        pid: status.pid,
        tools: names(usable),
        unusable: names(unusable),
        problems: status.problems.len(),
        sessions: status.sessions.len(),
    })
}

fn described(status: &Status) -> String {
    let mut text = String::new();
    let firewall = match &status.firewall {
        Part::There(Firewall { state: State::InForce, version, resolver }) => {
            let names = if *resolver == Some(false) { "; names do NOT resolve" } else { "" };
            format!("in force, version {version}{names}")
        }
        Part::There(Firewall { state, version, .. }) => {
            format!("NOT in force ({state:?}), version {version} is wanted: `rcc firewall status` tells more")
                .to_lowercase()
        }
        Part::Not { why } => why.clone(),
    };
    let relay = match &status.relay {
        Part::There(relay) => {
            let whose = if relay.system { "the system's" } else { "yours" };
            format!("{whose}, process {}: {} sessions, {} messages wait", relay.pid, relay.sessions, relay.waiting)
        }
        Part::Not { why } => why.clone(),
    };
    let broker = match &status.broker {
        Part::There(broker) => broker_line(broker),
        Part::Not { why } => why.clone(),
    };
    for (name, line) in [("rcc", status.version), ("firewall", &firewall), ("relay", &relay), ("plugins", &broker)] {
        let _ = writeln!(text, "{name:<9} {}", shown::text(line.lines().next().unwrap_or_default()));
    }
    for Left { session, containers } in &status.left {
        let what = match containers.as_deref() {
            None => "its container may still be there".to_owned(),
            Some([]) => "its container is gone".to_owned(),
            Some(ids) => format!("its container {} is still there", ids.join(", ")),
        };
        let line = format!("{session}: its launcher is gone, {what}; the next run by that engine cleans up");
        let _ = writeln!(text, "{:<9} {}", "left", shown::text(&line));
    }
    if status.sandboxes.is_empty() {
        return text + "\nno sandboxes are running\n";
    }
    let head = [
        "SESSION",
        "RUNTIME",
        "PROFILE",
        "NETWORK",
        "SINCE",
        "AGE",
        "CPU",
        "MEMORY",
        "PROCESSES",
        "TERMINAL",
        "PROJECT",
    ];
    text + "\n" + &table::render(&head, &status.sandboxes.iter().map(row).collect::<Vec<_>>())
}

fn broker_line(broker: &Broker) -> String {
    let list = |tools: &[String]| if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
    let mut line = format!("broker, process {}: {}", broker.pid, list(&broker.tools));
    if !broker.unusable.is_empty() {
        let _ = write!(line, "; not usable: {}", broker.unusable.join(", "));
    }
    if broker.problems > 0 {
        let _ = write!(line, "; {} manifests have mistakes: `rcc plugin check`", broker.problems);
    }
    line
}

fn row(sandbox: &Sandbox) -> Vec<String> {
    let record = &sandbox.record;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let unknown = || "?".to_owned();
    let processes = sandbox.processes.map_or_else(unknown, |processes| processes.to_string());
    vec![
        record.id.clone(),
        record.runtime.clone(),
        record.profile.clone(),
        sandbox.network.map_or_else(unknown, |network| network.word().to_owned()),
        local(record.started.saturating_mul(1000)),
        age(now.saturating_sub(record.started)),
        sandbox.processor_seconds.map_or_else(unknown, |seconds| format!("{seconds:.1}s")),
        of_ceiling(sandbox.memory_bytes, record.ceilings.memory),
        record.ceilings.pids.map_or_else(|| processes.clone(), |most| format!("{processes} of {most}")),
        if sandbox.detached { "detached" } else { "its own" }.to_owned(),
        record.project.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::sandboxes::Network;
    use super::*;
    use crate::session::Record;
    use crate::settings::Limits;

    fn sandbox() -> Sandbox {
        let record = Record {
            id: "api".into(),
            runtime: "podman".into(),
            profile: "public".into(),
            project: "/home/a\u{1b}[2J".into(),
            ceilings: Limits { memory: Some(12 << 30), pids: Some(8192), cpus: None },
            ..Record::default()
        };
        let (memory_bytes, processes, processor_seconds) = (Some(5 << 20), Some(3), Some(1.25));
        let network = Some(Network::Cut);
        Sandbox { record, memory_bytes, processes, processor_seconds, detached: true, network }
    }

    fn status() -> Status {
        Status {
            version: "1.0",
            firewall: Part::There(Firewall { state: State::InForce, version: "ab12".into(), resolver: Some(true) }),
            relay: Part::Not { why: "no relay is running".into() },
            broker: Part::There(Broker {
                pid: 7,
                tools: vec!["git".into()],
                unusable: vec!["npm".into()],
                problems: 1,
                sessions: 1,
            }),
            sandboxes: vec![sandbox()],
            left: vec![Left { session: "web".into(), containers: Some(vec!["4f3a".into()]) }],
        }
    }

    #[test]
    fn everything_is_on_one_screen() {
        let text = described(&status());
        for line in [
            "firewall  in force, version ab12\n",
            "relay     no relay is running\n",
            "plugins   broker, process 7: git; not usable: npm; 1 manifests have mistakes: `rcc plugin check`\n",
            "left      web: its launcher is gone, its container 4f3a is still there; ",
            "api      podman   public   cut ",
            "5 MiB of 12.0 GiB  3 of 8192",
            "detached",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn rules_that_are_not_in_force_stand_out() {
        let firewall = Part::There(Firewall { state: State::Stale, version: "ab12".into(), resolver: None });
        let text = described(&Status { firewall, sandboxes: Vec::new(), ..status() });
        assert!(text.contains("firewall  not in force (stale)"), "{text}");
        assert!(text.ends_with("\nno sandboxes are running\n"), "{text}");
    }

    #[test]
    fn programs_get_all_of_it_with_what_is_known_of_each_sandbox() {
        let json = serde_json::to_value(status()).unwrap();
        assert_eq!(json["relay"]["why"], "no relay is running");
        assert_eq!(json["firewall"]["state"], "in-force");
        let sandbox = &json["sandboxes"][0];
        assert_eq!((&sandbox["id"], &sandbox["network"]), (&"api".into(), &"cut".into()));
        assert_eq!(sandbox["ceilings"]["memory"], 12_u64 << 30);
        assert_eq!(json["left"][0]["containers"][0], "4f3a");
    }
}
