use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

const QUOTA: Quota = Quota { bytes: 100, documents: 3 };

struct Bench {
    table: Worktable,
    /// The worktable's directory, and beside it `victim`, a file that says `mine`.
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("victim"), "mine").unwrap();
        Self { table: Worktable::open(&dir.path().join("table")).unwrap(), dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("table").join(name)
    }

    fn put(&mut self, name: &str, text: &str) -> Result<What, String> {
        let put = self.table.put(&document(name), text.as_bytes(), QUOTA);
        put.map(|change| change.what).map_err(|error| error.to_string())
    }

    fn victim(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("victim")).unwrap()
    }

    /// Everything in the directory.
    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn document(name: &str) -> DocumentName {
    name.parse().unwrap()
}

#[test]
fn a_document_is_put_replaced_and_removed() {
    let mut bench = Bench::new();
    assert_eq!(bench.put("plan.md", "one"), Ok(What::Added));
    assert_eq!(bench.put("plan.md", "three"), Ok(What::Replaced));
    assert_eq!(std::fs::read_to_string(bench.path("plan.md")).unwrap(), "three");
    assert_eq!(std::fs::metadata(bench.path("plan.md")).unwrap().permissions().mode() & 0o7777, 0o444);
    let listed = bench.table.list().unwrap();
    assert_eq!((listed.len(), listed[0].bytes), (1, 5));
    assert!(Moment::now().since(listed[0].changed) < std::time::Duration::from_secs(60));
    let removed = bench.table.remove(&document("plan.md")).unwrap();
    assert_eq!((removed.what, removed.bytes), (What::Removed, 5));
    assert!(matches!(bench.table.remove(&document("plan.md")), Err(WorktableError::NoSuch { .. })));
    assert_eq!(bench.entries(), [""; 0]);
}

#[test]
fn no_name_leads_elsewhere_or_hides() {
    for name in ["", ".", "..", ".hidden", "a/b", "/a", "../a", "a\0", "a\n", "-a", "é", &"a".repeat(65)] {
        assert!(name.parse::<DocumentName>().is_err(), "{name:?}");
    }
    for name in ["plan.md", "a..b", "2026-notes.tar.gz", &"a".repeat(64)] {
        name.parse::<DocumentName>().unwrap();
    }
}

#[test]
fn a_link_in_a_documents_place_is_neither_followed_nor_listed_nor_removed() {
    let mut bench = Bench::new();
    symlink("../victim", bench.path("plan.md")).unwrap();
    assert_eq!(bench.table.list().unwrap(), []);
    bench.table.remove(&document("plan.md")).unwrap_err();
    assert_eq!(bench.put("plan.md", "new"), Ok(What::Added));
    assert_eq!(bench.victim(), "mine");
    assert!(std::fs::symlink_metadata(bench.path("plan.md")).unwrap().is_file());
}

#[test]
fn a_link_in_a_drafts_place_is_not_written_through() {
    let mut bench = Bench::new();
    for number in 1..10 {
        symlink("../victim", bench.path(&format!("{DRAFT}{}-{number}", std::process::id()))).unwrap();
    }
    assert!(bench.put("plan.md", "new").unwrap_err().contains("cannot write"));
    assert_eq!(bench.victim(), "mine");
}

#[test]
fn a_directory_in_a_documents_place_stays_and_no_draft_is_left() {
    let mut bench = Bench::new();
    std::fs::create_dir(bench.path("plan.md")).unwrap();
    assert!(bench.put("plan.md", "new").unwrap_err().contains("cannot replace"));
    assert_eq!(bench.entries(), ["plan.md"]);
}

#[test]
fn a_worktable_is_no_link_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table");
    let open = || Worktable::open(&path).map(drop);
    symlink(dir.path(), &path).unwrap();
    assert!(matches!(open(), Err(WorktableError::File { attempt: "open", .. })));
    std::fs::remove_file(&path).unwrap();
    open().unwrap();
    for mode in [0o775, 0o757] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        assert!(matches!(open(), Err(WorktableError::Untrusted { .. })), "{mode:o}");
    }
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    open().unwrap_err();
}

#[test]
fn what_a_crash_left_is_removed_and_counts_nothing() {
    let mut bench = Bench::new();
    bench.put("plan.md", "kept").unwrap();
    std::fs::write(bench.path(".draft-1-7"), "x".repeat(1000)).unwrap();
    symlink("../victim", bench.path(".draft-1-8")).unwrap();
    assert_eq!(bench.put("notes.md", "kept too"), Ok(What::Added));
    bench.table = Worktable::open(&bench.path("")).unwrap();
    assert_eq!(bench.entries(), ["notes.md", "plan.md"]);
    assert_eq!(bench.victim(), "mine");
}

#[test]
fn a_worktable_holds_so_many_bytes_and_documents() {
    let mut bench = Bench::new();
    bench.put("a", &"x".repeat(60)).unwrap();
    assert!(bench.put("b", &"x".repeat(41)).unwrap_err().contains("101 bytes, and 100 at most"));
    bench.put("b", &"x".repeat(40)).unwrap();
    assert_eq!(bench.put("a", &"y".repeat(60)), Ok(What::Replaced));
    bench.put("a", &"x".repeat(61)).unwrap_err();
    assert_eq!(std::fs::read_to_string(bench.path("a")).unwrap(), "y".repeat(60), "refused, it is as before");
    bench.put("c", "").unwrap();
    assert!(bench.put("d", "").unwrap_err().contains("3 documents at most"));
    assert_eq!(bench.put("c", ""), Ok(What::Replaced));
    bench.table.remove(&document("a")).unwrap();
    bench.put("d", &"x".repeat(60)).unwrap();
    assert_eq!(bench.entries(), ["b", "c", "d"]);
}

#[test]
fn readers_see_whole_documents_while_two_write_and_the_last_one_stays() {
    let bench = Bench::new();
    let quota = Quota { bytes: 1 << 20, documents: 3 };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = [b'a', b'b'].map(|byte| {
            // Both are open before either writes, so that none takes the other's draft for a leftover.
            let mut table = Worktable::open(&bench.path("")).unwrap();
            table.drafts = u64::from(byte) << 32;
            (byte, table)
        });
        let writers = writers.map(|(byte, mut table)| {
            scope.spawn(move || {
                (1..60_usize).for_each(|round| {
                    let text = vec![byte; round * 1000];
                    table.put(&document("plan.md"), &text, quota).unwrap();
                });
            })
        });
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let Ok(text) = std::fs::read(bench.path("plan.md")) else { continue };
                assert!(text.len() % 1000 == 0 && !text.is_empty(), "{} bytes", text.len());
                assert!(text.iter().all(|byte| *byte == text[0]));
                reads += 1;
            }
            reads
        });
        let finished = writers.map(std::thread::ScopedJoinHandle::join);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
        assert!(finished.iter().all(Result::is_ok));
    });
    assert_eq!(std::fs::read(bench.path("plan.md")).unwrap().len(), 59_000);
    assert_eq!(bench.entries(), ["plan.md"]);
}
