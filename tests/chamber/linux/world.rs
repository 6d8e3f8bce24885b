//! A home, a project in it, and tools in chambers of the project.

use rcc::plugin::chamber::{Chamber, ChamberError, Command, Delivery, Ended, Running, Spec};
use rcc::plugin::credential::Secret;
use rcc::plugin::manifest::ProjectAccess;
use rcc::policy::ProfileName;
use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::io::{PipeReader, Read, pipe};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where this program is in a chamber.
pub const OWN: &str = "/run/rcc/bin/rcc";
/// What must appear nowhere.
pub const CANARY: &str = "canary-5e1f0c";

pub struct World {
    pub top: PathBuf,
    pub project: PathBuf,
    _dir: Option<tempfile::TempDir>,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("rcc-chamber-").tempdir_in("/var/tmp").unwrap();
        let world = Self::at(&fs::canonicalize(dir.path()).unwrap());
        Self { _dir: Some(dir), ..world }
    }

    /// One that somebody else removes.
    pub fn at(top: &Path) -> Self {
        let project = top.join("home/work/app");
        fs::create_dir_all(&project).unwrap();
        // The home becomes that of this process, whose chambers have it from there.
        // SAFETY: no test runs, so this process has one thread.
        unsafe { std::env::set_var("HOME", top.join("home")) };
        Self { top: top.to_owned(), project, _dir: None }
    }

    pub fn spec(&self, project: ProjectAccess) -> Spec {
        Spec {
            session: "app-1a2b".into(),
            tool: "tool".parse().unwrap(),
            root: self.project.clone(),
            project,
            profile: ProfileName::offline(),
            program: fs::canonicalize("/bin/sh").unwrap(),
            executes: None,
            home: self.top.join("private"),
            binds: Vec::new(),
            files: Vec::new(),
            credentials: false,
            limits: Default::default(),
        }
    }

    pub fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// Runs a test's async part as the broker would.
    pub fn run<T>(&self, test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    /// What the tool's shell prints, in a chamber of its own.
    pub fn says(&self, project: ProjectAccess, script: &str) -> String {
        let spec = self.spec(project);
        self.run(async {
            let chamber = Chamber::start(&spec, &[]).await.unwrap();
            output(&chamber, shell(script, Some(&self.project))).await.1
        })
    }
}

pub fn credential(name: &str, value: &str, file: Option<&str>) -> Delivery {
    let secret = Arc::new(Secret::take(&mut value.as_bytes().to_vec()).unwrap());
    Delivery { name: name.into(), secret, file: file.map(str::to_owned) }
}

/// A call whose standard output and error can be read.
pub struct Call {
    pub command: Command,
    pub output: PipeReader,
}

pub fn call(program: &str, arguments: &[&str], directory: Option<&Path>) -> Call {
    let (output, writer) = pipe().unwrap();
    let error = writer.try_clone().unwrap();
    let input = fs::File::open("/dev/null").unwrap();
    let command = Command {
        program: program.into(),
        argv: std::iter::once(program).chain(arguments.iter().copied()).map(str::to_owned).collect(),
        environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        secret_environment: BTreeMap::new(),
        directory: directory.map(Path::to_owned),
        terminal: false,
        streams: [input.into(), writer.into(), error.into()],
    };
    Call { command, output }
}

pub fn shell(script: &str, directory: Option<&Path>) -> Call {
    call("/bin/sh", &["-c", script], directory)
}

/// This program, attempting something.
pub fn attempt(arguments: &[&str]) -> Call {
    call(OWN, &[&["attempt"], arguments].concat(), None)
}

pub async fn start(chamber: &Chamber, call: Call) -> (Running, PipeReader) {
    let Call { command, output } = call;
    (chamber.run(command).await.unwrap(), output)
}

/// How it ended, and all that it printed, of which there is little.
pub async fn output(chamber: &Chamber, call: Call) -> (Ended, String) {
    let (mut running, mut output) = start(chamber, call).await;
    let ended = running.ended().await.unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    (ended, text)
}

/// Why it was not started.
pub async fn refusal(chamber: &Chamber, call: Call) -> (u8, String) {
    match chamber.run(call.command).await {
        Err(ChamberError::Refused { exit_code, error }) => (exit_code, error),
        other => panic!("{other:?}"),
    }
}
