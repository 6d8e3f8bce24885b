//! Signals as file descriptors. The few system calls that rustix doesn't have.

use rustix::io::Errno;
use rustix::process::Signal;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals that arrive as data instead of interrupting, until it is dropped.
#[derive(Debug)]
pub(crate) struct SignalFd {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl SignalFd {
    /// Blocks `blocked` as well, which don't arrive. A signal that the caller had ignored, as nohup
    /// does, stays so.
    pub(crate) fn new(arriving: &[Signal], blocked: &[Signal]) -> Result<Self, Errno> {
        let heeded: Vec<Signal> = arriving.iter().copied().filter(|signal| !ignored(*signal)).collect();
        let before = mask(libc::SIG_BLOCK, &set(&[&heeded, blocked].concat()))?;
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set(&heeded), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            let error = errno();
            mask(libc::SIG_SETMASK, &before)?;
            return Err(error);
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, before })
    }

    /// The next signal, without waiting.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
        let length = rustix::io::read(&self.fd, &mut info).ok()?;
        // signalfd(2): the record starts with the number, 32 bits wide.
        let number = info.first_chunk::<4>().filter(|_| length == info.len())?;
        i32::try_from(u32::from_ne_bytes(*number)).ok()
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        // Can't fail: the set is the kernel's own, and the operation is known.
        let _ = mask(libc::SIG_SETMASK, &self.before);
    }
}

/// Stops this process, with its process group if `group`, as Ctrl-Z at its terminal would, and
/// returns when it was continued. Returns at once where the kernel lets nothing stop: in an
/// orphaned process group, which no shell could continue.
pub(crate) fn stop(group: bool) -> Result<(), Errno> {
    let tstp = set(&[Signal::TSTP]);
    if group {
        rustix::process::kill_current_process_group(Signal::TSTP)?;
    } else {
        rustix::process::kill_process(rustix::process::getpid(), Signal::TSTP)?;
    }
    let before = mask(libc::SIG_UNBLOCK, &tstp)?;
    mask(libc::SIG_SETMASK, &before)?;
    // What continued this process must not continue the agent again after its next stop.
    let (continued, now) = (set(&[Signal::CONT]), libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: the set and the time are valid, and no information about the signal is asked for.
    unsafe { libc::sigtimedwait(&continued, std::ptr::null_mut(), &now) };
    Ok(())
}

/// Restores a signal's default action.
pub(crate) fn set_default(signal: Signal) -> Result<(), Errno> {
    // SAFETY: SIG_DFL installs no handler.
    let result = unsafe { libc::signal(signal.as_raw(), libc::SIG_DFL) };
    if result == libc::SIG_ERR { Err(errno()) } else { Ok(()) }
}

/// Restores every signal's default action.
pub(crate) fn default_all() {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler; it is refused where nothing could be installed.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Empties the signal mask.
pub(crate) fn unblock_all() -> Result<(), Errno> {
    mask(libc::SIG_SETMASK, &set(&[])).map(drop)
}

/// Blocks every signal that can be.
pub(crate) fn block_all() -> Result<(), Errno> {
    let mut all = set(&[]);
    // SAFETY: the set is initialised.
    unsafe { libc::sigfillset(&mut all) };
    mask(libc::SIG_SETMASK, &all).map(drop)
}

/// Sends a signal by number, real-time ones included, to a process or, if `group`, to a process group.
pub(crate) fn send(target: rustix::process::Pid, group: bool, signal: i32) -> Result<(), Errno> {
    let pid = target.as_raw_nonzero().get();
    // SAFETY: kill touches no memory.
    let result = unsafe { libc::kill(if group { -pid } else { pid }, signal) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// Marks every descriptor but stdin, stdout and stderr to be closed by exec.
pub(crate) fn close_others_on_exec() -> Result<(), Errno> {
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC closes nothing now and touches no memory.
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// This process is in the foreground of a terminal, or the terminal controls no process of its
/// session. The numbers may be 0, as above.
pub(super) fn in_foreground(terminal: BorrowedFd<'_>) -> bool {
    // SAFETY: neither call touches memory, and the descriptor is open.
    let (foreground, own) = unsafe { (libc::tcgetpgrp(terminal.as_raw_fd()), libc::getpgrp()) };
    foreground == -1 || foreground == own
}

fn ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action sigaction only writes the old one, for which there is room.
    let result = unsafe { libc::sigaction(signal.as_raw(), std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed is a valid sigaction, and the kernel may have overwritten it with another.
    result == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn set(signals: &[Signal]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset initialises the set that it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: the set is initialised and the number a signal's.
        unsafe { libc::sigaddset(&mut set, signal.as_raw()) };
    }
    set
}

/// Changes the thread's signal mask and returns the old one.
fn mask(how: libc::c_int, set: &libc::sigset_t) -> Result<libc::sigset_t, Errno> {
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are valid for the call.
    let error = unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) };
    // SAFETY: all zeros is a valid set, and the call may have written another.
    if error == 0 { Ok(unsafe { before.assume_init() }) } else { Err(Errno::from_raw_os_error(error)) }
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_arrives_as_data() {
        let signals = SignalFd::new(&[Signal::USR1], &[Signal::TTOU]).unwrap();
        assert_eq!(signals.next(), None);
        // SAFETY: raise sends to the calling thread, in which the signal is blocked.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert_eq!(signals.next(), Some(libc::SIGUSR1));
        assert_eq!(signals.next(), None);
    }
}
