//! Fetching: the client speaks with the upstream, and this program passes on what they say.

use super::command::{self, Git, not_started, ssh_options};
use super::mirror::Mirror;
use super::said::Said;
use super::{ServeError, ended, tell};
use crate::plugin::git::pktline::{self, Packet, read_text_line};
use crate::plugin::git::remote::Upstream;
use crate::plugin::git::task::Task;
use crate::plugin::wire::Mode;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

/// Bytes that are on their way at a time.
const BUFFER: usize = 128 << 10;

pub(super) fn serve(git: &Git, task: &Task) -> Result<ExitCode, ServeError> {
    match &task.upstream {
        Upstream::Https { url } => over_https(git, task, url),
        Upstream::Ssh { user, host, path, .. } => {
            let mut ssh = git.program("ssh");
            ssh.args(ssh_options(&task.access, &task.upstream)).args(["-l", user, "--", host]);
            ssh.arg(format!("git-upload-pack {}", command::quoted(path)));
            ssh.env("GIT_PROTOCOL", "version=2")
                .stdin(Stdio::inherit())
                .stdout(Stdio::inherit())
                .stderr(Stdio::piped());
            let mut child = ssh.spawn().map_err(not_started(&ssh))?;
            let said = Said::read(BufReader::new(pipe(child.stderr.take())?), |line| tell(&format!("remote: {line}")));
            said.own.iter().for_each(|line| tell(line));
            Ok(ended(child.wait().map_err(ServeError::Stream)?))
        }
    }
}

/// By the helper of git's own, which takes requests one at a time (`stateless-connect`, gitremote-helpers(7)). The
/// words of version 2 are the same over a connection, but for the packet that ends a response.
fn over_https(git: &Git, task: &Task, url: &str) -> Result<ExitCode, ServeError> {
    let mut command = git.command();
    command.args(["remote-https", url, url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(not_started(&command))?;
    let stderr = BufReader::new(pipe(child.stderr.take())?);
    let said = std::thread::spawn(move || Said::read(stderr, |_| ()));
    let mut up = pipe(child.stdin.take())?;
    let mut down = BufReader::with_capacity(BUFFER, pipe(child.stdout.take())?);
    let asked = up.write_all(b"stateless-connect git-upload-pack\n").and_then(|()| up.flush());
    let answer = asked.and_then(|()| read_text_line(&mut down, 64));
    match answer.unwrap_or_default().as_deref() {
        Some("") => {}
        Some("fallback") => {
            drop((up, down));
            let _ = child.wait();
            return from_mirror(git, task);
        }
        _ => {
            let _ = child.wait();
            let reason = said.join().unwrap_or_default().reason();
            return Err(ServeError::Upstream { attempt: "fetch from", upstream: url.to_owned(), reason });
        }
    }
    let mode = task.mode;
    // It reads from the client until that has ended, and this process does not wait for it.
    std::thread::spawn(move || pass_requests(BufReader::new(io::stdin()), up, mode));
    let passed = pass_responses(&mut down, mode);
    finish(child, passed, || said.join().unwrap_or_default())
}

fn finish(mut child: Child, passed: io::Result<()>, said: impl FnOnce() -> Said) -> Result<ExitCode, ServeError> {
    if passed.is_err() {
        // The client has gone.
        let _ = child.kill();
    }
    let status = child.wait().map_err(ServeError::Stream)?;
    said().own.iter().for_each(|line| tell(line));
    Ok(ended(status))
}

/// Passes requests on until the client has no more: over a connection it says so with a flush by itself.
fn pass_requests(mut client: impl BufRead, mut up: ChildStdin, mode: Mode) -> io::Result<()> {
    let mut within = false;
    while let Some(packet) = pktline::read(&mut client)? {
        if packet == Packet::Flush && !within && mode == Mode::Connect {
            break;
        }
        pktline::write(&mut up, &packet)?;
        within = packet != Packet::Flush;
    }
    Ok(())
}

fn pass_responses(down: &mut BufReader<ChildStdout>, mode: Mode) -> io::Result<()> {
    let mut client = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    while let Some(packet) = pktline::read(down)? {
        if packet != Packet::ResponseEnd || mode == Mode::Stateless {
            pktline::write(&mut client, &packet)?;
        }
        if down.buffer().is_empty() {
            client.flush()?;
        }
    }
    client.flush()
}

/// From an upstream that speaks older versions alone: all of it is brought here first.
fn from_mirror(git: &Git, task: &Task) -> Result<ExitCode, ServeError> {
    if task.mode == Mode::Stateless {
        return Err(ServeError::Old(task.upstream.to_string()));
    }
    let mirror = Mirror::open(git, task)?;
    mirror.follow_head(git, &task.upstream)?;
    let mut command = git.at(mirror.repository());
    command.args(["upload-pack", "--strict"]).arg(mirror.repository());
    command.env("GIT_PROTOCOL", "version=2").stdin(Stdio::inherit());
    Ok(ended(command.status().map_err(not_started(&command))?))
}

pub(super) fn pipe<T>(pipe: Option<T>) -> Result<T, ServeError> {
    pipe.ok_or_else(|| ServeError::Stream(io::ErrorKind::BrokenPipe.into()))
}
