//! Kills of a writer whose journal begins a new file all the time.

use super::Moments;
use rcc::journal::{Directory, Entries, Found, Sizes, Wrong, verify};
use rcc::relay::commit::{Commit, Haste, Outcome};
use rcc::relay::event::Event;
use rcc::relay::store;
use rcc::relay::writer::{Writer, WriterConfig};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Bytes of a file: a few entries.
const FILE: u64 = 1000;
/// Entries that are under way at the same time.
const WINDOW: u64 = 4;
/// Milliseconds that a writer lives after its first entry, at most.
const LIFE: u64 = 30;
/// Kills at most: the whole journal is read after each.
const MOST: u32 = 25;
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

pub fn prove(directory: &Path, kills: u32) {
    let kills = kills.min(MOST);
    let (mut next, mut moments) = (1, Moments::new());
    let mut told = HashSet::new();
    for _ in 0..kills {
        let mut command = Command::new(super::SELF);
        command.arg("--write").arg(directory).arg(next.to_string());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("this very program");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut note = |line: Option<std::io::Result<String>>| {
            let number: u64 = line?.ok()?.parse().ok()?;
            told.insert(number);
            next = next.max(number + WINDOW);
            Some(())
        };
        note(lines.next()).expect("it writes");
        std::thread::sleep(moments.next(LIFE));
        child.kill().expect("it runs");
        child.wait().expect("a child");
        while note(lines.next()).is_some() {}
        check(directory, &told);
    }
    let files = verify::<Event>(&directory.join("audit"), None).expect("it can be read").files;
    println!("{kills} kills of a writer in {files} files: all {} entries that were told of are there", told.len());
    assert!(files > u64::from(kills));
}

/// The chain is whole, but for a last line without its end, and holds what was told.
fn check(directory: &Path, told: &HashSet<u64>) {
    let audit = directory.join("audit");
    let seen = store::head(&directory.join("store.db")).expect("it can be read");
    let report = verify::<Event>(&audit, seen).expect("it can be read");
    assert!(report.faults.iter().all(|fault| fault.what == Wrong::Unfinished), "{:?}", report.faults);
    let opened = Directory::open(&audit).expect("it is there");
    let numbers = Entries::new(&opened, 0).filter_map(|found| match found.expect("it can be read") {
        Found::Entry(line) => match line.entry.event {
            Event::Started { version } => version.parse::<u64>().ok(),
            _ => None,
        },
        Found::Fault(_) => None,
    });
    let numbers: HashSet<u64> = numbers.collect();
    let lost: Vec<_> = told.difference(&numbers).collect();
    assert!(lost.is_empty(), "told, and not there: {lost:?}");
}

/// Writes entries with numbers from this one on, and tells the number of each that is on disk. Until it is killed.
pub fn write(directory: &Path, from: u64) -> ExitCode {
    let config = WriterConfig {
        sizes: Sizes { file: FILE },
        ..WriterConfig::at(&directory.join("store.db"), &directory.join("audit"), MONTH)
    };
    let (tell, outcomes) = channel();
    let told = move |batch| drop(tell.send(batch));
    let (writer, _) = Writer::start(config, Box::new(told)).expect("a writer");
    let commit = |number: u64| {
        let events = vec![Event::Started { version: number.to_string() }];
        writer.commit(Commit { token: Some(number), events, haste: Haste::Urgent }).expect("it runs");
    };
    (from..from + WINDOW).for_each(commit);
    while let Ok(batch) = outcomes.recv() {
        for (number, outcome) in batch {
            assert_eq!(outcome, Outcome::Done);
            writeln!(std::io::stdout(), "{number}").expect("the test reads");
            commit(number + WINDOW);
        }
    }
    ExitCode::FAILURE
}
