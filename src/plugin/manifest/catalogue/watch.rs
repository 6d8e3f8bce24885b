//! Notices that manifests change, and waits until a change is whole.

use super::super::places::is_manifest;
use rustix::event::epoll;
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// How long after the first change of a burst it is looked at: an editor that moves a file away and writes another
/// does so within a millisecond.
const BURST: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Events of one burst that are read.
const EVENTS_MAX: usize = 10_000;

/// What a watch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// The directory of manifests of this number.
    Manifests(usize),
    /// A directory above one.
    Above,
    /// A directory with a symlink that leads to a manifest.
    Links,
}

/// What may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// Files by the number of their directory and their name.
    pub files: BTreeSet<(usize, String)>,
    /// Files that were made, or of which the mode or the owner changed: their text may come yet.
    pub hints: BTreeSet<(usize, String)>,
    /// Whether symlinks lead elsewhere.
    pub links: bool,
    /// Whether directories came or went, or nobody knows what did.
    pub everything: bool,
}

/// The kernel's word on changes.
#[derive(Debug)]
pub(super) struct Watch {
    /// Readable when one of the others is.
    epoll: OwnedFd,
    inotify: OwnedFd,
    timer: OwnedFd,
    roles: BTreeMap<i32, BTreeSet<Role>>,
    /// Names of the symlinks that lead to manifests.
    links: BTreeSet<String>,
    pending: Pending,
    armed: bool,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (at, fd) in [&inotify, &timer].into_iter().enumerate() {
            epoll::add(&epoll, fd, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            inotify,
            timer,
            roles: BTreeMap::new(),
            links: BTreeSet::new(),
            pending: Pending::default(),
            armed: false,
        })
    }

    /// Watches a directory of manifests and what is above it. One that is not there is waited for.
    pub(super) fn directory(&mut self, number: usize, path: &Path) -> io::Result<()> {
        let myself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        let entries = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::CREATE | WatchFlags::DELETE;
        let files = entries | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
        let mut missing = !self.add(path, files | myself, Role::Manifests(number))?;
        for above in path.ancestors().skip(1) {
            let flags = if missing { myself | WatchFlags::MOVED_TO | WatchFlags::CREATE } else { myself };
            missing &= !self.add(above, flags, Role::Above)?;
        }
        Ok(())
    }

    /// Watches where these symlinks are.
    pub(super) fn links(&mut self, links: &[PathBuf]) -> io::Result<()> {
        self.links.extend(links.iter().filter_map(|link| Some(link.file_name()?.to_str()?.to_owned())));
        for directory in links.iter().filter_map(|link| link.parent()).collect::<BTreeSet<_>>() {
            self.add(directory, WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE, Role::Links)?;
        }
        Ok(())
    }

    /// Whether there is such a directory.
    fn add(&mut self, path: &Path, flags: WatchFlags, role: Role) -> io::Result<bool> {
        match inotify::add_watch(&self.inotify, path, flags | WatchFlags::ONLYDIR | WatchFlags::MASK_ADD) {
            Ok(watch) => {
                self.roles.entry(watch).or_default().insert(role);
                Ok(true)
            }
            // It is not there, is no directory, or is closed to this user.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What has changed, once the burst is over; nothing before.
    pub(super) fn take(&mut self) -> io::Result<Pending> {
        self.read_events()?;
        let mut expirations = [0_u8; 8];
        let expired = match rustix::io::read(&self.timer, &mut expirations) {
            Ok(_) => true,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(errno) => return Err(errno.into()),
        };
        if expired {
            self.armed = false;
            return Ok(std::mem::take(&mut self.pending));
        }
        if !self.armed && self.pending != Pending::default() {
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: BURST };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.armed = true;
        }
        Ok(Pending::default())
    }

    fn read_events(&mut self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        for _ in 0..EVENTS_MAX {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let name = event.file_name().and_then(|name| name.to_str().ok());
            let roles = self.roles.get(&event.wd()).cloned().unwrap_or_default();
            note(&mut self.pending, &roles, &self.links, event.events(), name);
            if event.events().contains(ReadFlags::IGNORED) {
                self.roles.remove(&event.wd());
            }
        }
        Ok(())
    }
}

/// What an event may mean.
fn note(
    pending: &mut Pending,
    roles: &BTreeSet<Role>,
    links: &BTreeSet<String>,
    events: ReadFlags,
    name: Option<&str>,
) {
    let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::QUEUE_OVERFLOW;
    pending.everything |= events.intersects(gone);
    for role in roles {
        match (role, name) {
            (Role::Above, Some(_)) => pending.everything |= events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO),
            (Role::Links, Some(name)) => pending.links |= links.contains(name),
            (Role::Manifests(number), Some(name)) if is_manifest(name) => {
                let file = (*number, name.to_owned());
                if events.intersects(ReadFlags::ATTRIB | ReadFlags::CREATE) {
                    pending.hints.insert(file.clone());
                }
                if events.intersects(
                    ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO | ReadFlags::DELETE,
                ) {
                    pending.files.insert(file);
                }
            }
            _ => {}
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
