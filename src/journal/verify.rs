//! Whether a journal is whole.

use super::files::Directory;
use super::reader::{Cursor, Fault, Found, Wrong};
use super::{Head, Recorded, files};
use std::io;
use std::path::Path;

/// Faults that are told one by one; of the others only their number.
const FAULTS_MAX: usize = 1000;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries that were read.
    pub entries: u64,
    /// Files.
    pub files: u64,
    /// The number of the first entry; 0 if there is none.
    pub first: u64,
    /// The last entry.
    pub last: Head,
    /// What is wrong: the first thousand.
    pub faults: Vec<Fault>,
    /// How many more faults there are.
    pub more: u64,
}

impl Report {
    fn add(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.more += 1;
        }
    }
}

/// Reads the whole journal in this directory. `seen` is how far the store says that it goes
/// ([`head`](crate::relay::store::head)), read *before* this is called: then a relay that runs meanwhile does
/// no harm.
///
/// # Errors
/// If it cannot be read.
pub fn verify<E: Recorded>(path: &Path, seen: Option<Head>) -> io::Result<Report> {
    let directory = Directory::open(path)?;
    let mut report = Report { files: directory.list()?.len() as u64, ..Report::default() };
    let mut cursor = Cursor::<E>::new(0);
    let (mut pruned, mut file) = (0, String::new());
    while let Some(found) = cursor.next(&directory)? {
        let line = match found {
            Found::Fault(fault) => {
                report.add(fault);
                continue;
            }
            Found::Entry(line) => line,
        };
        if report.first == 0 {
            report.first = line.entry.n;
            file.clone_from(&line.file);
        }
        report.entries += 1;
        report.last = Head { n: line.entry.n, hash: line.extent.hash };
        pruned = pruned.max(line.entry.event.pruned().unwrap_or(0));
        if seen.is_some_and(|seen| seen.n == line.entry.n && seen.hash != line.extent.hash) {
            report.add(Fault { what: Wrong::Replaced(line.entry.n), file: line.file, line: line.line });
        }
    }
    if report.first > pruned.saturating_add(1) {
        report.add(Fault { file, line: 1, what: Wrong::NotPruned(report.first - 1) });
    }
    let unfinished = cursor.unfinished();
    if let Some(seen) = seen.filter(|seen| seen.n > report.last.n) {
        let (file, line) = cursor.last_place();
        report.add(Fault { file: files::name(file), line, what: Wrong::CutOff(seen.n) });
    }
    unfinished.into_iter().for_each(|fault| report.add(fault));
    Ok(report)
}
