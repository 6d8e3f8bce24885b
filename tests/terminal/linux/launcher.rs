//! A launcher that has everything but the sandbox.

use rcc::terminal::control::{self, InitEnd};
use rcc::terminal::init::Init;
use rcc::terminal::relay::{Relay, Watch};
use rcc::terminal::stdio::{AgentStdio, Stdio};
use rcc::terminal::{Outcome, agent};
use rustix::process::{Pid, Signal};
use std::error::Error;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// First argument that makes this program the launcher of the command that follows.
pub const ROLE: &str = "--launcher";

pub fn run(command: &[String]) -> ExitCode {
    match launch(command) {
        Ok(outcome) => ExitCode::from(outcome.status()),
        Err(error) => {
            eprintln!("launcher: {error}");
            ExitCode::from(Outcome::FAILED)
        }
    }
}

fn launch(command: &[String]) -> Result<Outcome, Box<dyn Error>> {
    let (user, agent) = Stdio::inspect()?.prepare()?;
    let (launcher, init) = control::pair()?;
    // Where privilege allows, PID 1 is one. The tests hold without it as well.
    // SAFETY: CLONE_NEWPID only decides where the next child is born.
    unsafe { libc::unshare(libc::CLONE_NEWPID) };
    match fork()? {
        None => {
            drop((user, launcher));
            let _ = init_process(init, agent, command);
            std::process::exit(0);
        }
        Some(_) => {
            drop((agent, init));
            Ok(Relay::new(launcher, user)?.run(&[], &mut |_| Watch::Keep)?)
        }
    }
}

fn init_process(control: InitEnd, stdio: AgentStdio, command: &[String]) -> Result<(), Box<dyn Error>> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let init = Init::prepare(control, stdio)?;
    match fork()? {
        None => {
            if let Err(error) = agent::attach(&init) {
                init.fail(&error);
            }
            init.fail(&Command::new(&command[0]).args(&command[1..]).exec());
            std::process::exit(127);
        }
        Some(child) => {
            init.supervise(child, None)?;
            Ok(())
        }
    }
}

fn fork() -> std::io::Result<Option<Pid>> {
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        child => Ok(Pid::from_raw(child)),
    }
}
