//! Which plugins there are, and how they do.

use super::super::clock::{age, local};
use crate::cli::table;
use crate::facts::Facts;
use crate::moment::Moment;
use crate::output;
use crate::plugin::client::{self, Client};
use crate::plugin::control::{Ask, Done, SessionStatus, Status, ToolStatus};
use crate::plugin::manifest::catalogue::Catalogue;
use crate::plugin::manifest::places::Places;
use crate::plugin::manifest::{Kind, Manifest, Origin};
use crate::plugin::name::ToolName;
use crate::shown;
use miette::{IntoDiagnostic, WrapErr};
use serde::Serialize;
use std::fmt::Write;
use std::process::ExitCode;

/// What leads to the line of a mistake.
const WHERE: &str = "`rcc plugin check` shows where";

/// A plugin, as it is listed.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    tool: &'a ToolName,
    kind: &'static str,
    origin: &'static str,
    profile: String,
    credentials: Vec<&'a str>,
    summary: &'a str,
}

impl<'a> Listed<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        Self {
            tool: &manifest.tool,
            kind: match manifest.kind {
                Kind::Exec(_) => "exec",
                Kind::Git(_) => "git",
                Kind::Http(_) => "http",
            },
            origin: match manifest.origin {
                Origin::Admin => "root's",
                Origin::User => "yours",
            },
            profile: manifest.profile.to_string(),
            credentials: manifest.credentials.iter().map(|credential| credential.name.as_str()).collect(),
            summary: &manifest.summary,
        }
    }

    fn row(&self) -> Vec<String> {
        let credentials = if self.credentials.is_empty() { "-".to_owned() } else { self.credentials.join(",") };
        let cells = [self.tool.as_str(), self.kind, self.origin, &self.profile, &credentials, self.summary];
        cells.map(str::to_owned).to_vec()
    }
}

pub(super) fn list(facts: &Facts, json: bool) -> miette::Result<ExitCode> {
    let catalogue =
        Catalogue::open(Places::new(facts)).into_diagnostic().wrap_err("cannot watch the directories of manifests")?;
    let listed: Vec<Listed<'_>> = catalogue.tools().values().map(|manifest| Listed::new(manifest)).collect();
    if json {
        output::print_json(&listed)?;
    } else if listed.is_empty() && catalogue.problems().is_empty() {
        output::tell_line("rcc: there are no plugins; `rcc plugin add` adds one");
    } else {
        let rows: Vec<Vec<String>> = listed.iter().map(Listed::row).collect();
        output::print(table::render(&["PLUGIN", "KIND", "WHOSE", "PROFILE", "CREDENTIALS", "SUMMARY"], &rows))?;
    }
    for problem in catalogue.problems() {
        output::tell_line(format_args!("rcc: {}; {WHERE}", shown::text(&problem.to_string())));
    }
    Ok(if catalogue.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn status(facts: &Facts, json: bool) -> miette::Result<ExitCode> {
    let place = client::place(facts)?;
    let status: Status = Client::connect(&place)?.ask(&Ask::Status)?;
    if json {
        output::print_json(&status)?;
    } else {
        output::print(described(&status, Moment::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(status: &Status, now: Moment) -> String {
    let mut text = format!("your broker, rcc {}, process {}\n", shown::text(&status.version), status.pid);
    let ran = age(now.since(status.started).as_secs());
    let ends = if status.passing { "; it ends with the last session" } else { "" };
    let _ = writeln!(text, "  started   {} ({ran} ago{ends})", local(status.started.0));
    let _ = writeln!(text, "  journal   {}", shown::terminal(&status.audit));
    for problem in &status.problems {
        let _ = writeln!(text, "  problem   {}; {WHERE}", shown::text(problem));
    }
    if !status.tools.is_empty() {
        let row = |tool: &ToolStatus| {
            let state = tool.unusable.clone().unwrap_or_else(|| "in force".to_owned());
            let counts = [tool.running.to_string(), tool.calls.to_string(), tool.refused.to_string()];
            let [running, calls, refused] = counts;
            vec![tool.tool.to_string(), tool.kind.clone(), running, calls, refused, state]
        };
        let rows: Vec<Vec<String>> = status.tools.iter().map(row).collect();
        text += &table::render(&["PLUGIN", "KIND", "RUNNING", "CALLS", "REFUSED", "STATE"], &rows);
    }
    if !status.sessions.is_empty() {
        let row = |session: &SessionStatus| {
            let sandboxes: Vec<&str> = session.sandboxes.iter().map(ToolName::as_str).collect();
            let sandboxes = if sandboxes.is_empty() { "-".to_owned() } else { sandboxes.join(",") };
            let opened = age(now.since(session.opened).as_secs());
            vec![session.session.clone(), opened, sandboxes, session.project.to_string_lossy().into_owned()]
        };
        let rows: Vec<Vec<String>> = status.sessions.iter().map(row).collect();
        text += &table::render(&["SESSION", "AGE", "SANDBOXES", "PROJECT"], &rows);
    }
    text
}

pub(super) fn switch(facts: &Facts, tool: ToolName, enabled: bool) -> miette::Result<ExitCode> {
    let mut client = Client::connect(&client::place(facts)?)?;
    let ask = if enabled { Ask::Enable { tool } } else { Ask::Disable { tool } };
    let _: Done = client.ask(&ask)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_shows_tools_and_sessions_and_nothing_that_acts_on_a_terminal() {
        let tool: ToolName = "gh".parse().unwrap();
        let status = Status {
            version: "1.0".into(),
            pid: 7,
            started: Moment(1_000_000),
            passing: true,
            tools: vec![ToolStatus {
                tool: tool.clone(),
                kind: "exec".into(),
                summary: "GitHub".into(),
                origin: "root's".into(),
                unusable: Some("disabled".into()),
                running: 1,
                calls: 9,
                refused: 2,
            }],
            sessions: vec![SessionStatus {
                session: "api-1".into(),
                project: "/p/\u{1b}api".into(),
                opened: Moment(1_060_000),
                sandboxes: vec![tool],
            }],
            problems: vec!["bad\u{1b}".into()],
            audit: "/s/audit".into(),
        };
        let text = described(&status, Moment(1_065_000));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "your broker, rcc 1.0, process 7");
        assert!(lines[1].ends_with("(1m ago; it ends with the last session)"), "{text}");
        assert_eq!(lines[3], "  problem   bad\\u{1b}; `rcc plugin check` shows where");
        assert_eq!(lines[5], "gh      exec  1        9      2        disabled");
        assert_eq!(lines[7], "api-1    5s   gh         /p/\\u{1b}api");
    }
}
