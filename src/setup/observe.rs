//! Reads what the requirements are judged by. Effects: short-lived children, nothing else.

use super::cgroup::{self, Delegation};
use super::identities;
use super::kernel;
use super::layout::Layout;
use super::packages::Family;
use super::userns::{self, Refusal};
use crate::facts::{self, User};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Options of pasta that rcc uses and that the oldest known working release has.
const PASTA_OPTIONS: [&str; 5] = ["--config-net", "--no-map-gw", "--no-netns-quit", "--dns-forward", "--netns"];

/// The most that is read of what pasta prints, in bytes; its help has some ten thousand.
const MOST_PRINTED: u64 = 1 << 20;

/// Every feature of nftables that the rules use.
const NFT_PROBE: &str = include_str!("probe.nft");

/// What was found on the host, for one user.
#[derive(Clone, Debug)]
pub struct Observations {
    /// Who would run sandboxes.
    pub user: User,
    /// Whether rcc runs as root now.
    pub privileged: bool,
    /// How this rcc is called in remedies.
    pub rcc: String,
    /// Whether the machine's files are declared (NixOS), so that `init` must not edit them.
    pub declared: bool,
    /// Whether systemd runs services.
    pub systemd: bool,
    /// The distribution's family.
    pub family: Option<Family>,
    /// `uname -r`
    pub kernel: String,
    /// System calls that are missing.
    pub missing_calls: Vec<&'static str>,
    /// Whether a sandbox's namespaces can be had.
    pub namespaces: Result<(), Refusal>,
    /// Switches that refuse user namespaces.
    pub switches: Switches,
    /// The AppArmor profile that confines rcc, if one does.
    pub confined_by: Option<String>,
    /// seccomp filters
    pub seccomp: bool,
    /// Landlock's interface version.
    pub landlock: Option<u32>,
    /// `newuidmap` and `newgidmap`
    pub mappers: [(&'static str, Mapper); 2],
    /// Whether the user has a valid range of identities.
    pub identities: Result<bool, String>,
    /// The source that `nsswitch.conf` names for subordinate ids, where it is not the files.
    pub foreign_subid: Option<String>,
    /// `pasta --version` and options that it lacks.
    pub pasta: Option<Pasta>,
    /// `/dev/net/tun`
    pub tun: Tun,
    /// `nft --version`
    pub nft: Option<String>,
    /// Whether the kernel takes every kind of rule; `None` if that can't be tried.
    pub nft_kernel: Option<Result<(), String>>,
    /// cgroup v2
    pub cgroup: Delegation,
    /// Whether there is something to download and unpack the agent with.
    pub can_download: bool,
}

/// Switches that refuse user namespaces; `None` where the kernel has no such switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `kernel.unprivileged_userns_clone` (Debian, Arch)
    pub clone: Option<u64>,
    /// `user.max_user_namespaces`
    pub maximum: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu)
    pub apparmor: Option<u64>,
}

/// A program that maps ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapper {
    /// Not installed.
    Absent,
    /// Installed, but neither set-user-ID root nor with file capabilities.
    Powerless,
    /// Fine.
    Ready,
}

/// What pasta says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pasta {
    /// Output of `--version`.
    pub version: String,
    /// Needed options that `--help` does not list.
    pub lacking: Vec<&'static str>,
}

/// The device that pasta needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tun {
    /// No such device node.
    Absent,
    /// There, but without a driver.
    Dead,
    /// There, but only for some: permission bits.
    Closed(u32),
    /// Open to everybody, as udev makes it.
    Open,
}

impl Observations {
    /// Looks at everything.
    pub fn gather(layout: &Layout, user: User, rcc: String) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let switch = |path: &str| read(path).trim().parse().ok();
        let ranges = identities::read(layout).map(|tables| tables.ranges()).map_err(|error| error.to_string());
        let uid = user.uid;
        Self {
            privileged: rustix::process::geteuid().is_root(),
            rcc,
            declared: identities::check_editable(layout).is_err(),
            systemd: layout.has_systemd(),
            family: Family::of(&read("/etc/os-release")),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            missing_calls: kernel::missing_calls(),
            namespaces: userns::attempt(&user),
            switches: Switches {
                clone: switch("/proc/sys/kernel/unprivileged_userns_clone"),
                maximum: switch("/proc/sys/user/max_user_namespaces"),
                apparmor: switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            },
            confined_by: confined_by(&std::fs::read("/proc/self/attr/apparmor/current").unwrap_or_default()),
            seccomp: kernel::has_seccomp(),
            landlock: kernel::landlock_abi(),
            mappers: ["newuidmap", "newgidmap"].map(|name| (name, mapper(name))),
            identities: ranges.map(|ranges| ranges.iter().any(|range| range.uid == uid)),
            foreign_subid: foreign_subid(&read("/etc/nsswitch.conf")),
            pasta: pasta(),
            tun: tun(Path::new("/dev/net/tun")),
            nft: facts::program("nft").and_then(|nft| output(&nft, &["--version"])),
            nft_kernel: nft_kernel(),
            can_download: can_download(),
            cgroup: cgroup::delegation(Path::new("/"), &read("/proc/self/cgroup"), uid),
            user,
        }
    }
}

/// The kernel tells `NAME (MODE)` of a process, and of the modes only this one refuses anything (apparmor(7)).
fn confined_by(attribute: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(attribute);
    let name = text.trim_end().strip_suffix(" (enforce)")?;
    Some(crate::shown::text(name).to_string())
}

/// nsswitch.conf(5): shadow-utils ask the first source of `subid:` and no other.
fn foreign_subid(nsswitch: &str) -> Option<String> {
    let sources = nsswitch.lines().find_map(|line| line.trim().strip_prefix("subid:"))?;
    sources.split_whitespace().next().filter(|&first| first != "files").map(str::to_owned)
}

fn can_download() -> bool {
    let any = |names: &[&str]| names.iter().any(|name| facts::program(name).is_some());
    any(&["npm", "curl", "wget"]) && any(&["tar"]) && any(&["gzip"])
}

fn mapper(name: &str) -> Mapper {
    let Some(path) = facts::program(name) else { return Mapper::Absent };
    let setuid = std::fs::metadata(&path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o4000 != 0);
    let capable = rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_ok();
    if setuid || capable { Mapper::Ready } else { Mapper::Powerless }
}

fn tun(path: &Path) -> Tun {
    let Ok(found) = std::fs::metadata(path) else { return Tun::Absent };
    if !found.file_type().is_char_device() {
        return Tun::Absent;
    }
    let opened = std::fs::File::options().read(true).write(true).open(path);
    match opened.map_err(|error| error.raw_os_error()) {
        Err(Some(libc::ENODEV | libc::ENXIO)) => Tun::Dead,
        // A network identity belongs to no group: only the bits for others count.
        _ if found.mode() & 0o006 != 0o006 => Tun::Closed(found.mode() & 0o777),
        _ => Tun::Open,
    }
}

fn pasta() -> Option<Pasta> {
    let program = facts::program("pasta")?;
    let version = on_terminal(&program, "--version")?;
    let help = on_terminal(&program, "--help").unwrap_or_default();
    let lists = |option: &&str| help.split_whitespace().any(|word| word.trim_end_matches(',') == *option);
    Some(Pasta { version, lacking: PASTA_OPTIONS.into_iter().filter(|option| !lists(option)).collect() })
}

/// What a program prints on both streams, whatever its status; `None` if it does not start.
fn output(program: &PathBuf, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some(text.trim().to_owned())
}

/// As [`output`], on a terminal: some releases of pasta (2025-05-03, as in Debian 13) end without writing what they still
/// hold for a pipe, and only to a terminal they write line by line.
fn on_terminal(program: &Path, argument: &str) -> Option<String> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).ok()?;
    grantpt(&master).and_then(|()| unlockpt(&master)).ok()?;
    let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).ok()?;
    let mut command = Command::new(program);
    command.arg(argument).env_clear().current_dir("/").stdin(Stdio::null());
    let mut child = command.stdout(slave.try_clone().ok()?).stderr(slave).spawn().ok()?;
    // Its copies of the terminal: with them open, the end of what the program prints would never come.
    drop(command);
    let mut text = Vec::new();
    // Where the last program has closed the terminal, reading fails (EIO, pty(7)); what came before counts.
    let _ = std::fs::File::from(master).take(MOST_PRINTED).read_to_end(&mut text);
    let _ = child.wait();
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Loads the trial rules in a network namespace that ends with the program.
fn nft_kernel() -> Option<Result<(), String>> {
    let program = facts::program("nft")?;
    let mut command = Command::new(program);
    command.args(["-f", "-"]).env_clear().current_dir("/").stdin(Stdio::piped()).stderr(Stdio::piped());
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let maps = [format!("0 {uid} 1"), format!("0 {gid} 1")];
    // SAFETY: only system calls between fork and exec. If the namespace is refused nothing runs,
    // so that the rules can't reach the host's own.
    unsafe { command.pre_exec(move || enter_empty_network(uid == 0, &maps)) };
    let mut child = command.stdout(Stdio::null()).spawn().ok()?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(NFT_PROBE.as_bytes()));
    let output = child.wait_with_output().ok()?;
    if output.status.success() && matches!(written, Some(Ok(()))) {
        return Some(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Some(Err(said.lines().next().unwrap_or("nft refused the trial rules").trim().to_owned()))
}

/// Moves this process into a network namespace of its own, as root of it. `maps` are the lines of
/// `uid_map` and `gid_map`, user_namespaces(7).
fn enter_empty_network(root: bool, maps: &[String; 2]) -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = if root { libc::CLONE_NEWNET } else { libc::CLONE_NEWUSER | libc::CLONE_NEWNET };
    // SAFETY: affects this process alone, which is about to exec.
    if unsafe { libc::unshare(flags) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    if root {
        return Ok(());
    }
    let write = |path: &str, content: &str| -> std::io::Result<()> {
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, content.as_bytes())?;
        Ok(())
    };
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &maps[0])?;
    write("/proc/self/gid_map", &maps[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_foreign_first_source_of_subordinate_ids_counts() {
        assert_eq!(foreign_subid("passwd: files\nsubid: sss files\n").as_deref(), Some("sss"));
        for text in ["", "passwd: files", "subid: files sss", "# subid: sss"] {
            assert_eq!(foreign_subid(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_profile_that_is_enforced_confines() {
        assert_eq!(confined_by(b"/usr/bin/a b//c (enforce)\n").as_deref(), Some("/usr/bin/a b//c"));
        for attribute in ["", "unconfined\n", "rcc (unconfined)\n", "work (complain)\n"] {
            assert_eq!(confined_by(attribute.as_bytes()), None, "{attribute}");
        }
    }

    #[test]
    fn what_a_program_prints_on_a_terminal_is_read_to_its_end() {
        let script = tempfile::NamedTempFile::new().unwrap();
        let text = "#!/bin/sh\ntest -t 1 && test -t 2 && seq 20000 && echo end of $1 >&2\n";
        std::fs::write(script.path(), text).unwrap();
        std::fs::set_permissions(script.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let script = script.into_temp_path();
        let told = on_terminal(&script, "--help").unwrap();
        assert!(told.starts_with("1\r\n2\r\n") && told.ends_with("20000\r\nend of --help"), "{}", told.len());
    }

    #[test]
    fn a_tun_that_is_no_device_counts_as_absent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(tun(file.path()), Tun::Absent);
        assert_eq!(tun(Path::new("/nonexistent")), Tun::Absent);
    }
}
