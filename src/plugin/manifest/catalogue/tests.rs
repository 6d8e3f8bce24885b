use super::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// Two directories, not made yet, and the catalogue of them.
struct World {
    root: tempfile::TempDir,
    catalogue: Catalogue,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let real = fs::canonicalize(root.path()).unwrap();
        fs::write(real.join("tool"), "").unwrap();
        fs::set_permissions(real.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let (admin, user) = (real.join("etc/rcc/plugins"), real.join("home/rcc/plugins"));
        let places = Places { admin, admin_owner: uid, user, uid, home: real.join("home") };
        Self { root, catalogue: Catalogue::open(places).unwrap() }
    }

    /// The same with both directories there.
    fn made() -> Self {
        let mut world = Self::new();
        for directory in [world.admin(), world.user()] {
            fs::create_dir_all(directory).unwrap();
        }
        world.settle();
        world
    }

    fn admin(&self) -> PathBuf {
        self.catalogue.places.admin.clone()
    }

    fn user(&self) -> PathBuf {
        self.catalogue.places.user.clone()
    }

    fn readable(&self, wait: i64) -> bool {
        let mut fds = [PollFd::new(&self.catalogue, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: wait * 1_000_000 })).unwrap() > 0
    }

    /// Follows the descriptor until it is silent, and tells every change.
    fn settle(&mut self) -> String {
        let mut told = String::new();
        while self.readable(200) {
            let changes = self.catalogue.refresh().unwrap();
            for (sign, tools) in [('+', changes.added), ('~', changes.changed), ('-', changes.removed)] {
                tools.iter().for_each(|tool| told += &format!("{sign}{tool} "));
            }
            changes.problems.iter().for_each(|_| told += "! ");
        }
        told.trim_end().to_owned()
    }

    /// A manifest with this summary.
    fn text(&self, summary: &str) -> String {
        let program = fs::canonicalize(self.root.path()).unwrap().join("tool");
        format!("version = 1\nkind = \"exec\"\nprogram = \"{}\"\nsummary = \"{summary}\"\n", program.display())
    }

    fn summary(&self, tool: &str) -> String {
        self.catalogue.tools()[&tool.parse().unwrap()].summary.clone()
    }
}

#[test]
fn directories_that_appear_later_are_read_then() {
    let mut world = World::new();
    assert!(world.catalogue.tools().is_empty() && world.catalogue.problems().is_empty());
    fs::create_dir_all(world.admin()).unwrap();
    fs::write(world.admin().join("a.toml"), world.text("one")).unwrap();
    assert_eq!(world.settle(), "+a");
    fs::create_dir_all(world.user()).unwrap();
    world.settle();
    fs::write(world.user().join("b.toml"), world.text("two")).unwrap();
    assert_eq!(world.settle(), "+b");
}

#[test]
fn what_was_good_stays_in_force_while_a_new_text_is_wrong() {
    let mut world = World::made();
    let path = world.admin().join("a.toml");
    fs::write(&path, world.text("one")).unwrap();
    assert_eq!(world.settle(), "+a");
    fs::write(&path, "version = 1\nkind = \"exce\"").unwrap();
    assert_eq!(world.settle(), "!");
    assert_eq!(world.summary("a"), "one");
    let fault = world.catalogue.problems()[0].to_string();
    assert!(fault.contains("what it said before stays in force"), "{fault}");
    fs::write(&path, world.text("two")).unwrap();
    assert_eq!(world.settle(), "~a");
    assert_eq!((world.summary("a").as_str(), world.catalogue.problems().len()), ("two", 0));
    fs::write(&path, world.text("two") + "# no change").unwrap();
    assert_eq!(world.settle(), "");
    fs::remove_file(&path).unwrap();
    assert_eq!(world.settle(), "-a");
}

#[test]
fn half_a_file_is_not_read() {
    let mut world = World::made();
    let path = world.admin().join("a.toml");
    fs::write(&path, world.text("one")).unwrap();
    world.settle();
    let mut file = fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, world.text("tw").as_bytes()).unwrap();
    fs::write(world.admin().join("b.toml"), world.text("b")).unwrap();
    assert_eq!(world.settle(), "+b", "a.toml is still being written");
    std::io::Write::write_all(&mut file, b"timeout = \"1m\"\n").unwrap();
    drop(file);
    assert_eq!(world.settle(), "~a");
}

#[test]
fn editors_that_replace_a_file_do_not_take_the_tool_away() {
    let mut world = World::made();
    let path = world.admin().join("a.toml");
    fs::write(&path, world.text("one")).unwrap();
    world.settle();
    // As vim does with `backup`, and as most others do.
    fs::rename(&path, world.admin().join("a.toml~")).unwrap();
    fs::write(&path, world.text("two")).unwrap();
    assert_eq!(world.settle(), "~a");
    fs::write(world.admin().join(".a.toml.swp"), world.text("three")).unwrap();
    fs::rename(world.admin().join(".a.toml.swp"), &path).unwrap();
    assert_eq!(world.settle(), "~a");
    assert_eq!(world.catalogue.tools().len(), 1);
}

#[test]
fn roots_word_on_a_name_is_the_only_one() {
    let mut world = World::made();
    let (admin, user) = (world.admin().join("a.toml"), world.user().join("a.toml"));
    fs::write(&user, world.text("users")).unwrap();
    assert_eq!(world.settle(), "+a");
    fs::write(&admin, "version = ").unwrap();
    assert_eq!(world.settle(), "-a ! !", "also while it is wrong");
    fs::write(&admin, world.text("roots")).unwrap();
    assert_eq!(world.settle(), "+a");
    assert_eq!(world.summary("a"), "roots");
    assert!(matches!(*world.catalogue.problems()[0], Fault::Ignored { .. }));
    fs::remove_file(&admin).unwrap();
    assert_eq!(world.settle(), "~a");
    assert_eq!(world.summary("a"), "users");
}

#[test]
fn links_are_followed_as_they_are_turned_to_another_file() {
    let mut world = World::made();
    let root = fs::canonicalize(world.root.path()).unwrap();
    for generation in ["one", "two"] {
        fs::create_dir(root.join(generation)).unwrap();
        fs::write(root.join(generation).join("a.toml"), world.text(generation)).unwrap();
    }
    symlink("one", root.join("static")).unwrap();
    symlink(root.join("static/a.toml"), world.admin().join("a.toml")).unwrap();
    assert_eq!(world.settle(), "+a");
    symlink("two", root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("static")).unwrap();
    assert_eq!(world.settle(), "~a");
    assert_eq!(world.summary("a"), "two");
}

#[test]
fn a_file_that_others_can_write_is_refused_until_they_cannot() {
    let mut world = World::made();
    let path = world.user().join("a.toml");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    fs::write(world.user().join("new"), world.text("one")).unwrap();
    fs::set_permissions(world.user().join("new"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::rename(world.user().join("new"), &path).unwrap();
    assert_eq!(world.settle(), "!");
    mode(0o644);
    assert_eq!(world.settle(), "+a");
}

#[test]
fn a_directory_that_is_moved_away_takes_its_tools_with_it() {
    let mut world = World::made();
    fs::write(world.user().join("a.toml"), world.text("one")).unwrap();
    assert_eq!(world.settle(), "+a");
    let away = world.root.path().join("away");
    fs::rename(world.user().parent().unwrap(), &away).unwrap();
    assert_eq!(world.settle(), "-a");
    fs::rename(&away, world.user().parent().unwrap()).unwrap();
    assert_eq!(world.settle(), "+a");
}

#[test]
fn what_is_no_manifest_is_passed_over_and_a_bad_name_told() {
    let mut world = World::made();
    for name in ["README", "a.toml~", ".b.toml", "c.toml.bak"] {
        fs::write(world.admin().join(name), "x").unwrap();
    }
    assert_eq!(world.settle(), "");
    fs::write(world.admin().join("Git.toml"), world.text("x")).unwrap();
    assert_eq!(world.settle(), "!");
}
