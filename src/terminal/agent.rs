//! The last steps of the agent's process, or of one beside it, before it executes its command.

use super::init::Init;
use super::signals;
use super::stdio::{Slot, StdioError, install, null, replace_with_null, system};
use rustix::process::Signal;
use std::os::fd::AsFd;

/// Gives the calling process its own process group, in the foreground of the agent's terminal if there is
/// one, its stdin, stdout and stderr, and the signals of a fresh process. Other descriptors are
/// marked to be closed by exec. Call it in the child of PID 1, after [`Init::prepare`].
pub fn attach(init: &Init) -> Result<(), StdioError> {
    rustix::process::setpgid(None, None).map_err(system("make the agent's process group"))?;
    if let Some(terminal) = &init.terminal {
        // Still blocked is SIGTTOU, which a process in the background would get for this.
        rustix::termios::tcsetpgrp(terminal, rustix::process::getpid())
            .map_err(system("put the agent into the foreground"))?;
    }
    let null = null()?;
    for (number, slot) in init.stdio.slots.iter().enumerate() {
        match slot {
            Slot::Terminal => {
                if let Some(terminal) = &init.terminal {
                    install(terminal.as_fd(), number)?;
                }
            }
            Slot::Null => install(null.as_fd(), number)?,
            Slot::Pipe(pipe) => install(pipe.as_fd(), number)?,
            Slot::Stdout => install(rustix::stdio::stdout(), number)?,
        }
    }
    begin_anew()
}

/// Gives the calling process a session of its own, away from the agent's terminal, no standard streams, and the signals
/// of a fresh process. Other descriptors are marked to be closed by exec. For what runs beside the agent, in a child of
/// PID 1, after [`Init::prepare`].
pub fn detach() -> Result<(), StdioError> {
    rustix::process::setsid().map_err(system("leave the agent's session"))?;
    replace_with_null()?;
    begin_anew()
}

fn begin_anew() -> Result<(), StdioError> {
    signals::close_others_on_exec().map_err(system("close descriptors on exec"))?;
    // Rust ignores SIGPIPE in every program, and exec would keep it ignored.
    signals::set_default(Signal::PIPE).map_err(system("reset SIGPIPE"))?;
    signals::unblock_all().map_err(system("unblock signals"))
}
