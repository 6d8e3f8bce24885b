//! A machine with one user, rcc set up, and policies to load. It is gone when this process ends.

use super::client;
use rcc::enforcement;
use rcc::policy::ProfileName;
use rcc::resolver::Config;
use std::fmt::Write;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const RCC: &str = "/usr/local/bin/rcc";
const ADMIN_FILE: &str = "/etc/rcc/config.toml";
const USER: (&str, u32) = ("dev", 4242);
/// This program, where sandboxes see it.
const CLIENT: &str = "/home/dev/project/client";
/// How many exceptions and names the bars are about.
const EXCEPTIONS: usize = 10_000;
const NAMES: usize = 1_000;

pub struct Machine {
    _far: Far,
}

/// What is loaded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// No exception, and one name for everything: what is measured must be allowed.
    None,
    /// 10,000 exceptions in `public` and 1,000 names in `allowlist`.
    Many,
}

impl Machine {
    /// `program` is this one, however it can be opened.
    pub fn prepare(mut program: File) -> Self {
        for directory in ["/home/dev/project/.git", "/home/dev/project/src"] {
            fs::create_dir_all(directory).expect("the world's files can be written");
        }
        fs::write("/home/dev/project/.git/HEAD", "ref: refs/heads/main\n").expect("the same");
        let mut copy = File::create(CLIENT).expect("the same");
        io::copy(&mut program, &mut copy).expect("the same");
        copy.set_permissions(Permissions::from_mode(0o755)).expect("the same");
        drop(copy);
        run("chown", &["-R", "dev:", "/home/dev"]);
        fs::write("/etc/resolv.conf", format!("nameserver {}\n", client::UPSTREAM.ip())).expect("the same");
        client::upstream();
        // The first run puts the program in its place, the second sets up with it.
        for _ in 0..2 {
            let (name, uid) = (USER.0, USER.1.to_string());
            let init = Command::new(RCC)
                .arg("init")
                .envs([("SUDO_USER", name), ("SUDO_UID", &uid), ("SUDO_GID", &uid)])
                .output();
            succeeded("rcc init", init.expect("it is installed"));
        }
        let machine = Self { _far: Far::start() };
        machine.write(Load::None);
        machine.apply();
        machine
    }

    /// Writes root's configuration, without loading it.
    pub fn write(&self, load: Load) {
        fs::write(ADMIN_FILE, config(load)).expect("the directory is there");
    }

    /// `rcc firewall apply`, and how long it takes.
    pub fn apply(&self) -> Duration {
        run(RCC, &["firewall", "apply"])
    }

    /// Writes it and has the service load it; how long that takes.
    pub fn reload(&self, load: Load) -> Duration {
        self.write(load);
        run(RCC, &["firewall", "reload"])
    }

    /// The first identities of this profile.
    pub fn identity(&self, profile: &str, slot: u32) -> u32 {
        let policy = enforcement::current().expect("rcc is set up");
        let profile = ProfileName::new(profile).expect("a name");
        enforcement::identities(&policy, &profile, USER.1).expect("it has some").start + slot
    }

    /// What a command in a sandbox of this profile writes.
    pub fn sandboxed(&self, profile: &str, command: &[&str]) -> String {
        let output = Command::new("/run/checks/lib/as-user")
            .args([USER.0, RCC, "run", "--profile", profile, "--"])
            .args(command)
            .stdin(Stdio::null())
            .output();
        succeeded("rcc run", output.expect("the world has it"))
    }

    /// The same of this program.
    pub fn client<T: serde::de::DeserializeOwned>(&self, profile: &str, words: &[&str]) -> T {
        let command: Vec<&str> = ["./client"].iter().chain(words).copied().collect();
        let text = self.sandboxed(profile, &command);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no numbers from the sandbox ({error}): {text}"))
    }
}

/// The far side: every address outside accepts connections.
struct Far(Child);

impl Far {
    fn start() -> Self {
        let child =
            Command::new("ip").args(["netns", "exec", "outside", CLIENT, "--far"]).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("iproute2 is installed");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe");
        assert_eq!(line, "ready\n", "the far side started");
        Self(child)
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// `rcc firewall apply --watch`, running.
pub struct Service(Child);

impl Service {
    /// Returns when it answers names.
    pub fn start(machine: &Machine) -> Self {
        let log = File::create("/run/service.log").expect("the world's files can be written");
        let child = Command::new(RCC).args(["firewall", "apply", "--watch"]).stdout(Stdio::null()).stderr(log).spawn();
        let service = Self(child.expect("it is installed"));
        let (identity, start) = (machine.identity("public", 0), Instant::now());
        while client::under(identity, || TcpStream::connect(Config::ADDRESS).is_err()) {
            let log = || fs::read_to_string("/run/service.log").unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(10), "the service does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Ends a process of ours; it may have ended by itself.
pub fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn config(load: Load) -> String {
    let mut text = String::new();
    let domain = client::DOMAIN;
    if load == Load::None {
        return format!("[profiles.allowlist]\nnames = [\"*.{domain}\"]\n");
    }
    text.push_str("[profiles.public]\nallow = [\n");
    for number in 0..EXCEPTIONS {
        let (high, low) = (1 + number / 250, number % 250);
        let _ = writeln!(text, "  {{ address = \"10.{high}.{low}.7\", ports = [{}] }},", 1 + number % 60_000);
    }
    text.push_str("]\n[profiles.allowlist]\nnames = [\n");
    for number in 0..NAMES {
        let _ = writeln!(text, "  {{ name = \"{}\", ports = [443, {}] }},", client::name(number), 1000 + number);
    }
    text.push_str("]\n");
    text
}

/// Runs a command to its end; how long that took.
fn run(program: &str, arguments: &[&str]) -> Duration {
    let start = Instant::now();
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let elapsed = start.elapsed();
    succeeded(program, output.expect("it is installed"));
    elapsed
}

fn succeeded(what: &str, output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} failed: {error}{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A field of a file of proc(5), in KiB.
pub fn kib(process: u32, file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(Path::new("/proc").join(process.to_string()).join(file)).expect("it runs");
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).expect("proc(5)")
}

/// Processor time, user and system, of all commands that have ended: what a busy machine does not
/// lengthen by much.
pub fn commands_time() -> Duration {
    // SAFETY: all zeroes is a valid `rusage`, and the kernel fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
