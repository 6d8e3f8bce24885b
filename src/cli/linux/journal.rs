//! Showing a journal: the relay's audit and the plugins' logs.

use crate::journal::{Directory, Entries, Entry, Fault, Follow, Found, Recorded, Report, Wrong};
use crate::moment::Moment;
use crate::output;
use crate::shown;
use miette::IntoDiagnostic;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Between two looks whether anybody still reads what is printed.
const LOOK: Duration = Duration::from_millis(500);

/// How a journal is shown.
pub(super) struct Show<'a, E> {
    /// Whether an entry is wanted.
    pub takes: &'a mut dyn FnMut(&Entry<E>) -> bool,
    /// As it is written, instead of for people.
    pub json: bool,
    /// For people: a line.
    pub told: fn(Moment, &E) -> String,
    /// What it means that the journal cannot be read.
    pub unreadable: &'a dyn Fn(io::Error) -> miette::Report,
}

impl<E: Recorded> Show<'_, E> {
    /// Prints all that is wanted of what is there; `false` if nobody reads it.
    pub(super) fn all(&mut self, path: &Path) -> miette::Result<bool> {
        let directory = Directory::open(path).map_err(self.unreadable)?;
        for found in Entries::new(&directory, 0) {
            if !self.print(found.map_err(self.unreadable)?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Prints entries from number `from` on as they come, until nobody reads them.
    pub(super) fn follow(&mut self, path: &Path, from: u64) -> miette::Result<()> {
        let mut follow = Follow::new(path, from).map_err(self.unreadable)?;
        loop {
            let read = match follow.next(LOOK).map_err(self.unreadable)? {
                Some(found) => self.print(found)?,
                None => !output::reader_has_gone(Duration::ZERO),
            };
            if !read {
                return Ok(());
            }
        }
    }

    fn print(&mut self, found: Found<E>) -> miette::Result<bool> {
        let entry = match found {
            Found::Entry(line) => line.entry,
            // Somebody writes it at this moment.
            Found::Fault(Fault { what: Wrong::Unfinished | Wrong::Shortened, .. }) => return Ok(true),
            Found::Fault(fault) => {
                output::tell_line(format_args!("rcc: {}", shown::text(&fault.to_string())));
                return Ok(true);
            }
        };
        if !(self.takes)(&entry) {
            return Ok(true);
        }
        output::print(if self.json { line(&entry).into_diagnostic()? } else { (self.told)(entry.at, &entry.event) })?;
        Ok(!output::reader_has_gone(Duration::ZERO))
    }
}

/// As it is written in the journal.
fn line<E: Serialize>(entry: &Entry<E>) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Written<'a, E> {
        n: u64,
        at: Moment,
        prev: String,
        #[serde(flatten)]
        event: &'a E,
    }
    let written = Written { n: entry.n, at: entry.at, prev: entry.prev.to_string(), event: &entry.event };
    Ok(serde_json::to_string(&written)? + "\n")
}

/// What was verified, or all that is wrong with it, each in a line.
pub(super) fn verdict(report: &Report) -> Result<String, String> {
    if report.faults.is_empty() {
        let (entries, files, last) = (report.entries, report.files, &report.last);
        let range = if entries > 0 { format!(" ({} to {})", report.first, last.n) } else { String::new() };
        return Ok(format!("entries: {entries}{range}, in files: {files}; whole\nlast: {}\n", last.hash));
    }
    let mut faults: Vec<String> = report.faults.iter().map(|fault| shown::text(&fault.to_string())).collect();
    if report.more > 0 {
        faults.push(format!("and {} more", report.more));
    }
    Err(faults.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Hash, Head};
    use crate::relay::event::Event;

    #[test]
    fn an_entry_is_printed_as_it_is_written() {
        let event: Event = serde_json::from_str(r#"{"event":"expired","ids":["m1"]}"#).unwrap();
        let entry = Entry { n: 7, at: Moment(9), prev: Hash::of(b"x"), event };
        let expected =
            format!("{{\"n\":7,\"at\":9,\"prev\":\"{}\",\"event\":\"expired\",\"ids\":[\"m1\"]}}\n", entry.prev);
        assert_eq!(line(&entry).unwrap(), expected);
    }

    #[test]
    fn a_broken_chain_is_a_failure_that_names_the_place() {
        let fault = Fault { file: "1.jsonl".into(), line: 3, what: Wrong::Chain };
        let last = Head { n: 4, hash: Hash::default() };
        let report = Report { entries: 4, files: 1, first: 1, last, faults: vec![fault], more: 2 };
        let faults = verdict(&report).unwrap_err();
        assert!(faults.contains("1.jsonl, line 3: ") && faults.contains("and 2 more"), "{faults}");
        let whole = verdict(&Report { faults: Vec::new(), more: 0, ..report }).unwrap();
        assert!(whole.starts_with("entries: 4 (1 to 4), in files: 1; whole\n"), "{whole}");
    }
}
