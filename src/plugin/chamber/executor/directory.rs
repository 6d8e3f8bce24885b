//! A call's working directory.

use super::Place;
use super::child::Refusal;
use super::refusal;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Makes the directory the calling process's own: the home, or one in the project, whatever links lead to it. It is
/// looked at after it was opened, so that nobody can exchange it for another in between. (openat2(2) could do this
/// at once; no sandbox has it, since its arguments lie where no filter of system calls sees them.)
pub(super) fn enter(directory: Option<&Path>, place: &Place) -> Result<(), Refusal> {
    let Some(directory) = directory else { return change(&place.home) };
    let outside =
        || refusal(format!("cannot start in {}: it is not in the project", crate::shown::terminal(directory)));
    let project = place.project.as_deref().ok_or_else(outside)?;
    let named = directory.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !named || !directory.starts_with(project) {
        return Err(outside());
    }
    let fail = |error: Errno| refusal(format!("cannot start in {}: {error}", crate::shown::terminal(directory)));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(fail)?;
    rustix::process::fchdir(&opened).map_err(fail)?;
    let real = rustix::process::getcwd(Vec::new()).map_err(fail)?;
    let real = Path::new(OsStr::from_bytes(real.as_bytes()));
    if real.starts_with(project) { Ok(()) } else { Err(outside()) }
}

fn change(home: &Path) -> Result<(), Refusal> {
    rustix::process::chdir(home)
        .map_err(|error| refusal(format!("cannot start in {}: {error}", crate::shown::terminal(home))))
}
