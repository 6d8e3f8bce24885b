//! The standard streams of a call: pipes, and a terminal where the client has one.

use crate::plugin::wire::Terminal;
use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the kernel is asked to hold of a lot of output on its way, in bytes: what an ordinary user's pipe may have at
/// most (`/proc/sys/fs/pipe-max-size`).
const WIDE: usize = 1 << 20;
/// Bytes of one read that show that there is a lot: all that a pipe holds at first (pipe(7)).
pub(super) const FULL: usize = 64 << 10;

/// The broker's end of a stream.
pub(super) type End = Arc<AsyncFd<OwnedFd>>;

/// The broker's ends of a call's streams.
#[derive(Debug)]
pub(super) struct Ours {
    /// Where standard input goes; `None` when it has ended.
    pub stdin: Option<End>,
    /// Where standard output comes from, or the terminal; `None` when nobody reads it any more.
    pub stdout: Option<End>,
    /// Where standard error comes from, if not from the terminal; likewise.
    pub stderr: Option<End>,
    /// The terminal.
    pub terminal: Option<End>,
}

/// The tool's ends: standard input, output and error.
pub(super) type Theirs = [OwnedFd; 3];

/// Makes the streams of a call. A terminal comes with its master.
///
/// # Errors
/// What the kernel says: too many open files, mostly.
pub(super) fn open(terminal: Option<(&Terminal, OwnedFd)>) -> io::Result<(Ours, Theirs)> {
    let (terminal, master) = terminal.unzip();
    let pty = match (terminal, master) {
        (Some(terminal), Some(master)) => {
            resize(&master, terminal.rows, terminal.columns)?;
            // Without its name, which is one of another file system's (ioctl_tty(2), TIOCGPTPEER).
            let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            Some((master, slave))
        }
        _ => None,
    };
    let slave = || match &pty {
        Some((_, slave)) => slave.try_clone(),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let wanted = |which: fn(&Terminal) -> bool| terminal.is_some_and(which);
    let master = match &pty {
        Some((master, _)) => Some(end(master.try_clone()?)?),
        None => None,
    };
    let (stdin, to) = match (wanted(|terminal| terminal.stdin), &master) {
        (true, Some(master)) => (slave()?, master.clone()),
        _ => {
            let (read, write) = pipe()?;
            (read, end(write)?)
        }
    };
    let output = |is_terminal: bool| -> io::Result<(OwnedFd, Option<End>)> {
        if is_terminal {
            return Ok((slave()?, None));
        }
        let (read, write) = pipe()?;
        Ok((write, Some(end(read)?)))
    };
    let (stdout, from_stdout) = output(wanted(|terminal| terminal.stdout))?;
    let (stderr, from_stderr) = output(wanted(|terminal| terminal.stderr))?;
    // What comes from the terminal comes as standard output, whichever stream the tool wrote to.
    let (first, second) = match (from_stdout, &master) {
        (Some(pipe), Some(master)) if from_stderr.is_none() => (pipe, Some(master.clone())),
        (Some(pipe), _) => (pipe, from_stderr),
        (None, Some(master)) => (master.clone(), from_stderr),
        (None, None) => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok((Ours { stdin: Some(to), stdout: Some(first), stderr: second, terminal: master }, [stdin, stdout, stderr]))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

/// Has more fit into the pipe of an output. Not from the beginning: what all of a user's pipes may hold is limited
/// (`/proc/sys/fs/pipe-user-pages-soft`), and who is above it gets pipes of two pages.
pub(super) fn widen(from: &End) {
    // A smaller pipe is slower and does as well; a terminal is none.
    let _ = fcntl_setpipe_size(from.get_ref(), WIDE);
}

/// Tells a terminal its size; who runs in it gets SIGWINCH.
pub(super) fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    Ok(tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?)
}

fn end(fd: OwnedFd) -> io::Result<End> {
    fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
    // SAFETY: an OwnedFd is the same open descriptor for as long as it lives.
    Ok(Arc::new(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE | Interest::WRITABLE) }?))
}

/// Waits for a piece of output, which takes the place of what is in the buffer, at most as long as its capacity; 0 at
/// its end. The buffer is not initialised before: to overwrite all of it costs a short call more than its output does.
pub(super) async fn read(from: &End, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.clear();
    loop {
        let mut guard = from.readable().await?;
        match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), spare_capacity(buffer))?)) {
            Ok(Err(error)) if ended(&error) => return Ok(0),
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(read) => return read,
            Err(_) => {}
        }
    }
}

/// What is there of it already, likewise; `None` if nothing is, `Some(0)` at its end.
pub(super) fn read_rest(from: &End, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
    buffer.clear();
    match rustix::io::read(from.get_ref(), spare_capacity(buffer)).map_err(io::Error::from) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if ended(&error) => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// A terminal whose other end nobody has open any more says EIO (tty_ioctl(4), pty(7)).
fn ended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// Bytes that a pipe holds, which its reader has not taken.
pub(super) fn left(to: &End) -> Option<u64> {
    rustix::io::ioctl_fionread(to.get_ref()).ok()
}

/// Writes all of it. An error if the tool reads no more.
pub(super) async fn write(to: &End, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut guard = to.writable().await?;
        match guard.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
            Ok(Ok(count)) => bytes = &bytes[count..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    fn master() -> OwnedFd {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        master
    }

    #[tokio::test]
    async fn pipes_carry_each_stream_to_its_end() {
        let (ours, [stdin, stdout, stderr]) = open(None).unwrap();
        let stdin_end = ours.stdin.as_ref().unwrap();
        write(stdin_end, b"in").await.unwrap();
        drop(ours.stdin);
        let mut text = String::new();
        File::from(stdin).read_to_string(&mut text).unwrap();
        assert_eq!(text, "in");
        let mut buffer = Vec::with_capacity(16);
        File::from(stdout).write_all(b"out").unwrap();
        let output = ours.stdout.unwrap();
        assert_eq!(read(&output, &mut buffer).await.unwrap(), 3);
        assert_eq!(read(&output, &mut buffer).await.unwrap(), 0);
        let error = ours.stderr.unwrap();
        assert_eq!(read_rest(&error, &mut buffer).unwrap(), None);
        drop(stderr);
        assert_eq!(read_rest(&error, &mut buffer).unwrap(), Some(0));
    }

    #[tokio::test]
    async fn a_terminal_is_for_the_streams_that_are_one() {
        let terminal = Terminal { rows: 7, columns: 9, stdin: true, stdout: true, stderr: false };
        let (ours, [stdin, stdout, stderr]) = open(Some((&terminal, master()))).unwrap();
        assert!(
            rustix::termios::isatty(&stdin) && rustix::termios::isatty(&stdout) && !rustix::termios::isatty(&stderr)
        );
        let size = rustix::termios::tcgetwinsize(&stdin).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (7, 9));
        resize(ours.terminal.as_ref().unwrap().get_ref(), 1, 2).unwrap();
        assert_eq!(rustix::termios::tcgetwinsize(&stdin).unwrap().ws_col, 2);
        let mut buffer = Vec::with_capacity(16);
        File::from(stdout).write_all(b"x\n").unwrap();
        let output = ours.stdout.unwrap();
        assert_eq!(read(&output, &mut buffer).await.unwrap(), 3);
        assert_eq!(buffer, b"x\r\n");
        drop((stdin, stderr));
        assert_eq!(read(&output, &mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_the_tool_says_to_a_terminal_as_an_error_comes_though_its_output_is_a_pipe() {
        let terminal = Terminal { rows: 7, columns: 9, stdin: false, stdout: false, stderr: true };
        let (ours, [_stdin, stdout, stderr]) = open(Some((&terminal, master()))).unwrap();
        assert!(!rustix::termios::isatty(&stdout));
        File::from(stderr).write_all(b"oops").unwrap();
        let mut buffer = Vec::with_capacity(16);
        assert_eq!(read(ours.stderr.as_ref().unwrap(), &mut buffer).await.unwrap(), 4);
    }
}
