//! The store as a whole: that it is what the journal amounts to.

use super::samples::*;
use super::*;
use crate::journal::{Journal, Sizes, Written};
use crate::moment::Moment;
use crate::relay::event::{Event, Session};
use crate::relay::name::{Mailbox, MessageId};
use crate::relay::wire::Figures;
use proptest::prelude::*;
use std::time::Duration;
use tempfile::TempDir;

const HOUR: u64 = 3600 * 1000;
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// A journal and its store.
struct Pair {
    dir: TempDir,
    journal: Journal,
    store: Store,
}

impl Pair {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let journal = journal(dir.path());
        let store = Store::open(&dir.path().join("store.db"), journal.path()).unwrap();
        Self { dir, journal, store }
    }

    fn record(&mut self, at: u64, events: &[Event]) -> Written {
        self.journal.begin(Moment(at));
        self.journal.stage(events).unwrap();
        self.journal.write(false).unwrap()
    }

    fn add(&mut self, at: u64, events: &[Event]) {
        let written = self.record(at, events);
        let places = (written.first..).zip(written.lines);
        let entries = places.zip(events).map(|((n, extent), event)| Recorded { n, at: written.at, event, extent });
        self.store.apply(entries, written.head).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store.db")
    }

    fn restored(&self) -> (Store, Vec<String>) {
        restore(&self.path(), &self.journal).unwrap()
    }

    fn rebuilt(&self) -> Store {
        restore(&self.dir.path().join("another.db"), &self.journal).unwrap().0
    }

    fn inbox(&self, of: &Mailbox, all: bool) -> Vec<String> {
        let listing = Listing { mailbox: of, after: None, all, limit: 100, bytes: usize::MAX };
        self.store.inbox(listing).unwrap().iter().map(|listed| listed.message.id.to_string()).collect()
    }
}

/// All that a store holds, but `due`, which may list more than there is.
fn content(store: &Store) -> Vec<String> {
    let mut content = vec![format!("{:?}", store.position())];
    for table in ["messages", "deliveries", "sessions", "schedules"] {
        let mut statement = store.connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns).map(|at| row.get_ref(at).unwrap()).collect();
            content.push(format!("{table}: {values:?}"));
        }
    }
    content
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

#[test]
fn messages_wait_until_they_are_read_in_the_order_in_which_they_came() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "z", "b", 1), sent("a", "y", "b", 2), sent("c", "x", "b", 1)]);
    pair.add(2, &[Event::Delivered { mailbox: mailbox("b"), ids: vec![id("y")] }]);
    pair.add(3, &[read("b", "y"), read("other", "z")]);
    assert_eq!(pair.inbox(&mailbox("b"), false), ["z", "x"]);
    assert_eq!(pair.inbox(&mailbox("b"), true), ["z", "y", "x"]);
    let b = mailbox("b");
    let listing = Listing { mailbox: &b, after: Some(&id("z")), all: true, limit: 1, bytes: 0 };
    let listed = pair.store.inbox(listing).unwrap();
    assert_eq!((listed[0].delivered, listed[0].read), (Some(Moment(2)), Some(Moment(3))));
    let sent = message("a", "y", "b", 2);
    assert_eq!(listed[0].message, crate::relay::wire::Message { expires: Moment(i64::MAX as u64), ..sent });
    let after = |after: &str, bytes| {
        let after = id(after);
        pair.store.inbox(Listing { mailbox: &b, after: Some(&after), all: false, limit: 9, bytes }).unwrap().len()
    };
    assert_eq!((after("y", 99), after("x", 99), after("unknown", 99), after("unknown", 1)), (1, 0, 2, 1));
}

#[test]
fn what_a_daemon_must_know_when_it_starts() {
    let mut pair = Pair::new();
    let figures = Figures { context_used: Some(1), context_size: Some(2), model: None };
    let mut opus = schedule("s1", &"a".parse().unwrap(), 50);
    pair.add(1, &[Event::Opened(session("a")), Event::Opened(session("b")), Event::Scheduled(opus.clone())]);
    let (title, client_id) = (Some("A".to_owned()), Some("c".to_owned()));
    pair.add(2, &[Event::Met { session: "a".parse().unwrap(), title, client_id, figures: None }]);
    let met =
        Event::Met { session: "a".parse().unwrap(), title: None, client_id: None, figures: Some(figures.clone()) };
    pair.add(3, &[met, sent("a", "m1", "b", 7), sent("a", "m2", "c", 5), closed("b")]);
    let mut scheduled = message("a", "m3", "c", 8);
    scheduled.schedule = Some(opus.id.clone());
    let next = Some(Moment(60));
    pair.add(9, &[Event::Accepted { message: scheduled, mailboxes: vec![mailbox("c"), project()], next }]);
    opus.next = Moment(60);
    for store in [&pair.store, &pair.rebuilt()] {
        let remains = store.remains().unwrap();
        assert_eq!(remains.schedules, [opus.clone()]);
        let a = &remains.sessions[&"a".parse().unwrap()];
        assert_eq!((a.session.clone(), a.closed, a.last_seq, a.heard), (session("a"), false, 8, Moment(9)));
        assert_eq!(
            (a.title.as_deref(), a.client_id.as_deref(), &a.figures),
            (Some("A"), Some("c"), &Some(figures.clone()))
        );
        assert!(remains.sessions[&"b".parse().unwrap()].closed);
        let waiting = |of: &Mailbox| remains.waiting.get(of).map(|waiting| (waiting.messages, waiting.bytes));
        assert_eq!(
            (waiting(&mailbox("b")), waiting(&mailbox("c")), waiting(&project())),
            (None, Some((2, 20)), Some((1, 10)))
        );
    }
}

#[test]
fn a_schedule_goes_off_once_for_each_time_and_only_for_its_own_session() {
    let mut pair = Pair::new();
    let goes_off = |from: &str, id: &str, next| {
        let mut message = message(from, id, "b", 1);
        message.schedule = Some("s1".parse().unwrap());
        Event::Accepted { message, mailboxes: vec![mailbox("b")], next }
    };
    pair.add(1, &[Event::Scheduled(schedule("s1", &"a".parse().unwrap(), 5))]);
    pair.add(2, &[goes_off("thief", "m1", None), Event::Scheduled(schedule("s1", &"thief".parse().unwrap(), 9))]);
    let next = |pair: &Pair| pair.store.remains().unwrap().schedules.iter().map(|s| s.next.0).collect::<Vec<_>>();
    assert_eq!(next(&pair), [5]);
    pair.add(5, &[goes_off("a", "m2", Some(Moment(6)))]);
    assert_eq!(next(&pair), [6]);
    pair.add(6, &[goes_off("a", "m3", None)]);
    assert_eq!(next(&pair), [0; 0]);
    pair.add(
        7,
        &[Event::Scheduled(schedule("s2", &"a".parse().unwrap(), 9)), Event::Cancelled { id: "s2".parse().unwrap() }],
    );
    assert_eq!(next(&pair), [0; 0]);
}

#[test]
fn a_projects_messages_move_to_the_session_that_takes_them() {
    let mut pair = Pair::new();
    let both = Event::Accepted {
        message: message("a", "m1", "project:api", 1),
        mailboxes: vec![project(), mailbox("b")],
        next: None,
    };
    let one = Event::Accepted { message: message("a", "m2", "project:api", 2), mailboxes: vec![project()], next: None };
    pair.add(1, &[both, one, Event::Claimed { mailbox: project(), session: "b".parse().unwrap() }]);
    assert_eq!(pair.inbox(&project(), true), [""; 0]);
    assert_eq!(pair.inbox(&mailbox("b"), false), ["m1", "m2"], "each once");
}

#[test]
fn what_is_overdue_is_named_with_where_it_waits_and_dropped_by_its_entry_alone() {
    let mut pair = Pair::new();
    let until = |id: &str, from: &str, expires| {
        let mut message = message(from, id, "b", 1);
        message.expires = Moment(expires);
        Event::Accepted { message, mailboxes: vec![mailbox("b"), mailbox("c")], next: None }
    };
    pair.add(1, &[until("m1", "a", 10), until("m1", "other", 99), until("m2", "a", 11), until("m3", "a", 12)]);
    pair.add(2, &[read("b", "m2"), read("c", "m2"), read("b", "m3")]);
    let names =
        |overdue: &[Overdue]| overdue.iter().map(|one| (one.id.to_string(), one.mailboxes.len())).collect::<Vec<_>>();
    assert_eq!(pair.store.overdue(Moment(9), 10).unwrap(), []);
    for _ in 0..2 {
        let overdue = pair.store.overdue(Moment(12), 10).unwrap();
        assert_eq!(names(&overdue), [("m1".to_owned(), 2), ("m3".to_owned(), 1)]);
        assert_eq!(overdue[0].bytes, 10);
    }
    pair.add(12, &[Event::Expired { ids: vec![id("m1"), id("m3")] }]);
    assert_eq!(pair.store.overdue(Moment(12), 10).unwrap(), []);
    assert_eq!(pair.inbox(&mailbox("b"), false), ["m1"], "that of another sender is not over");
}

#[test]
fn what_was_read_was_received() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "m1", "b", 1), read("b", "m1")]);
    assert_eq!(pair.store.messages(&id("m1")).unwrap().len(), 1);
    assert!(pair.store.received(&mailbox("b"), &id("m1")).unwrap().is_some());
    assert!(pair.store.received(&mailbox("c"), &id("m1")).unwrap().is_none());
}

#[test]
fn an_id_stands_for_one_message_of_its_sender_and_one_in_each_mailbox() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "m", "b", 1)]);
    let clash = |message, to: &str| pair.store.clash(&message, &[mailbox(to)]).unwrap();
    assert!(matches!(clash(message("a", "m", "b", 2), "b"), Clash::Known(old) if old.seq == 1));
    let mut other = message("a", "m", "b", 2);
    other.text.push('!');
    assert_eq!(clash(other, "b"), Clash::Replayed);
    assert_eq!(clash(message("a", "m", "c", 2), "c"), Clash::Replayed);
    assert_eq!(clash(message("c", "m", "b", 1), "b"), Clash::Taken);
    assert_eq!(clash(message("c", "m", "d", 1), "d"), Clash::Free);
    let mut remote = message("a", "m", "d", 1);
    remote.from.host = Some("build".parse().unwrap());
    assert_eq!(clash(remote, "d"), Clash::Free, "a session of another host is another session");
}

#[test]
fn what_was_read_goes_after_a_day_and_what_waits_stays() {
    let mut pair = Pair::new();
    let many: Vec<Event> = (1..=1200).map(|n| sent("a", &format!("m{n}"), "b", n)).collect();
    pair.add(1, &many);
    let reads: Vec<Event> = (1..1200).map(|n| read("b", &format!("m{n}"))).collect();
    pair.add(HOUR, &reads);
    pair.add(HOUR, &[Event::Opened(session("old")), closed("old")]);
    let forget = |pair: &mut Pair, now| while pair.store.forget(Moment(now), RETENTION).unwrap() {};
    forget(&mut pair, 25 * HOUR);
    assert_eq!(pair.inbox(&mailbox("b"), true).len(), 100);
    forget(&mut pair, 25 * HOUR + 1);
    assert_eq!(pair.inbox(&mailbox("b"), true), ["m1200"]);
    assert_eq!(pair.store.messages(&id("m1")).unwrap(), []);
    assert_eq!(pair.store.needed().unwrap(), Some(1200));
    assert_eq!(pair.store.remains().unwrap().sessions.len(), 1);
    forget(&mut pair, 32 * 24 * HOUR);
    assert_eq!(pair.store.remains().unwrap().sessions.len(), 0);
    let due: i64 = pair.store.connection.query_row("SELECT count(*) FROM due", [], |row| row.get(0)).unwrap();
    assert_eq!(due, 1);
}

#[test]
fn what_still_holds_is_said_again_before_old_entries_go() {
    let mut pair = Pair::new();
    let a: Session = session("a");
    pair.add(1, &[Event::Opened(a.clone()), Event::Opened(session("b")), closed("b"), sent("a", "m", "c", 9)]);
    pair.add(2, &[Event::Scheduled(schedule("s", &a.name, 77))]);
    assert_eq!(pair.store.standing(1).unwrap(), []);
    let standing = pair.store.standing(6).unwrap();
    assert_eq!(standing.len(), 2);
    let before = pair.store.remains().unwrap();
    pair.add(3, &standing);
    let after = pair.store.remains().unwrap();
    assert_eq!((&before.sessions, &before.schedules), (&after.sessions, &after.schedules));
    assert_eq!(pair.store.standing(6).unwrap(), []);
}

#[test]
fn a_store_behind_its_journal_catches_up() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "m1", "b", 1)]);
    pair.record(2, &[sent("a", "m2", "b", 2), read("b", "m1")]);
    let at = pair.journal.head();
    assert_ne!(pair.store.position(), at);
    let (store, mended) = pair.restored();
    assert_eq!((store.position(), mended.len()), (at, 0));
    pair.store = store;
    assert_eq!(pair.inbox(&mailbox("b"), false), ["m2"]);
    assert_eq!(content(&pair.store), content(&pair.rebuilt()));
}

fn kept(pair: &Pair, state: &str) -> usize {
    let found = std::fs::read_dir(pair.dir.path()).unwrap();
    found
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(&format!("db.{state}-")))
        .count()
}

#[test]
fn a_damaged_database_is_kept_aside_and_made_anew() {
    for (name, damage) in [
        ("no database", (|bytes| bytes.fill(b'x')) as fn(&mut [u8])),
        ("pages of nothing", |bytes| bytes[4096..].fill(0)),
        ("noise", |bytes| bytes[100..].iter_mut().for_each(|byte| *byte ^= 0x55)),
    ] {
        let mut pair = Pair::new();
        pair.add(1, &(1..200).map(|n| sent("a", &format!("m{n}"), "b", n)).collect::<Vec<_>>());
        let before = content(&pair.store);
        let path = pair.path();
        // Closing it moves everything into the one file.
        pair.store = Store::open(&pair.dir.path().join("empty.db"), pair.journal.path()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let (store, mended) = pair.restored();
        assert!(mended[0].contains("store.db.corrupt-"), "{name}: {mended:?}");
        assert_eq!(kept(&pair, "corrupt"), 1, "{name}");
        assert_eq!(content(&store), before, "{name}");
    }
}

#[test]
fn a_store_of_another_journal_or_of_another_version_is_not_used() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "m1", "b", 1), sent("a", "m2", "b", 2)]);
    let mut other = Pair::new();
    other.add(1, &[sent("c", "m1", "b", 1)]);
    let path = pair.path();
    let (store, mended) = restore(&path, &other.journal).unwrap();
    assert!(mended[0].contains("store.db.apart-"), "the journal is shorter: {mended:?}");
    drop(store);
    let (store, mended) = pair.restored();
    assert!(mended[0].contains("store.db.apart-"), "the journal is longer: {mended:?}");
    store.connection.pragma_update(None, "user_version", 0).unwrap();
    drop(store);
    let (store, mended) = pair.restored();
    assert!(mended[0].contains("store.db.outdated-"), "{mended:?}");
    store.connection.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = restore(&path, &pair.journal).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
}

#[test]
fn a_database_that_cannot_be_written_to_is_an_error_with_its_remedy() {
    let pair = Pair::new();
    let path = pair.dir.path().join("linked.db");
    std::os::unix::fs::symlink(pair.path(), &path).unwrap();
    let error = Store::open(&path, pair.journal.path()).unwrap_err().to_string();
    assert!(error.contains("see to its owner"), "{error}");
    let error = Store::open(&pair.dir.path().join("none/store.db"), pair.journal.path()).unwrap_err().to_string();
    assert!(error.contains("see to its owner"), "{error}");
}

#[test]
fn whoever_verifies_reads_how_far_the_store_has_come() {
    let mut pair = Pair::new();
    assert_eq!(head(&pair.dir.path().join("none.db")).unwrap(), None);
    pair.add(1, &[sent("a", "m1", "b", 1)]);
    assert_eq!(head(&pair.path()).unwrap(), Some(pair.journal.head()));
}

fn any_event() -> impl Strategy<Value = Event> {
    let name = prop::sample::select(&["a", "b", "c"][..]);
    let ids = prop::sample::select(&["m1", "m2", "m3", "m4"][..]);
    // In a project's mailbox is what has no other: none of its sessions was there.
    let places = prop_oneof![
        3 => prop::sample::subsequence(vec![mailbox("a"), mailbox("b"), Mailbox::User(1)], 0..4),
        1 => Just(vec![project()]),
    ];
    (0..12_u8, name.clone(), name, ids, places, 0..200_u64).prop_map(|(what, one, two, id, mailboxes, number)| {
        let ids = || vec![id.parse().unwrap()];
        let place = mailboxes.first().cloned().unwrap_or_else(|| mailbox(two));
        let session = one.parse().unwrap();
        match what {
            0 => Event::Opened(super::samples::session(one)),
            1 => closed(one),
            2 => Event::Met { session, title: Some(id.to_owned()), client_id: None, figures: None },
            3 => Event::Claimed { mailbox: project(), session },
            4 => Event::Delivered { mailbox: place, ids: ids() },
            5 | 6 => Event::Read { mailbox: place, ids: ids() },
            7 => Event::Expired { ids: ids() },
            8 => Event::Scheduled(schedule(id, &session, number)),
            9 => Event::Cancelled { id: id.parse().unwrap() },
            _ => {
                let mut message = message(one, id, two, number);
                message.accepted = Moment(number * HOUR);
                message.expires = Moment((number + 20) * HOUR);
                if number % 4 == 0 {
                    message.text = "long ".repeat(700);
                }
                message.schedule = (number % 3 == 0).then(|| id.parse().unwrap());
                Event::Accepted { message, mailboxes, next: (number % 2 == 0).then_some(Moment(number)) }
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_store_made_from_the_journal_is_the_one_that_was_written_along_with_it(
        batches in prop::collection::vec((prop::collection::vec(any_event(), 1..8), any::<bool>()), 1..40),
    ) {
        let mut pair = Pair::new();
        let mut now = 0;
        for (events, tidy) in &batches {
            now += 5 * HOUR;
            pair.add(now, events);
            if *tidy {
                pair.store.forget(Moment(now), Duration::from_secs(24 * 3600)).unwrap();
                pair.store.overdue(Moment(now), 2).unwrap();
            }
        }
        let mut rebuilt = pair.rebuilt();
        for store in [&mut pair.store, &mut rebuilt] {
            store.forget(Moment(now), Duration::from_secs(24 * 3600)).unwrap();
        }
        prop_assert_eq!(content(&pair.store), content(&rebuilt));
        prop_assert_eq!(pair.store.overdue(Moment(now), 100).unwrap(), rebuilt.overdue(Moment(now), 100).unwrap());
    }
}

#[test]
fn sizes_of_the_journal_do_not_matter_to_the_store() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open::<Event>(&dir.path().join("audit"), Sizes { file: 1 }).unwrap();
    for n in 1..=20 {
        journal.begin(Moment(n));
        journal.stage(&[sent("a", &format!("m{n}"), "b", n)]).unwrap();
        journal.write(true).unwrap();
    }
    let (store, _) = restore(&dir.path().join("store.db"), &journal).unwrap();
    assert_eq!(store.remains().unwrap().waiting[&mailbox("b")].messages, 20);
}

/// A message with a text that the journal alone has.
fn long(from: &str, id: &str, to: &str, seq: u64) -> Event {
    let mut message = message(from, id, to, seq);
    message.text = format!("{id}\n").repeat(2000);
    Event::Accepted { message, mailboxes: vec![mailbox(to)], next: None }
}

#[test]
fn a_long_text_is_in_the_journal_alone_and_is_read_as_it_was_sent() {
    let mut pair = Pair::new();
    pair.add(1, &[sent("a", "m1", "b", 1), long("a", "m2", "b", 2), sent("a", "m3", "b", 3)]);
    pair.add(2, &[long("a", "m4", "b", 4)]);
    let b = mailbox("b");
    let texts = |store: &Store| {
        let listing = Listing { mailbox: &b, after: None, all: false, limit: 9, bytes: usize::MAX };
        store.inbox(listing).unwrap().into_iter().map(|listed| listed.message.text).collect::<Vec<_>>()
    };
    let expected = ["text of m1".to_owned(), "m2\n".repeat(2000), "text of m3".to_owned(), "m4\n".repeat(2000)];
    for store in [&pair.store, &pair.rebuilt()] {
        assert_eq!(texts(store), expected);
        let kept: i64 = store
            .connection
            .query_row("SELECT sum(ifnull(octet_length(text), 0)) FROM messages", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 20);
    }
    assert_eq!(pair.store.waiting(&b, &[id("m2")]).unwrap()[0].bytes, 6000);
    let Event::Accepted { message, .. } = long("a", "m2", "b", 9) else { unreachable!() };
    assert!(matches!(pair.store.clash(&message, &[mailbox("b")]).unwrap(), Clash::Known(old) if old.seq == 2));
    let shorter = crate::relay::wire::Message { text: "m2\n".repeat(1999), ..message };
    assert_eq!(pair.store.clash(&shorter, &[mailbox("b")]).unwrap(), Clash::Replayed);
}

#[test]
fn a_long_text_whose_line_was_changed_is_an_error_that_names_it_and_the_others_are_read() {
    let mut pair = Pair::new();
    pair.add(1, &[long("a", "m1", "b", 1), long("a", "m2", "b", 2), sent("a", "m3", "c", 3)]);
    let file = std::fs::read_dir(pair.journal.path()).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    let error = |pair: &Pair, after: Option<&MessageId>| {
        let listing = Listing { mailbox: &mailbox("b"), after, all: false, limit: 9, bytes: usize::MAX };
        pair.store.inbox(listing).map(|listed| listed.len()).map_err(|error| (error.to_string(), error.cause()))
    };
    let mut changed = whole.clone();
    changed[1000] ^= 1;
    for damaged in [&changed[..], &whole[1..], &whole[..1000]] {
        std::fs::write(&file, damaged).unwrap();
        let (told, cause) = error(&pair, None).unwrap_err();
        assert!(told.contains("message m1") && told.contains("changed or is damaged") && told.contains("--verify"));
        assert!(!cause.contains('/'), "clients learn no path of the host's: {cause}");
        assert!(
            pair.store.all_waiting(&mailbox("b")).unwrap().len() == 2 && pair.inbox(&mailbox("c"), false).len() == 1
        );
    }
    std::fs::write(&file, &changed).unwrap();
    assert_eq!(error(&pair, Some(&id("m1"))), Ok(1), "only one of the lines was changed");
    std::fs::remove_file(&file).unwrap();
    let (told, _) = error(&pair, None).unwrap_err();
    assert!(told.contains("cannot be read: No such file"), "{told}");
    pair.add(2, &[read("b", "m1")]);
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(pair.inbox(&mailbox("b"), false), ["m2"], "it can be given up, and put back");
}

#[test]
fn the_journal_keeps_the_file_of_a_long_text_as_long_as_anybody_may_ask_for_it() {
    let mut pair = Pair::new();
    pair.add(1, &[Event::Opened(session("a")), long("a", "m1", "b", 1)]);
    assert_eq!(pair.store.needed().unwrap(), Some(1), "the file that begins with entry 1");
    pair.add(2, &[read("b", "m1")]);
    assert_eq!(pair.store.needed().unwrap(), Some(1), "it was read, and is shown among all");
    while pair.store.forget(Moment(49 * HOUR), RETENTION).unwrap() {}
    assert_eq!(pair.store.needed().unwrap(), None);
}

fn seal_of(pair: &Pair) -> String {
    std::fs::read_to_string(pair.dir.path().join("store.db.seal")).unwrap()
}

#[test]
fn a_store_of_another_boot_is_made_anew_and_one_of_this_boot_or_closed_in_good_order_is_not() {
    let mut pair = Pair::new();
    pair.add(1, &(1..50).map(|n| sent("a", &format!("m{n}"), "b", n)).collect::<Vec<_>>());
    let before = content(&pair.store);
    let seal = pair.dir.path().join("store.db.seal");
    let other = || Store::open(&pair.dir.path().join("other.db"), pair.journal.path()).unwrap();
    // Its process was killed.
    drop(std::mem::replace(&mut pair.store, other()));
    assert!(seal_of(&pair).starts_with("open in boot "));
    assert_eq!(pair.restored().1, [""; 0]);
    for foreign in ["open in an unknown boot", "", "closed", "open in boot 00000000-0000-0000-0000-000000000000"] {
        std::fs::write(&seal, foreign).unwrap();
        assert_eq!(head(&pair.path()).unwrap(), None, "nobody believes it");
        let (store, mended) = pair.restored();
        assert!(mended.len() == 1 && mended[0].contains("when the machine went down"), "{mended:?}");
        assert_eq!(content(&store), before);
    }
    std::fs::remove_file(&seal).unwrap();
    let (store, mended) = pair.restored();
    assert_eq!(mended.len(), 1, "who removes the seal has to wait");
    store.close().unwrap();
    assert!(seal_of(&pair).starts_with("closed "));
    assert_eq!(head(&pair.path()).unwrap(), Some(pair.journal.head()));
    let (store, mended) = pair.restored();
    assert_eq!((content(&store), mended.len()), (before, 0));
    assert!(seal_of(&pair).starts_with("open in boot "), "before the first write");
    store.close().unwrap();
    let bytes = std::fs::read(pair.path()).unwrap();
    std::fs::remove_file(pair.path()).unwrap();
    std::fs::write(pair.path(), bytes).unwrap();
    assert_eq!(pair.restored().1.len(), 1, "a copy was put in its place");
}
