//! pasta(1): carries the sandbox's packets to sockets of the host that belong to a network identity.

use super::identity::Mapped;
use crate::policy::ruleset::RESOLVER;
use rustix::fs::{Mode, OFlags, fchmod, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
use rustix::process::{Gid, Signal, Uid, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};
use std::ffi::CString;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Where the sandbox sends its DNS queries; pasta forwards them to [`RESOLVER`]. A link-local address,
/// so that it is nobody's.
pub const DNS: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// pasta could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} for pasta: {source}")]
pub struct PastaError {
    step: &'static str,
    source: Errno,
}

/// What pasta finds in `/etc/resolv.conf`, resolv.conf(5).
fn resolv_conf() -> String {
    format!("nameserver {RESOLVER}\n")
}

/// Gives this process a mount namespace whose `/etc` holds nothing but a resolv.conf that names
/// [`RESOLVER`]. pasta forwards queries to the first name server of that file: every version does, while
/// older ones have no option for it. A file mounted on the host's own would
/// land wherever a link leads, and be gone when the link is replaced.
fn hide_etc() -> Result<(), Errno> {
    // SAFETY: this child has a single thread, and nothing in it holds an fs_struct of others.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("rcc", "/etc", "tmpfs", flags, Some(c"mode=0755,size=64k,nr_inodes=8"))?;
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open("/etc/resolv.conf", create, Mode::from_raw_mode(0o644))?;
    fchmod(&file, Mode::from_raw_mode(0o644))?;
    std::fs::File::from(file).write_all(resolv_conf().as_bytes()).map_err(|error| errno(&error))?;
    mount_remount("/etc", flags | MountFlags::RDONLY, c"")
}

/// The command line. Every forwarding from and to the sandbox is off, and so is the mapping of
/// the gateway to the host's loopback. The network namespace is standard input: with a path
/// below /proc/PID, pasta would want to join the user namespace too, where it has no business. The
/// pid file is standard output, which it writes nothing else to: passt 2024_08 and newer close
/// every descriptor above standard error first.
fn command_line(program: &Path) -> Vec<CString> {
    let dns = DNS.to_string();
    let words = [
        "--config-net",
        "--quiet",
        "--no-map-gw",
        "--tcp-ports",
        "none",
        "--udp-ports",
        "none",
        "--tcp-ns",
        "none",
        "--udp-ns",
        "none",
        "--no-netns-quit",
        "--dns-forward",
        &dns,
        "--pid",
        "/proc/self/fd/1",
        "--netns",
        "/proc/self/fd/0",
    ];
    let program = program.as_os_str().as_encoded_bytes();
    let bytes = std::iter::once(program).chain(words.iter().map(|word| word.as_bytes()));
    // A path found by `facts::program` and the words above hold no NUL.
    bytes.filter_map(|word| CString::new(word).ok()).collect()
}

/// Becomes pasta. To be called in a child of the supervisor, which is root of its user
/// namespace. pasta goes to the background when
/// the network is up, so this child ends with 0 then; its pid is written to `pid` and its
/// complaints to `stderr`.
///
/// pasta keeps two capabilities, by the ambient set: to join the sandbox's network namespace
/// and to set up the interface there. Its sockets belong to the identity from the first one on:
/// started as the user and told to change (`--runas`), it would open its first ones as the user.
pub fn become_pasta(
    program: &Path,
    identity: Mapped,
    netns: BorrowedFd<'_>,
    pid: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) -> PastaError {
    let step = |step| move |source| PastaError { step, source };
    let result = (|| {
        // The three may not be among 0 to 2 themselves, or one dup2 would close the other.
        let copies = [netns, pid, stderr].map(|fd| fcntl_dupfd_cloexec(fd, 10));
        let [netns, pid, stderr] = copies;
        let (netns, pid, stderr) = (
            netns.map_err(step("copy the netns"))?,
            pid.map_err(step("copy the pid file"))?,
            stderr.map_err(step("copy stderr"))?,
        );
        place(&netns, 0).and(place(&pid, 1)).and(place(&stderr, 2)).map_err(step("arrange the file descriptors"))?;
        hide_etc().map_err(step("give a resolv.conf"))?;
        let caps = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
        set_keep_capabilities(true).map_err(step("keep capabilities"))?;
        let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
        set_thread_res_gid(gid, gid, gid).map_err(step("take the identity's gid"))?;
        set_thread_res_uid(uid, uid, uid).map_err(step("take the identity's uid"))?;
        set_capabilities(None, CapabilitySets { effective: caps, permitted: caps, inheritable: caps })
            .map_err(step("reduce capabilities"))?;
        for capability in caps.iter() {
            configure_capability_in_ambient_set(capability, true).map_err(step("pass capabilities on"))?;
        }
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(step("tie the life"))?;
        Ok(())
    })();
    match result {
        Ok(()) => exec(program),
        Err(error) => error,
    }
}

fn place(from: &OwnedFd, number: i32) -> Result<(), Errno> {
    // SAFETY: dup2 has no memory preconditions; this child owns its descriptor table, and no
    // owner of the replaced number is used after this. The copy is inheritable.
    match unsafe { libc::dup2(from.as_raw_fd(), number) } {
        -1 => Err(last_error()),
        _ => Ok(()),
    }
}

fn last_error() -> Errno {
    errno(&std::io::Error::last_os_error())
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

fn exec(program: &Path) -> PastaError {
    let words = command_line(program);
    // Rust ignores SIGPIPE, and passt 2023 takes an ignored SIGPIPE for a failure.
    // SAFETY: resetting a disposition to its default has no preconditions.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let mut pointers: Vec<*const libc::c_char> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let environment = [c"PATH=/usr/bin:/bin:/usr/sbin:/sbin".as_ptr(), std::ptr::null()];
    // SAFETY: both arrays end with NULL and point to strings that outlive the call.
    unsafe { libc::execve(pointers[0], pointers.as_ptr(), environment.as_ptr()) };
    PastaError { step: "execute the program", source: last_error() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forwarded_in_either_direction() {
        let line = command_line(Path::new("/usr/bin/pasta"));
        let line: Vec<&str> = line.iter().map(|word| word.to_str().unwrap()).collect();
        for option in ["--tcp-ports", "--udp-ports", "--tcp-ns", "--udp-ns"] {
            let position = line.iter().position(|word| *word == option).unwrap();
            assert_eq!(line[position + 1], "none", "{option}");
        }
        assert!(line.contains(&"--no-map-gw") && line.contains(&"--no-netns-quit"));
    }

    #[test]
    fn queries_go_to_the_resolver_and_to_nobody_else() {
        assert_eq!(resolv_conf(), "nameserver 127.82.67.53\n");
    }

    #[test]
    fn no_descriptor_is_named_that_pasta_closes_at_its_start() {
        let line = command_line(Path::new("/usr/bin/pasta"));
        let named: Vec<&str> =
            line.iter().filter_map(|word| word.to_str().ok()?.strip_prefix("/proc/self/fd/")).collect();
        assert_eq!(named, ["1", "0"]);
    }
}
