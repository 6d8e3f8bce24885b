//! Between a keeper and the process that started it: the one says that the agent runs, the other that it has told the
//! name. Whoever is interrupted in between has no sandbox without its name.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write};

/// What the keeper's standard output says, one line, to the process that started it.
pub const RUNS: &str = "runs";
/// What that process answers, on the keeper's standard input, once it has told the name.
pub const TOLD: u8 = b't';

/// Whoever started this process.
pub(super) enum Starter {
    Waits,
    Knows,
    Gone,
}

/// Asks without waiting.
pub(super) fn starter() -> Starter {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(1..) => match rustix::io::read(stdin, &mut [0]) {
            Ok(1..) => Starter::Knows,
            _ => Starter::Gone,
        },
        _ => Starter::Waits,
    }
}

/// To whoever started this process. One that is gone is noticed by [`starter`].
pub(super) fn say(what: &[u8]) {
    let _ = io::stdout().write_all(what).and_then(|()| io::stdout().flush());
}
