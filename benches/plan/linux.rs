//! A run up to its plan, of projects of several sizes.

use divan::Bencher;
use rcc::config::{self, Sources};
use rcc::facts::{Facts, User};
use rcc::policy::ProfileName;
use rcc::project::Project;
use rcc::run::{Prepared, Task};
use std::fs;
use std::path::Path;

/// A repository with this many source files, ten to a directory, and one secret.
fn project(root: &Path, files: usize) {
    fs::create_dir_all(root.join(".git/hooks")).expect("the directory is new");
    fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").expect("the directory is writable");
    fs::write(root.join(".git/config"), "[core]\n\trepositoryformatversion = 0\n").expect("it is writable");
    fs::write(root.join(".env"), "SECRET=x\n").expect("it is writable");
    for number in 0..files {
        let directory = root.join(format!("src/{}", number / 10));
        fs::create_dir_all(&directory).expect("it is writable");
        fs::write(directory.join(format!("{number}.rs")), "").expect("it is writable");
    }
}

fn facts(home: &Path, cwd: &Path) -> Facts {
    let user = User {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        name: "user".into(),
        home: home.into(),
    };
    let (config_dir, data_dir) = (home.join(".config/rcc"), home.join(".local/share/rcc"));
    Facts { user, cwd: cwd.into(), environment: Default::default(), config_dir, data_dir }
}

/// The plan of `rcc run --profile offline -- true`.
#[divan::bench(args = [10, 1_000])]
fn plan(bencher: Bencher<'_, '_>, files: usize) {
    let directory = tempfile::tempdir().expect("there is room for a project");
    let home = fs::canonicalize(directory.path()).expect("it exists");
    let cwd = home.join("project");
    project(&cwd, files);
    bencher.bench(|| {
        let facts = facts(&home, &cwd);
        let project = Project::find(&facts).expect("it is a project");
        let sources = Sources::new(&facts, &project.root, Some(ProfileName::offline()));
        let loaded = config::load(&sources).expect("the host's configuration is good");
        let task = Task::plain(vec!["true".into()]);
        let prepared = Prepared::new(facts, project, loaded, task).expect("nothing is missing");
        let guards = prepared.guards().expect("the project is searched");
        prepared.plan(&guards, &prepared.home()).expect("the view is allowed")
    });
}
