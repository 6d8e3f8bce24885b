use super::*;
use crate::policy::{Exception, Ports, Protocol, Target};
use std::cell::RefCell;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

struct World {
    dir: tempfile::TempDir,
    enforced: RefCell<Vec<String>>,
    refuse: RefCell<Option<&'static str>>,
}

impl World {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = Self { dir, enforced: RefCell::default(), refuse: RefCell::default() };
        std::fs::create_dir(world.path().parent().unwrap()).unwrap();
        std::fs::write(world.path(), text).unwrap();
        world
    }

    fn root(&self) -> PathBuf {
        std::fs::canonicalize(self.dir.path()).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.root().join("etc/config.toml")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root().join("log/policy.log")).unwrap_or_default()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }

    fn make(&self, wanted: &FileChange) -> Result<Option<Vec<Problem>>, PermitError> {
        let owner = rustix::process::geteuid().as_raw();
        let enforce = |admin: &Admin| {
            self.enforced.borrow_mut().push(format!("{:?}", admin.profiles[0].exceptions.len()));
            match *self.refuse.borrow() {
                // The rules from before can be loaded, of course.
                Some(reason) if !admin.profiles[0].exceptions.is_empty() => Err(reason.into()),
                _ => Ok(()),
            }
        };
        let log = Log::at(self.root().join("log/policy.log"), owner);
        RootFile { path: self.path(), owner, log, enforce: &enforce }.make(wanted)
    }
}

fn allow(address: &str) -> FileChange {
    let ports = Ports::new(vec!["443".parse().unwrap()]).unwrap();
    let target = Target::Address(address.parse().unwrap());
    let entry = Entry {
        action: "allow",
        destination: address.to_owned(),
        protocol: "tcp",
        profile: "public".to_owned(),
        session: None,
        until: None,
    };
    let who = Who { uid: 0, sudo_uid: Some(1000), login_uid: None };
    let change = Change::Except(Exception { target, ports, protocol: Protocol::Tcp });
    FileChange { profile: ProfileName::public(), change, entry, who }
}

#[test]
fn a_change_is_written_enforced_and_recorded() {
    let world = World::new("# mine\n");
    std::fs::set_permissions(world.path(), PermissionsExt::from_mode(0o640)).unwrap();
    assert!(world.make(&allow("10.0.0.1/32")).unwrap().unwrap().is_empty());
    assert!(world.text().starts_with("# mine\n") && world.text().contains("10.0.0.1"));
    assert_eq!(std::fs::metadata(world.path()).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(*world.enforced.borrow(), ["1"]);
    let states: Vec<String> = world
        .log()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["requested", "done"]);
    assert!(world.make(&allow("10.0.0.1/32")).unwrap().is_none(), "a second time");
    // What its reader warns of is passed on, once.
    assert_eq!(world.make(&allow("127.0.0.1/32")).unwrap().unwrap().len(), 1);
    assert_eq!(world.make(&allow("10.0.0.2/32")).unwrap().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_put_into_force_is_taken_back() {
    let world = World::new("# mine\r\n");
    *world.refuse.borrow_mut() = Some("a sandbox is in the way");
    let error = world.make(&allow("10.0.0.1/32")).unwrap_err();
    assert!(matches!(error, PermitError::Enforce(_)), "{error}");
    assert_eq!(world.text(), "# mine\r\n");
    assert_eq!(*world.enforced.borrow(), ["1", "0"], "the former rules again");
    assert!(world.log().contains("\"failed\"") && world.log().contains("in the way"));
    std::fs::remove_file(world.path()).unwrap();
    world.make(&allow("10.0.0.1/32")).unwrap_err();
    assert!(!world.path().exists());
}

#[test]
fn nothing_is_widened_without_a_record() {
    let world = World::new("");
    std::fs::write(world.root().join("log"), "in the way").unwrap();
    let error = world.make(&allow("10.0.0.1/32")).unwrap_err();
    assert!(matches!(error, PermitError::Audit(_)), "{error}");
    assert_eq!(world.text(), "");
    assert!(world.enforced.borrow().is_empty());
    // What tightens goes on.
    std::fs::write(world.path(), "profiles.public.allow = [{ address = \"10.0.0.1\", ports = [443] }]\n").unwrap();
    let target = Target::Address("10.0.0.1/32".parse().unwrap());
    let change = Change::Take { target, protocol: Protocol::Any, ports: "443".parse().unwrap() };
    assert!(world.make(&FileChange { change, ..allow("10.0.0.1/32") }).unwrap().is_some());
    assert_eq!(*world.enforced.borrow(), ["0"]);
}

#[test]
fn a_file_that_other_software_makes_is_left_to_it() {
    for link_directory in [false, true] {
        let world = World::new("");
        let real = world.root().join("store");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("config.toml"), "").unwrap();
        std::fs::remove_file(world.path()).unwrap();
        if link_directory {
            std::fs::remove_dir(world.path().parent().unwrap()).unwrap();
            symlink(&real, world.path().parent().unwrap()).unwrap();
        } else {
            symlink(real.join("config.toml"), world.path()).unwrap();
        }
        let error = world.make(&allow("10.0.0.1/32")).unwrap_err();
        assert!(matches!(error, PermitError::Declared { .. }), "{error}");
        assert!(miette::Diagnostic::help(&error).unwrap().to_string().contains("--for"));
        assert_eq!(std::fs::read_to_string(real.join("config.toml")).unwrap(), "");
    }
}

#[test]
fn a_file_that_somebody_else_could_write_is_not_touched() {
    let world = World::new("");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&world.path(), 0o666);
    assert!(matches!(world.make(&allow("10.0.0.1/32")), Err(PermitError::Config(_))));
    mode(&world.path(), 0o644);
    mode(world.path().parent().unwrap(), 0o777);
    assert!(matches!(world.make(&allow("10.0.0.1/32")), Err(PermitError::Config(_))));
    assert_eq!(world.text(), "");
}

#[test]
fn a_broken_file_is_not_touched() {
    let world = World::new("users = [");
    assert!(matches!(world.make(&allow("10.0.0.1/32")), Err(PermitError::Config(_))));
    assert_eq!((world.text().as_str(), world.log().as_str()), ("users = [", ""));
}

#[test]
fn of_two_at_once_neither_is_lost() {
    let world = World::new("");
    let path = world.path();
    let owner = rustix::process::geteuid().as_raw();
    let log = world.root().join("log/policy.log");
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (path, log) = (path.clone(), log.clone());
            scope.spawn(move || {
                let file = RootFile { path, owner, log: Log::at(log, owner), enforce: &|_| Ok(()) };
                for at in 0..5 {
                    file.make(&allow(&format!("10.0.{thread}.{at}/32"))).unwrap().unwrap();
                }
            });
        }
    });
    assert_eq!(config::load_admin(&path, owner).unwrap().profiles[0].exceptions.len(), 20);
    assert_eq!(world.log().lines().count(), 40);
}

#[test]
fn a_full_disk_keeps_the_old_file_and_is_told_with_the_way_around() {
    // The staged file's name is taken by a directory: what a write meets when it cannot go on.
    let world = World::new("# mine\n");
    std::fs::create_dir(world.path().with_file_name(".config.toml.rcc-new")).unwrap();
    let error = world.make(&allow("10.0.0.1/32")).unwrap_err();
    assert!(matches!(&error, PermitError::Write { path, .. } if path.ends_with("etc")), "{error}");
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(help.contains("writable") && help.contains("--for"), "{help}");
    assert_eq!(world.text(), "# mine\n");
    assert!(world.enforced.borrow().is_empty() && world.log().contains("\"failed\""));
}
