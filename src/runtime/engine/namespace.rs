//! The user namespace in which a rootless engine is root: its containers' are below.

use crate::network::identity::Mapped;
use crate::runtime::choice::EngineName;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, PidfdFlags, Uid, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `NS_GET_PARENT` and `NS_GET_OWNER_UID`, ioctl_ns(2).
const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;
/// The kernel nests user namespaces no deeper (user_namespaces(7)).
const DEPTH_MAX: usize = 32;

/// Why the engine's user namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// A step failed.
    #[error("cannot {what} of the container: {source}")]
    Step {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The container is not in a user namespace of the user's.
    #[error(
        "the container shares the users of this machine: only an engine without root, started by the same user, can be used"
    )]
    NotRootless,
    /// The identity is not in the map.
    #[error(
        "the engine does not know the network identity {identity}: it was started before `sudo rcc init`, and keeps what \
         /etc/subuid and /etc/subgid said then; {remedy}"
    )]
    NotMapped {
        /// The host's number.
        identity: u32,
        /// What to do.
        remedy: &'static str,
    },
}

/// What makes an engine know the identities.
pub fn renewal(engine: EngineName) -> &'static str {
    match engine {
        EngineName::Podman => {
            "`podman system migrate` ends it and all its containers, and it knows the identity when it starts again"
        }
        EngineName::Docker => {
            "`systemctl --user restart docker` ends it and all its containers, and it knows the identity then"
        }
    }
}

fn step(what: &'static str) -> impl Fn(Errno) -> NamespaceError {
    move |source| NamespaceError::Step { what, source }
}

/// The namespaces of a container's first process, which must be alive and under the caller's control.
#[derive(Debug)]
pub struct Container {
    /// Readable when the process has ended.
    pub process: OwnedFd,
    /// Its network.
    pub network: OwnedFd,
    /// Its mounts.
    pub mounts: OwnedFd,
    /// The engine's user namespace.
    engine: OwnedFd,
}

impl Container {
    /// Of this process.
    pub fn open(pid: Pid) -> Result<Self, NamespaceError> {
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(step("find the process"))?;
        let namespace = |name| {
            let path = format!("/proc/{}/ns/{name}", pid.as_raw_pid());
            open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(step("open the namespaces"))
        };
        let (network, mounts) = (namespace("net")?, namespace("mnt")?);
        Ok(Self { process, network, mounts, engine: engine(namespace("user")?)? })
    }

    /// Makes the calling process root of the engine's user namespace, without the user's other groups.
    pub fn enter_engine(&self) -> Result<(), NamespaceError> {
        move_into_link_name_space(self.engine.as_fd(), Some(LinkNameSpaceType::User))
            .map_err(step("enter the engine's user namespace"))?;
        let become_root = || {
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
            rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)
        };
        become_root().map_err(step("become root of the engine's user namespace"))
    }
}

/// The ancestor of a container's user namespace that is a child of the caller's.
fn engine(container: OwnedFd) -> Result<OwnedFd, NamespaceError> {
    let ours = open("/proc/self/ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let ours = identity(&ours.map_err(step("look at the user namespaces"))?)?;
    let mut namespace = container;
    if identity(&namespace)? == ours {
        return Err(NamespaceError::NotRootless);
    }
    for _ in 0..DEPTH_MAX {
        let above = parent(&namespace)?;
        if identity(&above)? == ours {
            let owner = owner(&namespace)?;
            return if owner == rustix::process::geteuid() { Ok(namespace) } else { Err(NamespaceError::NotRootless) };
        }
        namespace = above;
    }
    Err(NamespaceError::NotRootless)
}

fn identity(namespace: &OwnedFd) -> Result<(u64, u64), NamespaceError> {
    let status = fstat(namespace).map_err(step("look at the user namespaces"))?;
    Ok((status.st_dev, status.st_ino))
}

fn parent(namespace: &OwnedFd) -> Result<OwnedFd, NamespaceError> {
    // SAFETY: the request has no argument; the descriptor is open.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) };
    match fd {
        // Its parent is not ours to see.
        -1 if last_error() == Errno::PERM => Err(NamespaceError::NotRootless),
        -1 => Err(step("find the user namespaces above that")(last_error())),
        // SAFETY: a new descriptor that nobody else has; it is close-on-exec (fs/nsfs.c).
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

fn owner(namespace: &OwnedFd) -> Result<Uid, NamespaceError> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes one uid_t, which outlives the call.
    match unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) } {
        -1 => Err(step("find the owner of the user namespace")(last_error())),
        _ => Ok(Uid::from_raw(uid)),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// What the network identity is called in the user namespace of the calling process, which knows it by the maps;
/// `remedy` if it does not.
pub fn mapped(identity: u32, remedy: &'static str) -> Result<Mapped, NamespaceError> {
    let number = |path| {
        let map = std::fs::read_to_string(path).unwrap_or_default();
        inside(&map, identity).ok_or(NamespaceError::NotMapped { identity, remedy })
    };
    Ok(Mapped { uid: number("/proc/self/uid_map")?, gid: number("/proc/self/gid_map")? })
}

/// The inner number of an outer one, by the lines of user_namespaces(7): inner, outer, length.
fn inside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let fields: Vec<u32> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        let [inner, outer, length] = fields[..] else { return None };
        let offset = id.checked_sub(outer).filter(|offset| *offset < length)?;
        inner.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_the_number_of_its_place_in_the_map() {
        let map =
            "         0       4242          1\n         1     100000      65536\n     65537 1919090688       1024\n";
        assert_eq!(inside(map, 1_919_090_688), Some(65537));
        assert_eq!(inside(map, 1_919_090_700), Some(65549));
        assert_eq!(inside(map, 4242), Some(0));
        for unknown in [0, 4243, 1_919_090_688 + 1024] {
            assert_eq!(inside(map, unknown), None, "{unknown}");
        }
        assert_eq!(inside("x y z\n1 2\n", 2), None);
    }

    #[test]
    fn a_process_among_the_machines_own_users_is_no_container() {
        let own = open("/proc/self/ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert!(matches!(engine(own), Err(NamespaceError::NotRootless)));
    }
}
