//! `rcc relay schedule`.

use super::super::clock::local;
use super::Ground;
use super::present::short;
use crate::cli::table;
use crate::output;
use crate::relay::name::ScheduleId;
use crate::relay::wire::answer::{Nothing, Planned, Schedules};
use crate::relay::wire::{Cancel, Query, Question, Request};
use std::process::ExitCode;

const HEAD: [&str; 6] = ["ID", "NEXT", "EVERY", "TO", "KIND", "TEXT"];
/// Characters of a text in the table.
const TEXT: usize = 60;

pub(super) fn list(ground: &Ground, json: bool) -> miette::Result<ExitCode> {
    let ask = Request::Query(Query { query: Question::ReloadSchedule, session_id: None });
    let answer: Schedules = ground.connect()?.ask(&ask)?;
    if json {
        output::print_json(&answer.schedules)?;
    } else if answer.schedules.is_empty() {
        output::tell_line("rcc: nothing is to be sent later");
    } else {
        let rows: Vec<Vec<String>> = answer.schedules.iter().map(row).collect();
        output::print(table::render(&HEAD, &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(planned: &Planned) -> Vec<String> {
    vec![
        planned.id.to_string(),
        local(planned.next.0),
        planned.every.clone().unwrap_or_else(|| "-".to_owned()),
        planned.to.to_string(),
        planned.kind.word().to_owned(),
        short(&planned.text, TEXT),
    ]
}

pub(super) fn cancel(ground: &Ground, id: ScheduleId) -> miette::Result<ExitCode> {
    let _: Nothing = ground.connect()?.ask(&Request::Cancel(Cancel { id: id.clone() }))?;
    output::print(format!("{id} is taken back\n"))?;
    Ok(ExitCode::SUCCESS)
}
