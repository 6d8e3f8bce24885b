//! `init` and its undoing on a host in a temporary directory.

use super::durable;
use super::init::{self, Hooks, InitError, Plan};
use super::install::Images;
use super::layout::Layout;
use super::undo::{self, Scope, UndoError};
use super::{Failure, unit};
use crate::policy::identity::BLOCK_START;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// A host, and what was done to it beside its files.
struct Host {
    root: tempfile::TempDir,
    layout: Layout,
    calls: RefCell<Vec<String>>,
    said: RefCell<Vec<String>>,
    broken: &'static str,
    running: Vec<i32>,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::under(root.path());
        for directory in ["etc", "run/systemd/system", "home/alice", "usr/local/bin"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let host = Self {
            root,
            layout,
            calls: RefCell::default(),
            said: RefCell::default(),
            broken: "nothing",
            running: Vec::new(),
        };
        host.write("home/alice/rcc", "the program");
        host.write("home/alice/rcc-guest", "what runs inside");
        host.write("etc/subuid", "alice:100000:65536\n");
        host.write("etc/subgid", "alice:100000:65536\n");
        host
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn call(&self, what: String) -> Result<(), Failure> {
        let result = if what.contains(self.broken) { Err(Failure::from("broken")) } else { Ok(()) };
        self.calls.borrow_mut().push(what);
        result
    }

    fn with_hooks<T>(&self, act: impl FnOnce(Hooks) -> T) -> T {
        act(Hooks {
            apply: &|| {
                std::fs::create_dir_all(self.layout.run().join("1000"))?;
                self.call("apply".into())
            },
            reset: &|| self.call("reset".into()),
            command: &|program, arguments| self.call(format!("{program} {}", arguments.join(" "))),
            sandboxes: &|| Ok(self.running.clone()),
            say: &|line| self.said.borrow_mut().push(line.to_owned()),
        })
    }

    fn init(&self, users: &[u32]) -> Result<(), InitError> {
        self.init_from(Path::new("/home/alice/rcc"), users)
    }

    fn init_from(&self, running: &Path, users: &[u32]) -> Result<(), InitError> {
        let plan = Plan::new(&self.layout, running, users)?;
        let home = self.root.path().join("home/alice");
        let images = Images { program: &home.join("rcc"), guest: &home.join("rcc-guest") };
        self.with_hooks(|hooks| init::execute(&plan, &self.layout, images, hooks))
    }

    fn undo(&self, scope: Scope) -> Result<(), UndoError> {
        self.with_hooks(|hooks| undo::execute(&self.layout, scope, hooks))
    }

    /// Every path with its inode and content: any rewriting shows.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
        let entries = walkdir::WalkDir::new(self.root.path()).into_iter().map(Result::unwrap);
        entries
            .filter(|entry| entry.path() != self.layout.run() && !entry.path().starts_with(self.layout.run()))
            .map(|entry| {
                let content =
                    if entry.file_type().is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
                (entry.path().to_owned(), (entry.metadata().unwrap().ino(), content))
            })
            .collect()
    }

    /// As [`Self::snapshot`], without inodes.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.snapshot().into_iter().map(|(path, (_, content))| (path, content)).collect()
    }
}

#[test]
fn a_second_init_rewrites_no_file() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    let first = host.snapshot();
    host.init(&[1000]).unwrap();
    assert_eq!(host.snapshot(), first);
    assert!(first.contains_key(&host.layout.unit()));
}

#[test]
fn init_and_undo_twice_each_leave_the_host_as_it_was() {
    let host = Host::new();
    host.write("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");
    std::fs::create_dir_all(host.root.path().join("etc/systemd/system")).unwrap();
    std::fs::create_dir_all(host.root.path().join("etc/apparmor.d")).unwrap();
    let before = host.contents();
    for _ in 0..2 {
        host.init(&[1000, 0]).unwrap();
    }
    assert_ne!(host.contents(), before);
    for _ in 0..2 {
        host.undo(Scope::default()).unwrap();
    }
    assert_eq!(host.contents(), before);
    assert!(!host.layout.run().exists());
}

#[test]
fn the_rules_are_loaded_before_the_service_starts() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    let restart = format!("systemctl restart {}", unit::NAME);
    let enable = format!("systemctl enable {}", unit::NAME);
    assert_eq!(*host.calls.borrow(), ["apply", "systemctl daemon-reload", &enable, &restart]);
}

#[test]
fn rules_that_fail_to_load_are_an_error_and_no_service_is_installed() {
    let host = Host { broken: "apply", ..Host::new() };
    assert!(matches!(host.init(&[1000]), Err(InitError::Apply(_))));
    assert!(!host.layout.unit().exists());
}

#[test]
fn without_systemd_the_rules_are_loaded_and_the_command_for_the_service_is_told() {
    let host = Host::new();
    std::fs::remove_dir(host.root.path().join("run/systemd/system")).unwrap();
    host.init(&[1000]).unwrap();
    assert_eq!(*host.calls.borrow(), ["apply"]);
    assert!(!host.layout.unit().exists());
    let said = host.said.borrow();
    let last = said.last().unwrap();
    assert!(last.contains("from now on and after each boot"), "{last}");
    assert!(last.ends_with(": /usr/local/libexec/rcc/rcc firewall apply --watch"), "{last}");
}

#[test]
fn a_program_in_a_home_is_copied_and_the_unit_runs_the_copy() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    host.write("home/alice/rcc", "a newer program");
    host.init(&[1000]).unwrap();
    assert_eq!(std::fs::read_to_string(host.layout.copy()).unwrap(), "a newer program");
    assert_eq!(std::fs::read_to_string(host.layout.guest_copy()).unwrap(), "what runs inside");
    let unit = std::fs::read_to_string(host.layout.unit()).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/libexec/rcc/rcc firewall"), "{unit}");
}

#[test]
fn the_copy_becomes_a_command_and_undoing_takes_only_our_link() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    assert_eq!(std::fs::read_link(host.layout.link()).unwrap(), Path::new("/usr/local/libexec/rcc/rcc"));
    std::fs::remove_file(host.layout.link()).unwrap();
    symlink("/opt/rcc", host.layout.link()).unwrap();
    host.init(&[1000]).unwrap();
    host.undo(Scope::default()).unwrap();
    assert_eq!(std::fs::read_link(host.layout.link()).unwrap(), Path::new("/opt/rcc"));
}

#[test]
fn both_the_service_and_the_users_own_program_get_user_namespaces_where_apparmor_refuses_them() {
    let host = Host::new();
    host.write("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");
    host.init(&[1000]).unwrap();
    let profile = std::fs::read_to_string(host.layout.apparmor_profile()).unwrap();
    assert!(profile.contains(" /usr/local/libexec/rcc/rcc ") && profile.contains(" /home/alice/rcc "), "{profile}");
}

#[test]
fn an_edited_configuration_is_kept_by_init_and_by_undo_but_not_by_purge() {
    let host = Host::new();
    host.write("etc/rcc/config.toml", "users = [1000]\n");
    host.write("var/log/rcc/policy.log", "{}\n");
    host.init(&[1000]).unwrap();
    host.undo(Scope::default()).unwrap();
    assert_eq!(std::fs::read_to_string(host.layout.config()).unwrap(), "users = [1000]\n");
    assert!(host.layout.record().join("policy.log").exists());
    host.undo(Scope { purge: true, ..Scope::default() }).unwrap();
    assert!(!host.layout.config().parent().unwrap().exists() && !host.layout.record().exists());
}

#[test]
fn undo_is_refused_while_sandboxes_run_and_forced_on_request() {
    let host = Host { running: vec![4711], ..Host::new() };
    host.init(&[1000]).unwrap();
    let error = host.undo(Scope::default()).unwrap_err();
    assert!(error.to_string().contains("4711") && host.layout.unit().exists());
    host.undo(Scope { force: true, ..Scope::default() }).unwrap();
    assert!(!host.layout.unit().exists());
}

#[test]
fn undo_goes_on_after_a_failure_and_reports_each() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    let host = Host { broken: "e", ..host };
    let UndoError::Steps(failures) = host.undo(Scope::default()).unwrap_err() else { panic!("no step failed") };
    assert_eq!(failures, ["the service: broken", "the firewall rules: broken"]);
    assert!(!host.layout.unit().exists() && !host.layout.copy().exists() && !host.layout.config().exists());
    assert_eq!(std::fs::read_to_string(host.layout.subuid()).unwrap(), "alice:100000:65536\n");
}

#[test]
fn undo_does_not_follow_links_out_of_the_run_time_directory() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    symlink(host.root.path().join("home"), host.layout.run().join("1000/link")).unwrap();
    host.undo(Scope::default()).unwrap();
    assert!(host.root.path().join("home/alice/rcc").exists());
}

#[test]
fn a_host_with_declared_identities_is_refused_before_anything_is_written() {
    let host = Host::new();
    host.write("etc/NIXOS", "");
    let before = host.snapshot();
    assert!(matches!(host.init(&[1000]), Err(InitError::Identities(_))));
    assert!(matches!(host.init(&[]), Err(InitError::NoUser)));
    assert_eq!(host.snapshot(), before);
    assert!(host.calls.borrow().is_empty());
}

#[test]
fn a_crash_between_the_two_files_is_repaired_by_the_next_init() {
    let host = Host::new();
    let half = format!("alice:100000:65536\n1000:{BLOCK_START}:1024\n");
    host.write("etc/subgid", &half);
    host.write("etc/.subuid.rcc-new", "partial");
    host.init(&[1000]).unwrap();
    assert_eq!(std::fs::read_to_string(host.layout.subuid()).unwrap(), half);
    assert_eq!(std::fs::read_to_string(host.layout.subgid()).unwrap(), half);
    assert!(durable::read(&host.root.path().join("etc/.subuid.rcc-new"), 9).unwrap().is_none());
}

#[test]
fn a_program_of_the_nix_store_is_kept_until_it_is_undone() {
    let host = Host::new();
    let link = host.root.path().join("nix/var/nix/gcroots/rcc");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::create_dir_all(host.root.path().join("etc/systemd/system")).unwrap();
    let before = host.contents();
    host.init_from(Path::new("/nix/store/abc-rcc-0.1.0/bin/rcc"), &[1000]).unwrap();
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("/nix/store/abc-rcc-0.1.0"));
    host.undo(Scope::default()).unwrap();
    assert_eq!(host.contents(), before);
}

#[test]
fn a_program_whose_libraries_others_can_change_is_refused() {
    let refused = Plan::new(&Layout::host(), Path::new("/nix/store/not-roots-own/bin/rcc"), &[1000]);
    assert!(matches!(refused, Err(InitError::OpenStore(_))));
}

#[test]
fn undoing_keeps_the_program_that_the_systems_relay_runs() {
    let host = Host::new();
    host.init(&[1000]).unwrap();
    host.write("etc/systemd/system/rcc-relay.service", "");
    host.undo(Scope::default()).unwrap();
    assert!(host.layout.copy().exists() && host.layout.link().is_symlink());
    assert!(host.said.borrow().iter().any(|line| line.contains("rcc relay uninstall --system")));
}
