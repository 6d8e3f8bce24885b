//! The writer as a whole: what it tells is true, whatever happens.

use super::*;
use crate::journal::{Report, verify};
use crate::moment::Moment;
use crate::relay::commit::Haste;
use crate::relay::event::Event;
use crate::relay::name::Mailbox;
use crate::relay::store::Listing;
use crate::relay::store::samples::*;
use crate::relay::wire::{Reason, Refusal};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use tempfile::TempDir;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

type Told = Receiver<(Token, Outcome)>;

fn outcomes() -> (Outcomes, Told) {
    let (tell, told) = channel();
    (Box::new(move |all| all.into_iter().for_each(|one| drop(tell.send(one)))), told)
}

fn config(dir: &TempDir) -> WriterConfig {
    WriterConfig::at(&dir.path().join("state/store.db"), &dir.path().join("state/audit"), MONTH)
}

fn start(dir: &TempDir) -> (Writer, Told, Remains) {
    let (outcomes, told) = outcomes();
    let (writer, remains) = Writer::start(config(dir), outcomes).unwrap();
    (writer, told, remains)
}

/// The thread's own part, without the thread.
fn scribe(dir: &TempDir) -> (Scribe, Told) {
    let (config, (outcomes, told)) = (config(dir), outcomes());
    std::fs::create_dir_all(config.store.parent().unwrap()).unwrap();
    let (journal, _) = Journal::open::<Event>(&config.audit, config.sizes).unwrap();
    let (store, _) = restore(&config.store, &journal).unwrap();
    (Scribe::new(journal, store, outcomes, config.retention), told)
}

fn commit(token: Token, event: Event) -> Commit {
    Commit { token: Some(token), events: vec![event], haste: Haste::Urgent }
}

fn lazy(event: Event) -> Commit {
    Commit { token: None, events: vec![event], haste: Haste::Lazy }
}

fn patient(token: Token, event: Event) -> Commit {
    Commit { token: Some(token), events: vec![event], haste: Haste::Patient }
}

fn next(told: &Told) -> (Token, Outcome) {
    told.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn reason(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::Refused(Refusal { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

fn listed(store: &Store, of: &Mailbox) -> Vec<String> {
    let listing = Listing { mailbox: of, after: None, all: true, limit: 10_000, bytes: usize::MAX };
    store.inbox(listing).unwrap().iter().map(|listed| listed.message.id.to_string()).collect()
}

fn asked(writer: &Writer, of: &'static str) -> Vec<String> {
    let (tell, told) = channel();
    writer.ask(move |store| tell.send(listed(store, &mailbox(of))).unwrap()).unwrap();
    told.recv().unwrap()
}

fn report(dir: &TempDir) -> Report {
    let seen = crate::relay::store::head(&config(dir).store).unwrap();
    verify::<Event>(&config(dir).audit, seen).unwrap()
}

#[test]
fn a_question_sees_all_that_was_committed_before_it() {
    let dir = TempDir::new().unwrap();
    let (writer, told, _) = start(&dir);
    for n in 1..=50 {
        writer.commit(lazy(sent("a", &format!("l{n}"), "b", 2 * n))).unwrap();
        writer.commit(commit(n, sent("a", &format!("m{n}"), "b", 2 * n + 1))).unwrap();
        assert_eq!(asked(&writer, "b").len() as u64, 2 * n);
    }
    assert_eq!(
        (1..=50).map(|_| next(&told)).collect::<Vec<_>>(),
        (1..=50).map(|n| (n, Outcome::Done)).collect::<Vec<_>>()
    );
    writer.finish().unwrap();
    let report = report(&dir);
    assert_eq!((report.entries, report.faults.len()), (100, 0));
}

#[test]
fn questions_between_commits_divide_no_batch_and_see_what_came_before_them() {
    let dir = TempDir::new().unwrap();
    let (tell, batches) = channel();
    let (writer, _) = Writer::start(config(&dir), Box::new(move |batch| tell.send(batch.len()).unwrap())).unwrap();
    // The thread is held up until all of it is queued.
    let (go, wait) = channel::<()>();
    writer.ask(move |_| wait.recv().unwrap()).unwrap();
    let (tell, seen) = channel();
    for n in 1..=50 {
        writer.commit(commit(n, sent("a", &format!("m{n}"), "b", n))).unwrap();
        let tell = tell.clone();
        writer.ask(move |store| tell.send(listed(store, &mailbox("b")).len() as u64).unwrap()).unwrap();
    }
    go.send(()).unwrap();
    writer.finish().unwrap();
    assert_eq!(batches.into_iter().collect::<Vec<_>>(), [50]);
    drop(tell);
    let seen: Vec<u64> = seen.into_iter().collect();
    assert!(seen.len() == 50 && seen.iter().zip(1..).all(|(seen, before)| *seen >= before), "{seen:?}");
}

#[test]
fn what_nobody_waits_for_is_written_soon_and_before_the_end() {
    let dir = TempDir::new().unwrap();
    let (writer, _, _) = start(&dir);
    writer.commit(lazy(Event::Opened(session("a")))).unwrap();
    let begin = Instant::now();
    while report(&dir).entries < 1 {
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    writer.commit(lazy(closed("a"))).unwrap();
    writer.finish().unwrap();
    assert_eq!(report(&dir).entries, 2);
    let (_, _, remains) = start(&dir);
    assert!(remains.sessions[&"a".parse().unwrap()].closed);
    assert_eq!(remains.mended, [""; 0]);
}

#[test]
fn what_is_in_no_hurry_is_told_with_what_is_or_a_moment_later_and_never_before_the_disk_has_it() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, told) = scribe(&dir);
    scribe.write(&[commit(1, sent("a", "m1", "b", 1)), commit(2, sent("a", "m2", "b", 2))]);
    let tokens = || told.try_iter().map(|(token, outcome)| (token, outcome == Outcome::Done)).collect::<Vec<_>>();
    assert_eq!(tokens(), [(1, true), (2, true)]);
    scribe.write(&[patient(3, read("b", "m1"))]);
    assert_eq!(tokens(), [], "it is not on the disk yet");
    assert_eq!(scribe.store.waiting(&mailbox("b"), &["m1".parse().unwrap()]).unwrap(), [], "but questions see it");
    scribe.write(&[lazy(closed("x"))]);
    assert_eq!(tokens(), []);
    scribe.write(&[patient(4, read("b", "m2")), commit(5, sent("a", "m3", "b", 3))]);
    assert_eq!(tokens(), [(3, true), (4, true), (5, true)]);
    scribe.write(&[patient(6, read("b", "m3"))]);
    scribe.settle();
    assert_eq!(tokens(), [(6, true)]);
    drop(scribe);
    let (writer, told, _) = start(&dir);
    writer.commit(patient(7, read("b", "none"))).unwrap();
    assert_eq!(next(&told), (7, Outcome::Done), "though nothing else comes");
    writer.commit(patient(8, read("b", "none"))).unwrap();
    writer.finish().unwrap();
    assert_eq!(next(&told), (8, Outcome::Done), "before the end");
}

#[test]
fn a_writer_that_ends_leaves_a_store_that_the_next_boot_can_use() {
    let dir = TempDir::new().unwrap();
    let (writer, told, _) = start(&dir);
    writer.commit(commit(1, sent("a", "m1", "b", 1))).unwrap();
    assert_eq!(next(&told), (1, Outcome::Done));
    let seal = || std::fs::read_to_string(dir.path().join("state/store.db.seal")).unwrap();
    assert!(seal().starts_with("open "));
    writer.finish().unwrap();
    assert!(seal().starts_with("closed "));
    let (_writer, _told, remains) = start(&dir);
    assert_eq!((remains.mended.len(), remains.waiting[&mailbox("b")].messages), (0, 1));
    assert!(seal().starts_with("open "));
}

#[test]
fn a_message_that_comes_again_is_known_and_another_under_its_id_is_refused() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, told) = scribe(&dir);
    let mut other = message("a", "m", "b", 2);
    other.text = "something else".into();
    let other = Event::Accepted { message: other, mailboxes: vec![mailbox("b")], next: None };
    let mut huge = message("a", "n", "b", 2);
    huge.seq = u64::MAX;
    let huge = Event::Accepted { message: huge, mailboxes: vec![mailbox("b")], next: None };
    // First within one batch, then against the store.
    for round in 0..2 {
        scribe.write(&[
            commit(1, sent("a", "m", "b", 1)),
            commit(2, sent("a", "m", "b", 2)),
            commit(3, other.clone()),
            commit(4, sent("c", "m", "b", 1)),
            commit(5, sent("c", "m", "d", 1)),
            commit(6, huge.clone()),
        ]);
        let told: BTreeMap<Token, Outcome> = told.try_iter().collect();
        let is_known = |outcome: &Outcome| match outcome {
            Outcome::Known(old) => (old.seq, old.id.as_str()) == (1, "m"),
            _ => false,
        };
        assert_eq!(told[&1] == Outcome::Done, round == 0);
        assert!(round == 0 || is_known(&told[&1]));
        assert!(is_known(&told[&2]));
        assert_eq!(reason(told[&3].clone()), Reason::Replayed);
        assert_eq!(reason(told[&4].clone()), Reason::Replayed);
        assert_eq!(told[&5] == Outcome::Done, round == 0);
        assert_eq!(reason(told[&6].clone()), Reason::Malformed);
    }
    assert_eq!(listed(&scribe.store, &mailbox("b")), ["m"]);
    assert_eq!(scribe.journal.head().n, 2);
}

#[test]
fn what_the_journal_has_and_the_store_has_not_is_there_after_the_next_start() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, _told) = scribe(&dir);
    scribe.write(&[commit(1, sent("a", "m1", "b", 1))]);
    scribe.journal.begin(Moment::now());
    scribe.journal.stage(&[sent("a", "m2", "b", 2)]).unwrap();
    scribe.journal.write(true).unwrap();
    drop(scribe);
    let (writer, _told, remains) = start(&dir);
    assert_eq!(remains.waiting[&mailbox("b")].messages, 2);
    assert_eq!(asked(&writer, "b"), ["m1", "m2"]);
}

#[test]
fn nothing_is_accepted_while_the_store_takes_nothing_and_then_all_is_there() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, told) = scribe(&dir);
    scribe.store.freeze(true);
    scribe.write(&[commit(1, sent("a", "m1", "b", 1))]);
    assert_eq!(next(&told), (1, Outcome::Done), "it is in the journal");
    scribe.write(&[commit(2, sent("a", "m2", "b", 2)), commit(3, closed("a")), lazy(read("b", "m1"))]);
    let refused: Vec<Reason> = told.try_iter().map(|(_, outcome)| reason(outcome)).collect();
    assert_eq!(refused, [Reason::Storage; 2]);
    assert_eq!(scribe.journal.head().n, 2, "what nobody waits for is on record all the same");
    std::thread::sleep(Duration::from_millis(250));
    scribe.mend();
    assert!(scribe.trouble.is_some());
    scribe.store.freeze(false);
    std::thread::sleep(Duration::from_millis(250));
    scribe.write(&[commit(4, sent("a", "m2", "b", 2))]);
    assert_eq!(next(&told), (4, Outcome::Done));
    assert_eq!(listed(&scribe.store, &mailbox("b")), ["m1", "m2"]);
    assert_eq!(scribe.store.position(), scribe.journal.head());
}

#[test]
fn a_store_that_is_found_damaged_while_it_is_used_is_made_anew() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, told) = scribe(&dir);
    scribe.write(&[commit(1, sent("a", "m1", "b", 1))]);
    let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None);
    scribe.ails(StoreError::Database { attempt: "read", path: config(&dir).store, source });
    std::thread::sleep(Duration::from_millis(250));
    scribe.write(&[commit(2, sent("a", "m2", "b", 2))]);
    assert_eq!(told.try_iter().map(|(_, outcome)| outcome).collect::<Vec<_>>(), [Outcome::Done, Outcome::Done]);
    assert_eq!(listed(&scribe.store, &mailbox("b")), ["m1", "m2"]);
    drop(scribe);
    let kept = std::fs::read_dir(dir.path().join("state")).unwrap();
    let kept = kept.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("corrupt"));
    assert!(kept.count() >= 1);
    let (writer, _told, remains) = start(&dir);
    assert_eq!((remains.mended.len(), asked(&writer, "b").len()), (0, 2));
    assert_eq!(report(&dir).entries, 3, "that it was made anew is on record");
}

#[test]
fn old_entries_go_and_what_still_holds_does_not() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, _told) = scribe(&dir);
    let day = |journal: &mut Journal, at: u64, events: &[Event]| {
        journal.begin(Moment(at * 24 * 3600 * 1000));
        journal.stage(events).unwrap();
        journal.write(true).unwrap();
    };
    let old = message("a", "waits", "b", 4);
    let accepted = Event::Accepted { message: old, mailboxes: vec![mailbox("b")], next: None };
    let later = schedule("s", &"a".parse().unwrap(), 9);
    day(&mut scribe.journal, 1, &[Event::Opened(session("a")), sent("a", "read", "b", 3), read("b", "read")]);
    day(&mut scribe.journal, 2, &[Event::Scheduled(later.clone())]);
    day(&mut scribe.journal, 3, &[accepted]);
    day(&mut scribe.journal, 4, &[Event::Started { version: "1".into() }]);
    drop(scribe);
    let (writer, _told, remains) = start(&dir);
    assert_eq!((remains.sessions.len(), remains.schedules.len()), (1, 1));
    writer.finish().unwrap();
    let report = report(&dir);
    assert_eq!((report.first, report.faults), (5, vec![]), "entry 5 waits");
    // The store is lost; what holds is in what is left of the journal.
    std::fs::remove_file(config(&dir).store).unwrap();
    let (writer, _told, remains) = start(&dir);
    assert_eq!(asked(&writer, "b"), ["waits"]);
    let a = &remains.sessions[&"a".parse().unwrap()];
    assert_eq!((a.last_seq, a.closed, remains.schedules), (4, false, vec![later]));
}

#[test]
fn what_was_mended_is_told_and_on_record() {
    let dir = TempDir::new().unwrap();
    let (mut scribe, _told) = scribe(&dir);
    scribe.write(&[commit(1, sent("a", "m1", "b", 1)), commit(2, sent("a", "m2", "b", 2))]);
    drop(scribe);
    let file = std::fs::read_dir(config(&dir).audit).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 5]).unwrap();
    let (writer, _told, remains) = start(&dir);
    assert_eq!(remains.mended.len(), 2, "the torn line, and a store that is ahead: {:?}", remains.mended);
    assert_eq!(asked(&writer, "b"), ["m1"]);
    writer.finish().unwrap();
    let report = report(&dir);
    assert_eq!((report.entries, report.faults), (3, vec![]));
    let (_, _, remains) = start(&dir);
    assert_eq!(remains.mended, [""; 0]);
}

#[test]
fn a_second_writer_is_refused() {
    let dir = TempDir::new().unwrap();
    let (_writer, _told, _) = start(&dir);
    let error = Writer::start(config(&dir), outcomes().0).map(drop).unwrap_err().to_string();
    assert!(error.contains("another process"), "{error}");
}

#[test]
fn a_full_disk_refuses_with_its_reason_and_room_heals_it() {
    const INSIDE: &str = "RCC_TEST_SMALL_DISK";
    if std::env::var_os(INSIDE).is_some() {
        return with_small_files();
    }
    // The limit is the whole process's, so that it is one of its own.
    let name = "relay::writer::tests::a_full_disk_refuses_with_its_reason_and_room_heals_it";
    let mut own = Command::new(std::env::current_exe().unwrap());
    let output = own.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Files grow to half a mebibyte, and then as far as they like.
fn with_small_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // SAFETY: to ignore a signal needs no handler. Without it, the limit ends the process (setrlimit(2)).
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let before = getrlimit(Resource::Fsize);
    let dir = TempDir::new().unwrap();
    let (writer, told, _) = start(&dir);
    setrlimit(Resource::Fsize, Rlimit { current: Some(512 << 10), ..before }).unwrap();
    let send = |n: u64| {
        let mut message = message("a", &format!("m{n}"), "b", n);
        message.text = "x".repeat(40 << 10);
        let event = Event::Accepted { message, mailboxes: vec![mailbox("b")], next: None };
        writer.commit(commit(n, event)).unwrap();
        next(&told).1
    };
    let (mut done, mut refused) = (Vec::new(), 0);
    for n in 1..40 {
        match send(n) {
            Outcome::Done => done.push(format!("m{n}")),
            other => {
                assert_eq!(reason(other), Reason::Storage);
                refused += 1;
            }
        }
    }
    assert!(done.len() > 3 && refused > 20, "{} were accepted", done.len());
    setrlimit(Resource::Fsize, before).unwrap();
    let begin = Instant::now();
    for n in 40.. {
        assert!(begin.elapsed() < Duration::from_secs(20));
        if send(n) == Outcome::Done {
            done.push(format!("m{n}"));
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(asked(&writer, "b"), done, "what was accepted, and nothing else");
    writer.finish().unwrap();
    let report = report(&dir);
    assert_eq!((report.entries, report.faults), (done.len() as u64, vec![]));
}
