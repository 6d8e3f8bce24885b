//! From the executor's child to a tool.

use super::call::{Call, WORD_MAX};
use super::{Place, directory, session, unknown};
use crate::plugin::chamber::frame::Start;
use crate::plugin::credential::{Secret, wipe};
use crate::runtime::embedded::process;
use crate::terminal::signals;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The program is there and cannot be executed, as shells say.
pub(super) const CANNOT_EXECUTE: u8 = 126;
/// There is no such program.
const NOT_FOUND: u8 = 127;

/// Why nothing was executed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub exit_code: u8,
    pub error: String,
}

impl Refusal {
    pub(super) fn cannot(what: &str) -> impl Fn(Errno) -> Self {
        move |error| Self { exit_code: CANNOT_EXECUTE, error: format!("cannot {what}: {error}") }
    }
}

/// Makes the child. Whether it executes the program, the call tells.
pub(super) fn start(
    start: &Start,
    streams: Vec<OwnedFd>,
    secrets: &BTreeMap<String, Secret>,
    place: &Place,
) -> Result<Call, Refusal> {
    let words = Words::of(start, secrets)?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(Refusal::cannot("make a pipe for the tool"))?;
    let tool = || {
        let Refusal { exit_code, error } = become_tool(start, &words, &streams, place);
        let mut word = vec![exit_code];
        word.extend(error.bytes().take(WORD_MAX - 1));
        let _ = std::io::PipeWriter::from(writer).write_all(&word);
        exit_code
    };
    if !start.terminal {
        let pid = process::fork(tool).map_err(Refusal::cannot("make a process for the tool"))?;
        return Ok(Call::new(pid, reader));
    }
    let terminal = streams.iter().find(|stream| rustix::termios::isatty(stream)).ok_or_else(|| Refusal {
        exit_code: CANNOT_EXECUTE,
        error: "cannot give the tool a terminal: none came with the call".to_owned(),
    })?;
    Ok(Call::in_session(session::start(terminal, tool)?, reader))
}

/// Returns if the program cannot be executed, and why.
fn become_tool(start: &Start, words: &Words, streams: &[OwnedFd], place: &Place) -> Refusal {
    match prepare(start, streams, place) {
        Ok(()) => words.execute(start),
        Err(refusal) => refusal,
    }
}

fn prepare(start: &Start, streams: &[OwnedFd], place: &Place) -> Result<(), Refusal> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Refusal::cannot("tie the tool's life"))?;
    if !start.terminal {
        rustix::process::setpgid(None, None).map_err(Refusal::cannot("make a process group for the tool"))?;
    }
    directory::enter(start.directory.as_deref(), place)?;
    for (number, stream) in streams.iter().enumerate() {
        install(stream.as_fd(), number).map_err(Refusal::cannot("give the tool its standard streams"))?;
    }
    signals::default_all();
    signals::unblock_all().map_err(Refusal::cannot("unblock signals"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    signals::close_others_on_exec().map_err(Refusal::cannot("close descriptors on exec"))
}

fn install(stream: BorrowedFd<'_>, number: usize) -> Result<(), Errno> {
    match number {
        0 => rustix::stdio::dup2_stdin(stream),
        1 => rustix::stdio::dup2_stdout(stream),
        _ => rustix::stdio::dup2_stderr(stream),
    }
}

/// What execve(2) takes. Credentials among it are overwritten when it is dropped.
struct Words {
    program: CString,
    arguments: Vec<CString>,
    /// Each ends with NUL.
    environment: Vec<Vec<u8>>,
}

impl Words {
    fn of(start: &Start, secrets: &BTreeMap<String, Secret>) -> Result<Self, Refusal> {
        let refuse = |error: &str| Refusal { exit_code: CANNOT_EXECUTE, error: error.to_owned() };
        let nul = |_| refuse("a NUL byte is in the tool's name or arguments");
        if !start.program.is_absolute() || start.argv.is_empty() {
            return Err(refuse("the program's path is not absolute, or there is no name for it"));
        }
        let mut words = Self {
            program: CString::new(start.program.as_os_str().as_bytes()).map_err(nul)?,
            arguments: start
                .argv
                .iter()
                .map(|word| CString::new(word.as_bytes()).map_err(nul))
                .collect::<Result<_, _>>()?,
            environment: Vec::with_capacity(start.environment.len() + start.secret_environment.len()),
        };
        let plain = start.environment.iter().filter(|(name, _)| !start.secret_environment.contains_key(*name));
        for (name, value) in plain {
            words.add(name, value.as_bytes())?;
        }
        for (variable, name) in &start.secret_environment {
            words.add(variable, secrets.get(name).ok_or_else(|| unknown(name))?.expose())?;
        }
        Ok(words)
    }

    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let name_is_good = !name.is_empty() && !name.contains(['=', '\0']);
        if !name_is_good || value.contains(&0) {
            let error = format!("the variable {name:?} cannot be in an environment");
            return Err(Refusal { exit_code: CANNOT_EXECUTE, error });
        }
        // As long as it is to be: what is reallocated is left behind.
        let mut variable = Vec::with_capacity(name.len() + value.len() + 2);
        for part in [name.as_bytes(), b"=", value, b"\0"] {
            variable.extend_from_slice(part);
        }
        self.environment.push(variable);
        Ok(())
    }

    fn execute(&self, start: &Start) -> Refusal {
        let arguments: Vec<*const libc::c_char> =
            self.arguments.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        let environment: Vec<*const libc::c_char> =
            self.environment.iter().map(|word| word.as_ptr().cast()).chain([std::ptr::null()]).collect();
        let program: &CStr = &self.program;
        // SAFETY: both arrays end with NULL and point to strings that end with NUL and outlive the call.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        let error = std::io::Error::last_os_error();
        let missing = error.raw_os_error() == Some(libc::ENOENT);
        let program = crate::shown::terminal(&start.program);
        Refusal {
            exit_code: if missing { NOT_FOUND } else { CANNOT_EXECUTE },
            error: format!("cannot execute {program} in the tool's sandbox: {error}"),
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.environment.iter_mut().for_each(|variable| wipe(variable));
    }
}
