//! `rcc relay session list` and `show`.

use super::super::clock::{age, local};
use super::Ground;
use crate::cli::table;
use crate::moment::Moment;
use crate::output;
use crate::relay::client::{self, Client, ClientError};
use crate::relay::wire::answer::{Location, Presence, Seen, Sessions};
use crate::relay::wire::{Figures, Query, Question, Request};
use crate::shown;
use miette::IntoDiagnostic;
use std::fmt::Write;
use std::process::ExitCode;

const HEAD: [&str; 8] = ["SESSION", "STATE", "HEARD", "WAITING", "CONTEXT", "USER", "PROJECT", "TITLE"];

/// All that the caller may know of.
pub(super) fn known(client: &mut Client) -> Result<Sessions, ClientError> {
    client.ask(&Request::Query(Query { query: Question::ListSessions, session_id: None }))
}

pub(super) fn list(ground: &Ground, all: bool, json: bool) -> miette::Result<ExitCode> {
    let mut answer = known(&mut ground.connect()?)?;
    if !all {
        answer.sessions.retain(|seen| seen.state != Presence::Ended);
    }
    if json {
        output::print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = Moment::now();
    let others = answer.sessions.iter().filter(|seen| !is_person(seen));
    let rows: Vec<Vec<String>> = others.map(|seen| row(seen, now)).collect();
    if rows.is_empty() {
        output::tell_line("rcc: no session is at the relay: `rcc claude` and `rcc run --relay` join it");
        return Ok(ExitCode::SUCCESS);
    }
    output::print(table::render(&HEAD, &rows))?;
    if !answer.groups.is_empty() {
        let groups: Vec<String> = answer.groups.iter().map(|group| format!("group:{group}")).collect();
        output::print(format!("\ngroups: {}\n", groups.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever asks is there too, and is no session to write to: no other's name has a dot.
fn is_person(seen: &Seen) -> bool {
    seen.own && seen.name.as_str().contains('.')
}

fn row(seen: &Seen, now: Moment) -> Vec<String> {
    vec![
        seen.name.to_string(),
        state(seen.state).to_owned(),
        age(now.since(seen.heard).as_secs()),
        seen.waiting.to_string(),
        seen.figures.as_ref().and_then(fullness).unwrap_or_else(|| "-".to_owned()),
        seen.user.clone(),
        seen.project.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        seen.title.clone().unwrap_or_default(),
    ]
}

fn state(state: Presence) -> &'static str {
    match state {
        Presence::Here => "here",
        Presence::Away => "away",
        Presence::Ended => "ended",
    }
}

/// How full a context window is.
fn fullness(figures: &Figures) -> Option<String> {
    match (figures.context_used?, figures.context_size) {
        (used, Some(size)) if size > 0 => Some(format!("{}%", u128::from(used) * 100 / u128::from(size))),
        (used, _) => Some(format!("{}k", used.div_ceil(1000))),
    }
}

pub(super) fn show(ground: &Ground, text: &str, json: bool) -> miette::Result<ExitCode> {
    let mut client = ground.connect()?;
    let answer = known(&mut client)?;
    let seen = client::session(text, &answer.sessions)?;
    let ask = Query { query: Question::SessionPath, session_id: Some(seen.name.clone()) };
    let location: Location = client.ask(&Request::Query(ask))?;
    if json {
        let mut value = serde_json::to_value(seen).into_diagnostic()?;
        value["root"] = location.root.map(|root| root.to_string_lossy().into()).unwrap_or_default();
        output::print_json(&value)?;
    } else {
        output::print(described(seen, &location, Moment::now()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn described(seen: &Seen, location: &Location, now: Moment) -> String {
    let mut text = format!("{}\n", seen.name);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<8} {}", shown::text(&value));
        }
    };
    let since = |at: Moment| format!("{} ({} ago)", local(at.0), age(now.since(at).as_secs()));
    line("title", seen.title.clone());
    line("state", Some(state(seen.state).to_owned()));
    line("user", Some(seen.user.clone()));
    line("project", seen.project.as_ref().map(ToString::to_string));
    line("path", location.root.as_ref().map(|root| root.to_string_lossy().into_owned()));
    line("opened", Some(since(seen.opened)));
    line("heard", Some(since(seen.heard)));
    line("waiting", Some(seen.waiting.to_string()));
    line("context", seen.figures.as_ref().and_then(fullness));
    line("model", seen.figures.as_ref().and_then(|figures| figures.model.clone()));
    line("client", seen.client_id.clone());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            name: "api-1a2b".parse().unwrap(),
            project: Some("api".parse().unwrap()),
            user: "alice".into(),
            title: Some("fix\u{1b}]52;c;x\u{7}".into()),
            client_id: None,
            state: Presence::Here,
            opened: Moment(0),
            heard: Moment(60_000),
            waiting: 3,
            figures: Some(Figures { context_used: Some(50_000), context_size: Some(200_000), model: None }),
            own: true,
        }
    }

    #[test]
    fn a_session_is_a_row() {
        let cells = row(&seen(), Moment(65_000));
        assert_eq!(cells[..7], ["api-1a2b", "here", "5s", "3", "25%", "alice", "api"]);
        let silent = Seen { figures: None, ..seen() };
        assert_eq!(row(&silent, Moment(0))[4], "-");
    }

    #[test]
    fn what_a_session_says_of_itself_does_nothing_to_the_terminal() {
        let text = described(&seen(), &Location { project: None, root: Some("/p\u{9b}".into()) }, Moment(65_000));
        assert!(text.contains("fix\\u{1b}]52") && text.contains("/p\\u{9b}"), "{text}");
        assert!(!text.replace('\n', "").chars().any(char::is_control));
    }

    #[test]
    fn figures_need_not_be_complete_or_sensible() {
        let of = |used, size| fullness(&Figures { context_used: used, context_size: size, model: None });
        assert_eq!(of(None, Some(1)), None);
        assert_eq!(of(Some(1_500), None).as_deref(), Some("2k"));
        assert_eq!(of(Some(1_500), Some(0)).as_deref(), Some("2k"));
        assert_eq!(of(Some(u64::MAX), Some(u64::MAX)).as_deref(), Some("100%"));
    }
}
