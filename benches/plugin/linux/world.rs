//! A user with a project and two plugins, a broker, and a session at it. All of it is gone when this value is.

use rcc::plugin::client::Client;
use rcc::plugin::control::{Ask, Opened};
use rcc::plugin::place::Place;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A tool that looks at the project and says little.
pub const STATUS: &str = "look";
pub const STATUS_ARGUMENTS: [&str; 2] = ["status", "--porcelain"];
/// What it says at the end; before that, what stands in for what is not there while there is a sandbox.
pub const SAYS: &str = "?? new.txt\n";
/// One that writes as much as it is asked to.
pub const WRITER: &str = "writer";
/// The same with a credential.
pub const KEEPER: &str = "keeper";

const ADMIN: &str = "/etc/rcc/plugins";
const SECRET: &str = "canary-0123456789abcdefghijklmnopqrstuvwxyz";
/// Files of the project.
const FILES: usize = 20;

pub struct World {
    /// Where the broker's files are, on the disk.
    pub disk: TempDir,
    /// For paths of sockets, which may not be long.
    pub short: TempDir,
    pub project: PathBuf,
    /// Sockets and wrappers of the session.
    pub plugins: PathBuf,
    pub git: PathBuf,
    pub cat: PathBuf,
    broker: Child,
    _session: Client,
}

impl World {
    pub fn new() -> Self {
        let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on the disk");
        let short = tempfile::Builder::new().prefix("rcc").tempdir_in("/tmp").expect("a directory");
        let home = fs::canonicalize(disk.path()).expect("it is there");
        let (git, cat) = (program("git"), program("cat"));
        manifests(&home.join("config/rcc/plugins"), &git, &cat);
        let project = home.join("project");
        repository(&git, &project);
        let mut command = Command::new(rcc());
        command.args(["plugin", "start"]).env("HOME", &home).env("XDG_RUNTIME_DIR", short.path());
        command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_DATA_HOME", home.join("data"));
        command.current_dir(&home).stdin(Stdio::null()).stdout(Stdio::null());
        let mut broker = command.spawn().expect("rcc was built");
        let place = Place::new(&short.path().join("rcc"), &home.join("data/rcc"));
        let mut session = connect(&place, &mut broker);
        let ask = Ask::Open { session: "b".to_owned(), project: project.clone(), directory: None, tools: None };
        let Opened { directory, .. } = session.ask(&ask).expect("a session");
        Self { disk, short, project, plugins: directory, git, cat, broker, _session: session }
    }

    /// A tool, through its wrapper.
    pub fn wrapper(&self, tool: &str) -> Command {
        let mut command = Command::new(guest());
        command.arg0(tool).env("RCC_PLUGINS", &self.plugins).current_dir(&self.project).stdin(Stdio::null());
        command
    }

    /// A program itself.
    pub fn direct(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.project).stdin(Stdio::null());
        command
    }

    pub fn socket(&self, tool: &str) -> PathBuf {
        self.plugins.join(format!("{tool}.sock"))
    }

    pub fn broker(&self) -> u32 {
        self.broker.id()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It ends its sandboxes, which take back what they put into the project.
        let _ = kill_process(Pid::from_child(&self.broker), Signal::TERM);
        let _ = self.broker.wait();
    }
}

/// Whether there is a tool with a credential.
pub fn has_credentials() -> bool {
    geteuid().is_root()
}

/// What is measured: the programs that were built with this one, or others.
fn rcc() -> PathBuf {
    std::env::var_os("RCC").map_or_else(|| env!("CARGO_BIN_EXE_rcc").into(), PathBuf::from)
}

/// What is mounted into sandboxes: beside it.
fn guest() -> PathBuf {
    rcc().with_file_name("rcc-guest")
}

fn program(name: &str) -> PathBuf {
    let directories = std::env::var_os("PATH").expect("a PATH");
    let found = std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file());
    fs::canonicalize(found.unwrap_or_else(|| panic!("{name} is installed"))).expect("it is there")
}

fn connect(place: &Place, broker: &mut Child) -> Client {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match Client::connect(place) {
            Ok(client) => return client,
            Err(error) => {
                let ended = broker.try_wait().expect("a child");
                assert!(ended.is_none() && Instant::now() < deadline, "the broker does not listen: {error} {ended:?}");
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn repository(git: &Path, project: &Path) {
    for number in 0..FILES {
        let path = project.join(format!("src/{number}.txt"));
        fs::create_dir_all(path.parent().expect("it has one")).expect("the directory is ours");
        fs::write(path, format!("file {number}\n")).expect("it is ours");
    }
    let own = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"];
    let commit = [&own[..], &["commit", "-qm", "all"]].concat();
    for words in [&["init", "-q"][..], &["add", "."], &commit] {
        let status = Command::new(git).args(words).current_dir(project).status();
        assert!(status.expect("git is installed").success(), "git {words:?}");
    }
    // Git reads files again that changed in the second in which it looked.
    std::thread::sleep(Duration::from_millis(1100));
    let status = Command::new(git).args(["status", "--porcelain"]).current_dir(project).output();
    assert!(status.expect("git is installed").stdout.is_empty(), "everything was committed");
    fs::write(project.join("new.txt"), "new\n").expect("it is ours");
}

fn manifests(user: &Path, git: &Path, cat: &Path) {
    let common = "version = 1\nkind = \"exec\"\nprofile = \"offline\"\nconcurrency = 64\noutput_max = \"2 GiB\"\n";
    let status = "[commands]\nallowed = [\"status\"]\n[options]\nflags = [\"--porcelain\"]\n";
    write(user, STATUS, &format!("{common}program = \"{}\"\n{status}", git.display()));
    write(user, WRITER, &format!("{common}program = \"{}\"\n", cat.display()));
    if has_credentials() {
        let admin = Path::new(ADMIN);
        own_etc();
        let secret = admin.with_file_name("bench-credential");
        fs::create_dir_all(admin).expect("it is ours");
        fs::write(&secret, SECRET).expect("it is ours");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("it is ours");
        let credential = format!("[credentials.token]\nfile = \"{}\"\nvariable = \"TOKEN\"\n", secret.display());
        write(admin, KEEPER, &format!("{common}program = \"{}\"\n{credential}", cat.display()));
    }
}

fn write(directory: &Path, tool: &str, text: &str) {
    fs::create_dir_all(directory).expect("it is ours");
    fs::write(directory.join(format!("{tool}.toml")), text).expect("it is ours");
}

/// From now on what this process and its children write below `/etc` goes to memory, and nobody else sees it.
fn own_etc() {
    let upper = Path::new("/mnt");
    // SAFETY: this process has one thread, and shares its descriptors and its memory with nobody.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root may");
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE).expect("a namespace of our own");
    mount("bench", upper, "tmpfs", MountFlags::empty(), None).expect("root may");
    for directory in ["etc", "work"] {
        fs::create_dir(upper.join(directory)).expect("it is empty");
    }
    let options = CString::new("lowerdir=/etc,upperdir=/mnt/etc,workdir=/mnt/work").expect("no NUL");
    mount("bench", "/etc", "overlay", MountFlags::empty(), Some(&*options)).expect("overlayfs");
}
