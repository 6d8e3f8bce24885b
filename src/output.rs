//! The only way to standard output and standard error.
//!
//! A reader may close its end at any moment (`rcc ps | head -1`): it wants no more, which is no
//! error, so what follows is dropped and the exit status stays the command's own. `println!` would
//! panic there, since Rust programs ignore SIGPIPE; with the signal restored, a program that rcc
//! feeds (nft, a terminal) could end rcc by ending itself.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::time::Duration;

/// The result did not get out: a full disk, most likely.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot write to the standard output: {0}")]
pub struct PrintError(#[from] io::Error);

/// Writes this to standard output, now.
///
/// # Errors
/// If it can't be written, except to a reader that has gone.
pub fn print(text: impl AsRef<[u8]>) -> Result<(), PrintError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// [`print`]s a value as JSON for programs, indented, with a line's end.
///
/// # Errors
/// Those of [`print`].
pub fn print_json(value: &impl Serialize) -> Result<(), PrintError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(io::Error::from)?;
    text.push(b'\n');
    print(text)
}

/// Waits for so long; a pipe or socket as standard output that nobody reads from any more says so at once (poll(2)).
pub fn reader_has_gone(wait: Duration) -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    // What does not fit is for ever.
    let _ = poll(&mut fds, Timespec::try_from(wait).ok().as_ref());
    fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}

/// Writes this to standard error. If that fails there is nobody left to be told.
pub fn tell(text: impl Display) {
    let _ = write!(io::stderr(), "{text}");
}

/// [`tell`], with a line's end.
pub fn tell_line(text: impl Display) {
    tell(format_args!("{text}\n"));
}
