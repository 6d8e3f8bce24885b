use super::super::fixture;
use super::*;
use std::cell::Cell;

/// A tarball like the registry's, its package, and a user's home to install it in.
struct Registry {
    root: tempfile::TempDir,
    package: Package,
    served: Cell<u32>,
}

impl Registry {
    fn with(content: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("package")).unwrap();
        std::fs::create_dir_all(root.path().join("home")).unwrap();
        std::fs::write(root.path().join("package/claude"), content).unwrap();
        let tar = Command::new("tar").args(["-czf", "served.tgz", "package/claude"]).current_dir(root.path()).status();
        assert!(tar.unwrap().success());
        let served = std::fs::read(root.path().join("served.tgz")).unwrap();
        let hash: String = Sha512::digest(served).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { root, package: Package { name: "claude-code-test", sha512: hash.leak() }, served: Cell::new(0) }
    }

    fn facts(&self) -> Facts {
        fixture::facts(&self.root.path().join("home"), &[])
    }

    fn install(&self, room: u64) -> Result<PathBuf, FetchError> {
        install_package(&self.facts(), self.package, room, &|staging| {
            self.served.set(self.served.get() + 1);
            let tarball = staging.join("package.tgz");
            std::fs::copy(self.root.path().join("served.tgz"), &tarball).unwrap();
            Ok(tarball)
        })
    }

    /// What lies beside the lock.
    fn installed(&self) -> Vec<String> {
        let entries = std::fs::read_dir(find::versions(&self.facts())).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).filter(|name| name != ".lock").collect()
    }
}

#[test]
fn a_package_is_installed_once_and_found() {
    let registry = Registry::with("\x7fELF program");
    let program = registry.install(1).unwrap();
    assert_eq!(registry.install(1).unwrap(), program);
    assert_eq!((registry.served.get(), registry.installed()), (1, vec![VERSION.to_owned()]));
    let found = find::find(&registry.facts(), Path::new("/nonexistent")).unwrap();
    assert_eq!(found.program, std::fs::canonicalize(program).unwrap());
}

#[test]
fn a_changed_package_is_refused_and_nothing_stays() {
    let registry = Registry::with("\x7fELF program");
    let served = registry.root.path().join("served.tgz");
    let mut changed = std::fs::read(&served).unwrap();
    changed.push(0);
    std::fs::write(&served, changed).unwrap();
    assert!(matches!(registry.install(1), Err(FetchError::Integrity { .. })));
    assert!(registry.installed().is_empty());
}

#[test]
fn a_package_without_a_native_program_is_refused_and_nothing_stays() {
    let registry = Registry::with("#!/usr/bin/env node\n");
    assert!(matches!(registry.install(1), Err(FetchError::Unpack(_))));
    assert!(registry.installed().is_empty());
}

#[test]
fn a_full_disk_is_noticed_before_the_download() {
    let registry = Registry::with("\x7fELF program");
    assert!(matches!(registry.install(u64::MAX), Err(FetchError::Room { .. })));
    assert_eq!((registry.served.get(), registry.installed().len()), (0, 0));
}

#[test]
fn an_interrupted_installation_is_started_anew() {
    let registry = Registry::with("\x7fELF program");
    let versions = find::versions(&registry.facts());
    std::fs::create_dir_all(versions.join(".partial/package")).unwrap();
    std::fs::write(versions.join(".partial/package/claude"), "\x7fEL").unwrap();
    std::fs::create_dir_all(versions.join(VERSION)).unwrap();
    std::fs::write(versions.join(VERSION).join("claude"), "").unwrap();
    let program = registry.install(1).unwrap();
    assert_eq!(std::fs::read_to_string(program).unwrap(), "\x7fELF program");
    assert_eq!(registry.installed(), [VERSION]);
}
