//! Entries of the journal, for people.

use super::super::clock::local;
use crate::moment::Moment;
use crate::plugin::event::{Call, Event};
use crate::shown;
use std::fmt::Write;

/// Characters of a call, the tool and its arguments, that one line shows.
const CALL_SHOWN: usize = 200;

/// One line.
pub(super) fn entry(at: Moment, event: &Event) -> String {
    format!("{}  {}\n", local(at.0), shown::text(&told(event)))
}

fn told(event: &Event) -> String {
    match event {
        Event::Started { version } => format!("started    rcc {version}"),
        Event::Mended { what } => format!("mended     {what}"),
        Event::Pruned { first, last } => format!("pruned     entries {first} to {last}, because of their age"),
        Event::Opened { session, project } => format!("opened     {session}, project {}", project.display()),
        Event::Closed { session } => format!("closed     {session}"),
        Event::InForce { tool, .. } => format!("in force   {tool}"),
        Event::Removed { tool } => format!("removed    {tool}"),
        Event::Switched { tool, enabled: true } => format!("started    {tool}"),
        Event::Switched { tool, enabled: false } => format!("stopped    {tool}"),
        Event::Called(call) => format!("called     {}", called(call)),
        Event::Refused { call, why } => format!("refused    {}: {why}", called(call)),
        Event::Decided { call, decision, .. } => format!("decided    #{call} {decision}"),
        Event::Ended { call, exit_code, broken_off, stdout, stderr, redacted, milliseconds, .. } => {
            let mut text = format!("ended      #{call} {exit_code} after {milliseconds} ms, wrote {}", stdout + stderr);
            if *redacted > 0 {
                let _ = write!(text, ", credentials taken out: {redacted}");
            }
            if let Some(why) = broken_off {
                let _ = write!(text, ": {why}");
            }
            text
        }
    }
}

fn called(call: &Call) -> String {
    let words = std::iter::once(call.tool.as_str()).chain(call.args.iter().map(String::as_str));
    let mut words = words.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(CALL_SHOWN) {
        words.truncate(end);
        words.push('…');
    }
    format!("#{} {words} by {} in {}", call.call, call.session, call.cwd)
}
