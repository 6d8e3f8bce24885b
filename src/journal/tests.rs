//! The journal as a whole: that every tampering is found, and that no crash breaks it.

use super::*;
use crate::moment::Moment;
use crate::relay::event::Event;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const DAY: u64 = 24 * 3600 * 1000;

fn event(what: impl ToString) -> Event {
    Event::Started { version: what.to_string() }
}

fn open(dir: &TempDir) -> (Journal, Vec<String>) {
    open_of(dir, Sizes::default())
}

fn open_of(dir: &TempDir, sizes: Sizes) -> (Journal, Vec<String>) {
    Journal::open::<Event>(&dir.path().join("audit"), sizes).unwrap()
}

fn add(journal: &mut Journal, at: u64, events: &[Event]) -> Written {
    journal.begin(Moment(at));
    journal.stage(events).unwrap();
    journal.write(true).unwrap()
}

fn entries(journal: &Journal) -> Vec<(u64, Event)> {
    let entry = |found: std::io::Result<Found<Event>>| match found.unwrap() {
        Found::Entry(line) => (line.entry.n, line.entry.event),
        Found::Fault(fault) => panic!("{fault}"),
    };
    journal.entries(1).map(entry).collect()
}

fn report(dir: &TempDir, seen: Option<Head>) -> Report {
    verify::<Event>(&dir.path().join("audit"), seen).unwrap()
}

fn wrong(report: &Report) -> Vec<Wrong> {
    report.faults.iter().map(|fault| fault.what.clone()).collect()
}

fn files(dir: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.path().join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Three files of three entries.
fn journal_of_nine(dir: &TempDir) -> Head {
    let (mut journal, _) = open(dir);
    for day in 0..3 {
        for n in 1..=3 {
            add(&mut journal, day * DAY + n, &[event(day * 3 + n)]);
        }
    }
    assert_eq!(files(dir).len(), 3);
    journal.head()
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let text = std::fs::read(path).unwrap();
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    how(&mut lines);
    std::fs::write(path, lines.concat()).unwrap();
}

#[test]
fn a_journal_that_nobody_touched_is_whole() {
    let dir = TempDir::new().unwrap();
    let head = journal_of_nine(&dir);
    let report = report(&dir, Some(head));
    assert_eq!((report.entries, report.files, report.first, report.last), (9, 3, 1, head));
    assert_eq!(report.faults, []);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&dir.path().join("audit")), mode(&files(&dir)[0])), (0o700, 0o600));
    let (journal, mended) = open(&dir);
    assert_eq!(mended, [] as [String; 0]);
    assert_eq!(entries(&journal).into_iter().map(|(n, _)| n).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
}

#[test]
fn every_changed_byte_is_found() {
    let dir = TempDir::new().unwrap();
    let head = journal_of_nine(&dir);
    let path = &files(&dir)[1];
    let text = std::fs::read(path).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    for at in 0..text.len() {
        for other in [text[at] ^ 1, b'\n', 0] {
            if other == text[at] {
                continue;
            }
            file.write_all_at(&[other], at as u64).unwrap();
            assert_ne!(report(&dir, Some(head)).faults, [], "byte {at} is {other}");
        }
        file.write_all_at(&text[at..=at], at as u64).unwrap();
    }
    assert_eq!(report(&dir, Some(head)).faults, []);
}

#[test]
fn lines_that_were_removed_swapped_or_put_in_are_found() {
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change); 5] = [
        ("removed", |lines| drop(lines.remove(1))),
        ("the first removed", |lines| drop(lines.remove(0))),
        ("swapped", |lines| lines.swap(1, 2)),
        ("doubled", |lines| lines.insert(1, lines[1].clone())),
        ("put in", |lines| lines.insert(1, b"{\"n\":5}\n".to_vec())),
    ];
    for (name, how) in changes {
        for file in 0..3 {
            let dir = TempDir::new().unwrap();
            let head = journal_of_nine(&dir);
            change(&files(&dir)[file], how);
            assert_ne!(report(&dir, Some(head)).faults, [], "{name} in file {file}");
        }
    }
}

#[test]
fn files_that_were_removed_are_found() {
    for (gone, what) in [(0, Wrong::NotPruned(3)), (1, Wrong::Number { expected: 4, found: 7 }), (2, Wrong::CutOff(9))]
    {
        let dir = TempDir::new().unwrap();
        let head = journal_of_nine(&dir);
        std::fs::remove_file(&files(&dir)[gone]).unwrap();
        assert_eq!(wrong(&report(&dir, Some(head))), [what]);
    }
}

#[test]
fn a_tail_that_was_cut_off_or_written_anew_is_found_by_what_the_store_has_seen() {
    let dir = TempDir::new().unwrap();
    let head = journal_of_nine(&dir);
    change(&files(&dir)[2], |lines| drop(lines.pop()));
    assert_eq!(report(&dir, None).faults, [], "the chain alone does not show it");
    assert_eq!(wrong(&report(&dir, Some(head))), [Wrong::CutOff(9)]);
    add(&mut open(&dir).0, 2 * DAY + 4, &[event("another")]);
    assert_eq!(wrong(&report(&dir, Some(head))), [Wrong::Replaced(9)]);
    std::fs::remove_dir_all(dir.path().join("audit")).unwrap();
    std::fs::create_dir(dir.path().join("audit")).unwrap();
    assert_eq!(wrong(&report(&dir, Some(head))), [Wrong::CutOff(9)]);
}

#[test]
fn a_last_line_that_was_torn_anywhere_is_cut_off_and_the_chain_goes_on() {
    let dir = TempDir::new().unwrap();
    add(&mut open(&dir).0, 1, &[event("one"), event("two"), event("three")]);
    let path = &files(&dir)[0];
    let text = std::fs::read(path).unwrap();
    let whole = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in whole..text.len() {
        std::fs::write(path, &text[..length]).unwrap();
        let (mut journal, mended) = open(&dir);
        assert_eq!(mended.len(), usize::from(length > whole), "{length}: {mended:?}");
        assert_eq!(journal.head().n, 2, "{length}");
        add(&mut journal, 2, &[event("again")]);
        assert_eq!(entries(&journal).last().unwrap(), &(3, event("again")));
        drop(journal);
        assert_eq!(report(&dir, None).faults, [], "{length}");
    }
}

#[test]
fn what_stands_behind_the_last_entry_is_kept_beside_the_journal() {
    let dir = TempDir::new().unwrap();
    let head = journal_of_nine(&dir);
    let path = files(&dir)[2].clone();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"no entry\n\0\0\0").unwrap();
    let (mut journal, mended) = open(&dir);
    assert_eq!(journal.head(), head);
    assert!(mended[0].contains(".damaged-"), "{mended:?}");
    let kept = files(&dir).into_iter().find(|path| path.to_string_lossy().contains("damaged")).unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), b"no entry\n\0\0\0");
    add(&mut journal, 3 * DAY, &[event("on")]);
    assert_eq!(report(&dir, Some(head)).faults, []);
}

#[test]
fn a_newest_file_without_an_entry_is_no_obstacle() {
    for content in ["", "torn", "no entry\n"] {
        let dir = TempDir::new().unwrap();
        let head = journal_of_nine(&dir);
        std::fs::write(dir.path().join("audit").join(super::files::name(10)), content).unwrap();
        let (mut journal, mended) = open(&dir);
        assert_eq!((journal.head(), mended.len()), (head, usize::from(!content.is_empty())));
        add(&mut journal, 3 * DAY, &[event("ten")]);
        assert_eq!((report(&dir, Some(head)).faults, journal.head().n), (vec![], 10), "{content:?}");
    }
}

#[test]
fn damage_further_back_is_told_and_does_not_end_the_journal() {
    let dir = TempDir::new().unwrap();
    journal_of_nine(&dir);
    change(&files(&dir)[2], |lines| lines[1] = b"{\"n\":8}\n".to_vec());
    let (mut journal, mended) = open(&dir);
    assert!(mended.iter().any(|what| what.contains("line 2: it is no entry")), "{mended:?}");
    assert_eq!(journal.head().n, 9);
    assert_eq!(add(&mut journal, 2 * DAY + 9, &[event("ten")]).head.n, 10);
    let faults = report(&dir, Some(journal.head())).faults;
    assert!(faults.iter().all(|fault| fault.line == 2 || fault.line == 3), "{faults:?}");
}

#[test]
fn a_new_file_begins_with_a_day_or_a_size_and_never_because_the_clock_went_back() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open_of(&dir, Sizes { file: 1000 });
    assert!(add(&mut journal, 5 * DAY, &[event(1)]).rotated);
    assert!(!add(&mut journal, 5 * DAY + 1, &[event(2)]).rotated);
    assert!(!add(&mut journal, 2 * DAY, &[event(3)]).rotated, "the clock went back");
    assert!(add(&mut journal, 6 * DAY, &[event("x".repeat(2000))]).rotated, "a day");
    assert!(add(&mut journal, 6 * DAY, &[event(5)]).rotated, "a size");
    drop(journal);
    let (mut journal, mended) = open_of(&dir, Sizes { file: 1000 });
    assert!(mended.is_empty());
    assert!(!add(&mut journal, 6 * DAY, &[event(6)]).rotated, "a file goes on after a start");
    assert_eq!(report(&dir, None).faults, []);
    let names: Vec<String> =
        files(&dir).iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, [1, 4, 5].map(super::files::name));
}

#[test]
fn only_whole_files_that_are_old_go_and_the_chain_says_so() {
    let dir = TempDir::new().unwrap();
    journal_of_nine(&dir);
    let (mut journal, _) = open(&dir);
    assert_eq!(journal.old(Moment(3), None), None, "the first file ends at 3");
    let old = journal.old(Moment(DAY + 100), None).unwrap();
    assert_eq!((old.first, old.last), (1, 6));
    let old = journal.old(Moment(100 * DAY), Some(6)).unwrap();
    assert_eq!((old.first, old.last), (1, 3), "entry 6 is needed");
    assert_eq!(journal.old(Moment(100 * DAY), Some(2)), None);
    assert_eq!(journal.old(Moment(100 * DAY), None).unwrap().last, 6, "the newest file stays");
    add(&mut journal, 2 * DAY + 5, &[Event::Pruned { first: old.first, last: old.last }]);
    journal.remove(&old).unwrap();
    let left = report(&dir, Some(journal.head()));
    assert_eq!((files(&dir).len(), left.first, left.faults), (2, 4, vec![]));
    drop(journal);
    let (journal, mended) = open(&dir);
    assert_eq!((journal.head().n, mended.len()), (10, 0));
}

#[test]
fn a_clock_that_was_ahead_once_keeps_no_file_for_ever() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    for at in [1, 9000 * DAY, 9001 * DAY] {
        add(&mut journal, at, &[event(at)]);
    }
    let sizes = Sizes { file: 1 };
    drop(journal);
    let (mut journal, _) = open_of(&dir, sizes);
    add(&mut journal, 2 * DAY, &[event("back")]);
    add(&mut journal, 3 * DAY, &[event("on")]);
    assert_eq!(journal.old(Moment(2 * DAY + 1), None).unwrap().last, 4);
}

#[test]
fn nobody_elses_files_and_no_links_are_written_to() {
    let dir = TempDir::new().unwrap();
    journal_of_nine(&dir);
    let (path, audit) = (files(&dir)[2].clone(), dir.path().join("audit"));
    let open = || Journal::open::<Event>(&audit, Sizes::default()).map_err(|error| error.to_string());
    let other = dir.path().join("other");
    std::fs::rename(&path, &other).unwrap();
    std::os::unix::fs::symlink(&other, &path).unwrap();
    open().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&other, &path).unwrap();
    assert!(open().unwrap_err().contains("regular file of its owner's"));
    std::fs::remove_file(&path).unwrap();
    let before = std::fs::metadata(&audit).unwrap().permissions();
    std::fs::set_permissions(&audit, PermissionsExt::from_mode(0o777)).unwrap();
    let held = open().unwrap();
    assert_eq!(std::fs::metadata(&audit).unwrap().permissions(), before);
    assert!(open().unwrap_err().contains("another process"), "{held:?}");
}

#[test]
fn a_line_longer_than_any_that_is_written_is_not_read_into_memory() {
    let dir = TempDir::new().unwrap();
    journal_of_nine(&dir);
    let mut file = File::options().append(true).open(&files(&dir)[0]).unwrap();
    for _ in 0..(LINE_MAX >> 20) + 3 {
        file.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\n").unwrap();
    assert_eq!(wrong(&report(&dir, None)), [Wrong::TooLong]);
    let (mut journal, _) = open(&dir);
    let long = event("x".repeat(LINE_MAX));
    journal.begin(Moment(2 * DAY));
    journal.stage(&[event("short")]).unwrap();
    let staged = journal.staged();
    assert!(matches!(journal.stage(&[event("first"), long]), Err(Unwritable::TooLong)));
    assert_eq!(journal.staged(), staged, "what came with it is not written either");
}

#[test]
fn a_disk_that_takes_no_more_costs_the_batch_and_a_failed_sync_everything() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    add(&mut journal, 1, &[event(1)]);
    // Writing fails with ENOSPC there, and to make it shorter does, too.
    let whole = journal.swap_file(File::options().write(true).open("/dev/full").unwrap()).unwrap();
    let write = |journal: &mut Journal| {
        journal.begin(Moment(2));
        journal.stage(&[event(2)]).unwrap();
        journal.write(true).map_err(|error| error.to_string())
    };
    assert!(write(&mut journal).unwrap_err().contains("No space left"));
    journal.swap_file(whole);
    assert_eq!(write(&mut journal).unwrap().first, 2);
    // Takes everything, and cannot be synced.
    let whole = journal.swap_file(File::options().write(true).open("/dev/null").unwrap()).unwrap();
    assert!(write(&mut journal).unwrap_err().contains("started again"));
    journal.swap_file(whole);
    assert!(write(&mut journal).unwrap_err().contains("started again"), "what the disk has is not known any more");
    drop(journal);
    let (mut journal, mended) = open(&dir);
    assert_eq!((journal.head().n, mended.len()), (2, 0));
    write(&mut journal).unwrap();
}

#[test]
fn a_follower_sees_every_entry_once_across_files() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    add(&mut journal, 1, &[event(1)]);
    let mut follow: Follow<Event> = Follow::new(&dir.path().join("audit"), 1).unwrap();
    let mut next = |time| match follow.next(Duration::from_millis(time)).unwrap() {
        Some(Found::Entry(line)) => Some(line.entry.n),
        Some(Found::Fault(fault)) => panic!("{fault}"),
        None => None,
    };
    assert_eq!((next(0), next(0)), (Some(1), None));
    add(&mut journal, 2, &[event(2)]);
    add(&mut journal, DAY, &[event(3)]);
    add(&mut journal, 2 * DAY, &[event(4), event(5)]);
    assert_eq!([next(0), next(0), next(0), next(0), next(0)], [Some(2), Some(3), Some(4), Some(5), None]);
    // A line that is being written is not seen before its end.
    journal.begin(Moment(2 * DAY));
    journal.stage(&[event(6)]).unwrap();
    let path = files(&dir)[2].clone();
    let before = std::fs::read(&path).unwrap();
    journal.write(true).unwrap();
    let after = std::fs::read(&path).unwrap();
    for length in before.len()..after.len() {
        std::fs::write(&path, &after[..length]).unwrap();
        assert_eq!(next(0), None);
    }
    std::fs::write(&path, &after).unwrap();
    assert_eq!(next(0), Some(6));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            add(&mut journal, 3 * DAY, &[event(7)]);
        });
        assert_eq!(next(10_000), Some(7), "it waits");
    });
}

#[test]
fn every_kind_of_fault_has_its_own_words() {
    let all = [
        Wrong::NoEntry,
        Wrong::Unknown("x".into()),
        Wrong::TooLong,
        Wrong::Unfinished,
        Wrong::Number { expected: 1, found: 2 },
        Wrong::Chain,
        Wrong::Misnamed(1),
        Wrong::Shortened,
        Wrong::NotPruned(1),
        Wrong::CutOff(1),
        Wrong::Replaced(1),
    ];
    let words: BTreeMap<String, Wrong> = all.into_iter().map(|wrong| (wrong.to_string(), wrong)).collect();
    assert_eq!(words.len(), 11);
}
