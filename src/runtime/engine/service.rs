//! Podman's API: the user's socket where systemd offers it, else a service for this run alone.

use crate::facts::{self, Facts};
use rustix::process::Signal;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(5);

/// Why there is no API.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ServiceError {
    /// No Podman.
    #[error("podman is not installed")]
    #[diagnostic(help("install it by the system's package manager; `--runtime embedded` works without"))]
    Missing,
    /// It could not be started.
    #[error("cannot start `podman system service`: {0}")]
    Start(#[source] io::Error),
    /// It ended, or says nothing.
    #[error("`podman system service` does not answer: {said}")]
    #[diagnostic(help("`podman info` as the same user shows whether Podman works here"))]
    Silent {
        /// What it wrote.
        said: String,
    },
}

/// Who answers at the socket.
#[derive(Debug)]
pub struct Service {
    /// Where.
    pub socket: PathBuf,
    child: Option<Child>,
}

impl Service {
    /// Finds the user's own, or starts one that ends with the caller. `directory` is private to this run. It may take
    /// `patience` to answer for the first time: it may have to set its storage up.
    pub fn find(facts: &Facts, directory: &Path, patience: Duration) -> Result<Self, ServiceError> {
        let offered = facts.variable("XDG_RUNTIME_DIR").map(|dir| Path::new(dir).join("podman/podman.sock"));
        if let Some(socket) = offered.filter(|socket| UnixStream::connect(socket).is_ok()) {
            return Ok(Self { socket, child: None });
        }
        let (socket, log) = (directory.join("podman"), directory.join("podman.log"));
        let program = facts::program("podman").ok_or(ServiceError::Missing)?;
        let mut url = std::ffi::OsString::from("unix://");
        url.push(&socket);
        let output = File::create(&log).map_err(ServiceError::Start)?;
        let errors = output.try_clone().map_err(ServiceError::Start)?;
        let mut command = Command::new(program);
        command.args(["system", "service", "--time", "0"]).arg(url).stdin(Stdio::null()).stdout(output).stderr(errors);
        // A group of its own: what the terminal sends to the foreground is not for it.
        command.process_group(0);
        // SAFETY: prctl(2) is all that runs between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?));
        }
        let child = command.spawn().map_err(ServiceError::Start)?;
        let mut service = Self { socket, child: Some(child) };
        service.await_answer(&log, patience)?;
        Ok(service)
    }

    fn await_answer(&mut self, log: &Path, patience: Duration) -> Result<(), ServiceError> {
        let deadline = Instant::now() + patience;
        loop {
            if UnixStream::connect(&self.socket).is_ok() {
                return Ok(());
            }
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                return Err(ServiceError::Silent { said: said(log) });
            }
            std::thread::sleep(INTERVAL);
        }
    }
}

fn said(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let last = text.trim().lines().last().unwrap_or("it said nothing");
    crate::shown::text(last).to_string()
}

impl Drop for Service {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), Signal::TERM);
        let _ = child.wait();
    }
}
