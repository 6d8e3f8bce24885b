//! The second layer over the mounts: everything may be read and run, only named places written.
//!
//! The mounts alone should do. Landlock holds where they don't reach: a file descriptor that leads
//! out of the sandbox's file system (`/proc/self/fd/0` of an inherited, read-only stdin can
//! otherwise be reopened for writing), a mount flag that was forgotten, and `/proc/sys` when the
//! agent's kernel uid is 0. It is best effort; mounts, capabilities and seccomp never rely on it.

use super::elf;
use landlock::{
    ABI, Access, AccessFs, AddRuleError, AddRulesError, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What Landlock does for this sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LandlockStatus {
    /// In force.
    Enforced {
        /// The kernel's ABI version, 2 or more. From 3 it covers truncation, from 5 device ioctls,
        /// from 6 signals and abstract sockets.
        abi: i32,
    },
    /// Not in force.
    Missing {
        /// For the user, a clause.
        why: &'static str,
    },
}

/// Why a ruleset that the kernel should have taken could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LandlockError {
    /// A writable place or a program does not exist inside, or can't be reached.
    #[error("cannot open {path} to allow writing below it or executing it: {source}")]
    Open {
        /// The path inside.
        path: PathBuf,
        /// What open said.
        source: Errno,
    },
    /// It was to hold what may be executed.
    #[error("only some programs may be executed here, which needs Landlock (Linux 5.19 or newer): {why}")]
    Needed {
        /// A clause.
        why: &'static str,
    },
    /// The kernel refused a part of the ruleset.
    #[error("cannot set up Landlock: {0}")]
    Ruleset(#[from] RulesetError),
}

/// The newest ABI whose file rights and scopes were tried. Later ones add rights (ABI 9: connecting
/// to path sockets) that must not be denied untried.
const TRIED: ABI = ABI::V6;

/// ABI 1 (Linux 5.13 to 5.18) refuses every rename and link between directories, which cargo, npm
/// and git need.
const ABI_FLOOR: i32 = 2;

/// Restricts the calling thread and its future children: writing, creating, removing, renaming and
/// device ioctls only beneath `writable`, and to files that stdin, stdout and stderr are open on,
/// in the direction in which they are open. No device nodes may be made anywhere. Signals and
/// abstract sockets reach only processes that are restricted along with this one.
///
/// `writable` are directories or files inside the new root. `executes`, if given, are the only files
/// that can be executed, besides the loaders that they name. `no_new_privs` is set as well.
///
/// # Errors
/// A path that can't be opened, or a refusal of a kernel that has Landlock. A kernel without it is
/// no error but [`LandlockStatus::Missing`], unless it is to hold what may be executed: nothing else does.
pub fn restrict(writable: &[PathBuf], executes: Option<&[PathBuf]>) -> Result<LandlockStatus, LandlockError> {
    match (apply(writable, executes)?, executes) {
        (LandlockStatus::Missing { why }, Some(_)) => Err(LandlockError::Needed { why }),
        (status, _) => Ok(status),
    }
}

fn apply(writable: &[PathBuf], executes: Option<&[PathBuf]>) -> Result<LandlockStatus, LandlockError> {
    let abi = match kernel_abi() {
        Ok(abi) if abi >= ABI_FLOOR => abi,
        Ok(_) => {
            return Ok(LandlockStatus::Missing { why: "Linux before 5.19 can't restrict without breaking renames" });
        }
        Err(Errno::OPNOTSUPP) => {
            return Ok(LandlockStatus::Missing { why: "disabled at boot (see the lsm= parameter)" });
        }
        Err(_) => return Ok(LandlockStatus::Missing { why: "not in this kernel, or hidden by an outer sandbox" }),
    };
    let execute = if executes.is_some() { AccessFs::Execute.into() } else { BitFlags::EMPTY };
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(TRIED))?.scope(Scope::from_all(TRIED))?;
    let mut ruleset = ruleset.create()?;
    (&mut ruleset).add_rule(PathBeneath::new(open(Path::new("/"))?, AccessFs::from_read(TRIED) & !execute))?;
    for path in writable {
        let place = open(path)?;
        let rights = rights_below(&place).map_err(|source| LandlockError::Open { path: path.clone(), source })?;
        (&mut ruleset).add_rule(PathBeneath::new(place, rights & !execute))?;
    }
    for program in executes.into_iter().flatten() {
        let loader = elf::loader(program).map_err(|source| LandlockError::Open { path: program.clone(), source })?;
        for path in std::iter::once(program).chain(&loader) {
            (&mut ruleset).add_rule(PathBeneath::new(open(path)?, AccessFs::Execute))?;
        }
    }
    allow_stdio(&mut ruleset)?;
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Ok(LandlockStatus::Missing { why: "the kernel took no part of the ruleset" }),
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(LandlockStatus::Enforced { abi }),
    }
}

/// `landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)`.
fn kernel_abi() -> Result<i32, Errno> {
    const LANDLOCK_CREATE_RULESET_VERSION: u32 = 1; // include/uapi/linux/landlock.h
    let no_attributes = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the kernel reads no memory and makes no file descriptor.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, no_attributes, 0_usize, LANDLOCK_CREATE_RULESET_VERSION)
    };
    match i32::try_from(abi) {
        Ok(abi) if abi >= 0 => Ok(abi),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}

fn open(path: &Path) -> Result<OwnedFd, LandlockError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS);
    opened.map_err(|source| LandlockError::Open { path: path.to_owned(), source })
}

fn rights_below(place: impl AsFd) -> Result<BitFlags<AccessFs>, Errno> {
    let devices = make_bitflags!(AccessFs::{MakeChar | MakeBlock});
    let stat = rustix::fs::fstat(place)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AccessFs::from_all(TRIED) & !devices,
        _ => AccessFs::from_file(TRIED),
    })
}

/// Programs reopen `/dev/stdout` and `/dev/stdin`, which may be files and terminals of the host.
fn allow_stdio(ruleset: &mut RulesetCreated) -> Result<(), LandlockError> {
    let stdio = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for fd in stdio {
        // A closed one has nothing to allow; pipes and sockets have no path and are never restricted.
        let (Ok(stat), Ok(flags)) = (rustix::fs::fstat(fd), rustix::fs::fcntl_getfl(fd)) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::CharacterDevice) {
            continue;
        }
        match ruleset.add_rule(PathBeneath::new(fd, rights_as_open(kind, flags))) {
            Ok(_) => {}
            Err(error) if on_internal_mount(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn rights_as_open(kind: FileType, flags: OFlags) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile.into();
    let write = make_bitflags!(AccessFs::{WriteFile | Truncate});
    let rights = match flags & OFlags::ACCMODE {
        OFlags::RDWR => write | read,
        OFlags::WRONLY => write,
        _ => read,
    };
    if kind == FileType::CharacterDevice { rights | AccessFs::IoctlDev } else { rights }
}

/// memfd and the like: EBADFD, see landlock_add_rule(2).
fn on_internal_mount(error: &RulesetError) -> bool {
    let RulesetError::AddRules(AddRulesError::Fs(AddRuleError::AddRuleCall { source, .. })) = error else {
        return false;
    };
    source.raw_os_error() == Some(libc::EBADFD)
}
