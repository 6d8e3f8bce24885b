//! Users' running sandboxes, as root finds them. The records are the users' own files, in directories
//! of theirs: no link in them is followed, no mount entered, nothing waited for, and only plain names
//! are believed.

use rustix::fs::{CWD, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, flock, fstat, openat2};
use rustix::io::Errno;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Entries of a directory that are looked at: [`crate::policy::identity::RANGE_LENGTH`] sandboxes
/// could run at once, and nobody runs as many.
const ENTRIES_MAX: usize = 512;
/// Bytes of a record that are read. The command line is in it, of which Linux takes 2 MiB by default
/// (execve(2)); JSON escapes some of it.
const RECORD_MAX: u64 = 4 << 20;
/// Bytes of a sandbox's name.
const NAME_MAX: usize = 64;

/// What a record says. Whether the identity is that user's is for the caller to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The sandbox's name.
    pub id: String,
    /// Its network identity.
    pub identity: u32,
}

/// What is read of a [`super::Record`].
#[derive(Deserialize)]
struct Claim {
    id: String,
    identity: Option<u32>,
}

const SAFE: ResolveFlags = ResolveFlags::NO_SYMLINKS
    .union(ResolveFlags::BENEATH)
    .union(ResolveFlags::NO_XDEV)
    .union(ResolveFlags::NO_MAGICLINKS);

/// The user's running sandboxes that have a network. `run` holds the users' directories. A directory
/// that can't be listed has none that anybody could name.
pub fn running(run: &Path, uid: u32) -> Vec<Running> {
    list(run, uid).unwrap_or_default()
}

fn list(run: &Path, uid: u32) -> Result<Vec<Running>, Errno> {
    let run = rustix::fs::openat(CWD, run, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat2(&run, format!("{uid}/sessions"), flags, Mode::empty(), SAFE)?;
    let mut running = Vec::new();
    for entry in Dir::read_from(&directory)?.take(ENTRIES_MAX) {
        let entry = entry?;
        // What begins with a dot is not complete yet.
        let id = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(".json")).filter(|id| is_name(id));
        running.extend(id.and_then(|id| read(directory.as_fd(), id)));
    }
    Ok(running)
}

/// A record of that name whose sandbox runs: then it is locked.
fn read(directory: impl AsFd, id: &str) -> Option<Running> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: OwnedFd = openat2(directory, format!("{id}.json"), flags, Mode::empty(), SAFE).ok()?;
    let regular = FileType::from_raw_mode(fstat(&file).ok()?.st_mode) == FileType::RegularFile;
    let held = || flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    if !regular || !held() {
        return None;
    }
    let mut text = Vec::new();
    File::from(file).take(RECORD_MAX).read_to_end(&mut text).ok()?;
    let claim: Claim = serde_json::from_slice(&text).ok()?;
    (claim.id == id).then_some(Running { id: claim.id, identity: claim.identity? })
}

/// As [`super::new_id`] makes them.
fn is_name(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_MAX).contains(&id.len()) && id.bytes().all(plain)
}
