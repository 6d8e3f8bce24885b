//! A small world for file tests: a home with secrets, a project in it, and a way to run a shell
//! script inside the sandbox's file system, with the namespaces of a real run but no network.

use rcc::facts::{Facts, User};
use rcc::project::handover::{self, Handover, HandoverError};
use rcc::project::{Project, home, scan};
use rcc::runtime::embedded::root;
use rcc::runtime::embedded::watch::Watch;
use rcc::settings::ExtraMount;
use rcc::view::{self, Access, View, ViewError, ViewRequest, host::Host};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whom the sandbox belongs to.
#[derive(Clone, Copy, PartialEq)]
pub enum Who {
    /// Somebody without privilege; the caller, where that is not root.
    User,
    /// The host's uid 0, where tests run as root.
    Root,
}

pub struct World {
    dir: tempfile::TempDir,
    pub home: PathBuf,
    pub project: PathBuf,
    pub locks: PathBuf,
    pub uid: u32,
    pub exclude: Vec<String>,
    pub writable: Vec<String>,
    pub mounts: Vec<ExtraMount>,
}

/// How long a change of the mounts is waited for; seen are some microseconds.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Exit status where the file system could not be built.
pub const NOT_BUILT: i32 = 70;

/// Not in use on any machine: neither a login nor a container's.
const SOMEBODY: u32 = 54_321;

impl World {
    pub fn new(who: Who) -> Self {
        let dir = tempfile::Builder::new().prefix("rcc-files-").tempdir_in("/var/tmp").unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        let caller = rustix::process::geteuid().as_raw();
        let uid = if caller == 0 && who == Who::User { SOMEBODY } else { caller };
        let (home, locks) = (top.join("home"), top.join("locks"));
        let project = home.join("work/app");
        for path in [&project, &locks, &home.join(".ssh")] {
            fs::create_dir_all(path).unwrap();
        }
        fs::write(home.join(".ssh/id"), "secret-key").unwrap();
        let (exclude, writable, mounts) = (vec![".env".into()], Vec::new(), Vec::new());
        Self { dir, home, project, locks, uid, exclude, writable, mounts }
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A repository as `git init` leaves it.
    pub fn repository(&self, at: &str) {
        for directory in ["objects", "refs/heads", "hooks", "info"] {
            fs::create_dir_all(self.project.join(at).join(directory)).unwrap();
        }
        self.write(&format!("{at}/HEAD"), "ref: refs/heads/main\n");
        self.write(&format!("{at}/config"), "[core]\n\trepositoryformatversion = 0\n");
    }

    pub fn facts(&self) -> Facts {
        Facts {
            user: User { uid: self.uid, gid: self.uid, name: "alice".into(), home: self.home.clone() },
            cwd: self.project.clone(),
            environment: Default::default(),
            config_dir: self.home.join(".config/rcc"),
            data_dir: self.home.join(".local/share/rcc"),
        }
    }

    /// The protection of the project's paths alone.
    pub fn handover(&self) -> Result<Handover, HandoverError> {
        own(self.dir.path(), self.uid);
        let project = Project::find(&self.facts()).unwrap();
        let scan = scan::read(&project, &self.exclude).unwrap();
        handover::prepare(&project, &scan, &self.writable, &self.locks)
    }

    /// Everything before the namespaces, as `rcc run` does it.
    pub fn plan(&self) -> (View, Handover) {
        self.try_plan().unwrap()
    }

    pub fn try_plan(&self) -> Result<(View, Handover), ViewError> {
        let handover = self.handover().unwrap();
        let facts = self.facts();
        let project = Project::find(&facts).unwrap();
        let scan = scan::read(&project, &self.exclude).unwrap();
        let home = home::prepare(&home::path(&project, &facts.data_dir)).unwrap();
        own(self.dir.path(), self.uid);
        let request = ViewRequest {
            facts: &facts,
            host: &Host::read(),
            project: &project,
            guards: &handover.guards,
            access: Access::Writable,
            noexec: false,
            masks: &scan.masks,
            mounts: &self.mounts,
            programs: &[],
            home: &home,
            nameserver: None,
            own: &[],
            statement: "{}",
            hostname: "sandbox",
        };
        Ok((view::plan(request)?, handover))
    }

    /// Runs a shell script inside; its current directory is the project.
    pub fn run(&self, script: &str) -> Output {
        let (view, _handover) = self.plan();
        self.run_in(view, script)
    }

    pub fn run_in(&self, view: View, script: &str) -> Output {
        let (uid, cwd) = (self.uid, self.project.clone());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.home);
        // SAFETY: the closure makes system calls and allocates; glibc's fork leaves malloc usable
        // in the child, and no lock of this test's own is held across it.
        unsafe { command.pre_exec(move || namespaces(uid).and_then(|()| become_agent(&view, &cwd))) };
        command.output().unwrap()
    }

    /// Writes `ready` into the project, waits for the first mount to go away, and returns its place.
    pub fn first_loss(&self, view: View) -> String {
        let (uid, cwd) = (self.uid, self.project.clone());
        let mut command = Command::new("/bin/true");
        let watch = move || -> io::Result<()> {
            namespaces(uid)?;
            become_agent(&view, &cwd)?;
            let mut watch = Watch::start()?;
            fs::write("ready", "")?;
            let mut polled = [PollFd::new(&watch, PollFlags::PRI)];
            poll(&mut polled, Some(&PATIENCE))?;
            let lost = watch.lost()?;
            write!(io::stdout(), "{lost:?}")?;
            io::stdout().flush()
        };
        // SAFETY: as in `run_in`.
        unsafe { command.pre_exec(watch) };
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// Runs a script that must succeed, and returns what it wrote.
    pub fn output(&self, script: &str) -> String {
        let output = self.run(script);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}: {}\n{out}{err}", output.status);
        out.trim().to_owned()
    }

    /// Each line of the script must fail inside, alone.
    pub fn refuses(&self, lines: &[&str]) {
        let checks: Vec<_> = lines
            .iter()
            .map(|line| format!("if ( {line} ) 2>/dev/null; then echo '{}'; fi", line.replace('\'', "\"")))
            .collect();
        assert_eq!(self.output(&checks.join("\n")), "", "these succeeded");
    }
}

fn own(path: &Path, uid: u32) {
    lchown(path, Some(uid), Some(uid)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), uid);
        }
    }
}

fn check(status: i64) -> io::Result<()> {
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Becomes the first process of new namespaces, with a single uid; the old process waits for it.
fn namespaces(uid: u32) -> io::Result<()> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWNET;
    // SAFETY: plain system calls on integers; the child of fork is single-threaded.
    unsafe {
        if uid == SOMEBODY {
            check(i64::from(libc::setgroups(0, std::ptr::null())))?;
            check(i64::from(libc::setresgid(uid, uid, uid)))?;
            check(i64::from(libc::setresuid(uid, uid, uid)))?;
            check(i64::from(libc::prctl(libc::PR_SET_DUMPABLE, 1)))?;
        }
        check(i64::from(libc::unshare(flags)))?;
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{uid} {uid} 1"))?;
    // SAFETY: this process is single-threaded; the parent only waits and leaves.
    unsafe {
        let child = libc::fork();
        if child > 0 {
            // Or the test would wait for this process's copies of its pipes.
            for fd in 0..1024 {
                libc::close(fd);
            }
            let mut status = 0;
            libc::waitpid(child, &raw mut status, 0);
            libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 99 });
        }
        check(i64::from(child.min(0)))
    }
}

/// Builds and enters the file system, and gives up every capability as a run does.
fn become_agent(view: &View, cwd: &Path) -> io::Result<()> {
    let told = |error: root::RootError| -> io::Error {
        // Not eprintln!, which the test harness captures in this process's memory.
        let _ = writeln!(io::stderr(), "{error}");
        // SAFETY: ends this process, which has no state worth a destructor.
        unsafe { libc::_exit(NOT_BUILT) }
    };
    let start = std::time::Instant::now();
    root::enter(root::build(view).map_err(told)?).map_err(told)?;
    if std::env::var_os("RCC_TEST_TIMES").is_some() {
        writeln!(io::stderr(), "built in {:?}", start.elapsed())?;
    }
    std::env::set_current_dir(cwd)?;
    // SAFETY: plain system calls on integers.
    unsafe {
        // capabilities(7): uid 0 gains nothing by execve.
        let secure = 0b10_1111; // NOROOT, NO_SETUID_FIXUP and their locks, KEEP_CAPS locked off
        check(i64::from(libc::prctl(libc::PR_SET_SECUREBITS, secure)))?;
        check(i64::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
    }
}
