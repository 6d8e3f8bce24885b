//! `--detach`, `rcc attach` and `rcc logs`.

use super::ps::runtime_dir;
use super::run::new_name;
use crate::cli::kept::{AttachArguments, KeepArguments, LogsArguments};
use crate::facts::Facts;
use crate::kept::attach::{self, Left};
use crate::kept::keeper::{self, Keep};
use crate::kept::log::{self, Reader};
use crate::kept::place::Place;
use crate::kept::replay::Replay;
use crate::kept::starter::{RUNS, TOLD};
use crate::output;
use crate::project::Project;
use crate::relay::name::SessionName;
use crate::runtime::embedded::process;
use crate::session;
use crate::shown;
use crate::terminal::Outcome;
use miette::{Context, Diagnostic, IntoDiagnostic};
use rustix::termios::{isatty, tcgetwinsize};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Rows and columns of a terminal that nobody has seen yet.
const SIZE: (u16, u16) = (24, 80);
/// Between two looks at a log.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end of a session may take to be written down once the session is gone.
const ENDING: Duration = Duration::from_secs(3);
/// Bytes of a log that are read at once.
const READ: usize = 64 << 10;

/// Nothing to look at.
#[derive(Debug, thiserror::Error, Diagnostic)]
enum NoSession {
    #[error("no detached sandbox is running")]
    #[diagnostic(help("`rcc run --detach`, `rcc shell --detach` and `rcc claude --detach` start one"))]
    None,
    #[error("several detached sandboxes are running: {}", .0.join(", "))]
    #[diagnostic(help("name one of them"))]
    Several(Vec<String>),
    #[error("the sandbox '{0}' runs in the terminal where it was started")]
    #[diagnostic(help("only those that were started with --detach can be attached to"))]
    InTerminal(String),
    #[error("a sandbox '{0}' is running")]
    #[diagnostic(help("give another --name, or `rcc stop {0}`"))]
    Taken(String),
    #[error("'{}' is no sandbox's name", shown::text(.0))]
    #[diagnostic(help("`rcc ps` lists them"))]
    Name(String),
    #[error("there is no log of a sandbox '{}'", shown::text(.0))]
    #[diagnostic(help(
        "those that were started with --detach have one, for a week after their end; `rcc ps` lists what is running"
    ))]
    NoLog(String),
}

/// Runs what this process was told to, without its terminal: as this command line says it, but for `--detach`.
pub(super) fn start(facts: &Facts, name: Option<SessionName>) -> miette::Result<ExitCode> {
    let project = Project::find(facts).into_diagnostic()?;
    let given = name.is_some();
    let name = name.unwrap_or_else(|| new_name(&project)).to_string();
    let running = session::list(&runtime_dir(facts).into_diagnostic()?).into_diagnostic()?;
    if running.iter().any(|record| record.id == name) {
        return Err(NoSession::Taken(name).into());
    }
    let words = words(std::env::args_os().skip(1), (!given).then_some(&name));
    let (rows, columns) = size();
    let mut keeper = Command::new("/proc/self/exe");
    keeper.arg0("rcc").args(["keep", &name, &rows.to_string(), &columns.to_string(), "--"]).args(words);
    keeper.stdin(Stdio::piped()).stdout(Stdio::piped());
    // A lock that the caller holds, or a pipe, is not the sandbox's to keep.
    process::keep_descriptors().into_diagnostic().wrap_err("cannot keep the caller's open files from the sandbox")?;
    // SAFETY: setsid(2) is async-signal-safe, and nothing else is done there.
    unsafe { keeper.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
    let mut keeper = keeper.spawn().into_diagnostic().wrap_err("cannot start rcc again")?;
    let mut said = Vec::new();
    if let (Some(stdout), Some(mut stdin)) = (keeper.stdout.take(), keeper.stdin.take()) {
        let mut stdout = BufReader::new(stdout);
        let deaf = "cannot hear whether the sandbox runs";
        stdout.read_until(b'\n', &mut said).into_diagnostic().wrap_err(deaf)?;
        if said == format!("{RUNS}\n").as_bytes() {
            output::print(format!("{name}\n"))?;
            // One that has ended meanwhile has nobody to hear it.
            let _ = stdin.write_all(&[TOLD]);
            return Ok(ExitCode::SUCCESS);
        }
        stdout.read_to_end(&mut said).into_diagnostic().wrap_err(deaf)?;
    }
    // It has ended before anybody could be told: refused, or because its command took no longer.
    let status = keeper.wait().into_diagnostic()?.code().and_then(|code| u8::try_from(code).ok());
    match status {
        Some(status) if status != Outcome::FAILED => {
            output::print(format!("{name}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        refused => {
            output::tell(String::from_utf8_lossy(&said));
            Ok(refused.map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}

/// The command line of the run: the first `--detach` is this program's, since its own options come before anything
/// that is the command's.
fn words(typed: impl Iterator<Item = OsString>, name: Option<&str>) -> Vec<OsString> {
    let mut detach = true;
    typed
        .flat_map(|word| {
            let ours = detach && word == OsStr::new("--detach");
            detach &= !ours;
            match (ours, name) {
                (false, _) => vec![word],
                (true, None) => Vec::new(),
                (true, Some(name)) => vec![OsString::from("--name"), OsString::from(name)],
            }
        })
        .collect()
}

/// That of the caller's terminal, if there is one.
fn size() -> (u16, u16) {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let sizes = streams.into_iter().filter_map(|stream| tcgetwinsize(stream).ok());
    let mut sizes = sizes.map(|size| (size.ws_row, size.ws_col)).filter(|(rows, columns)| *rows > 0 && *columns > 0);
    sizes.next().unwrap_or(SIZE)
}

impl KeepArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let place = Place::new(&runtime_dir(&facts).into_diagnostic()?, &facts.data_dir, &self.session);
        let keep = Keep { place, words: self.words, size: (self.rows, self.columns) };
        Ok(ExitCode::from(keeper::keep(keep).into_diagnostic()?))
    }
}

impl AttachArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let runtime_dir = runtime_dir(&facts).into_diagnostic()?;
        let running = session::list(&runtime_dir).into_diagnostic()?;
        let place = |name: &str| Place::new(&runtime_dir, &facts.data_dir, name);
        let is_kept = |name: &str| place(name).socket().exists();
        let name = match self.session {
            Some(name) if running.iter().any(|record| record.id == name) && !is_kept(&name) => {
                return Err(NoSession::InTerminal(name).into());
            }
            Some(name) if !is_name(&name) => return Err(NoSession::Name(name).into()),
            Some(name) => name,
            None => only(running.into_iter().map(|record| record.id).filter(|name| is_kept(name)).collect())?,
        };
        match attach::attach(&place(&name), &name, self.watch).into_diagnostic()? {
            Left::Ended(status) => Ok(ExitCode::from(status)),
            Left::Detached => {
                output::tell_line(format_args!("rcc: '{name}' goes on; `rcc attach {name}` comes back to it"));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// A part of paths, so nothing else.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn only(mut names: Vec<String>) -> Result<String, NoSession> {
    match (names.pop(), names.is_empty()) {
        (None, _) => Err(NoSession::None),
        (Some(name), true) => Ok(name),
        (Some(name), false) => {
            names.push(name);
            Err(NoSession::Several(names))
        }
    }
}

impl LogsArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        let runtime_dir = runtime_dir(&facts).into_diagnostic()?;
        let missing = || NoSession::NoLog(self.session.clone());
        if !is_name(&self.session) {
            return Err(missing().into());
        }
        let place = Place::new(&runtime_dir, &facts.data_dir, &self.session);
        let mut reader = match Reader::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing().into()),
            opened => opened.into_diagnostic().wrap_err("cannot open the log")?,
        };
        // At a terminal, without what a terminal would answer; for programs, byte by byte.
        let mut replay = isatty(rustix::stdio::stdout()).then(Replay::default);
        let shown = self.show(&mut reader, &place, &mut replay);
        if let Some(replay) = replay {
            output::print(replay.restore())?;
        }
        shown?;
        if let Some(lost) = log::end(&place).map(|end| end.lost).filter(|lost| *lost > 0) {
            output::tell_line(format_args!("rcc: {lost} bytes are missing: there was no room for them on the disk"));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, reader: &mut Reader, place: &Place, replay: &mut Option<Replay>) -> miette::Result<()> {
        let mut print = |bytes: &[u8]| match replay {
            Some(replay) => output::print(replay.feed(bytes, false)),
            None => output::print(bytes),
        };
        let failed = "cannot read the log";
        let mut buffer = vec![0; READ];
        match self.tail {
            None => {}
            Some(lines) => {
                let mut all = Vec::new();
                loop {
                    match reader.next(&mut buffer).into_diagnostic().wrap_err(failed)? {
                        0 => break,
                        length => all.extend_from_slice(&buffer[..length]),
                    }
                }
                print(last_lines(&all, lines))?;
            }
        }
        loop {
            // Asked before the log: what is written before the end is written is there then.
            let over = !self.follow || has_ended(place);
            match reader.next(&mut buffer).into_diagnostic().wrap_err(failed)? {
                0 if over => return Ok(()),
                0 if output::reader_has_gone(LOOK) => return Ok(()),
                length => print(&buffer[..length])?,
            }
        }
    }
}

/// Nothing more comes: the end is written down, or the keeper is gone for so long that it will not be.
fn has_ended(place: &Place) -> bool {
    if log::end(place).is_some() {
        return true;
    }
    // Its lock and not its socket: whoever connects is shown everything.
    if log::is_kept(place) {
        return false;
    }
    std::thread::sleep(ENDING);
    true
}

/// The last lines of a text, each with its end.
fn last_lines(text: &[u8], lines: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(position, _)| position + 1);
    match lines {
        0 => &[],
        lines => &text[ends.take(lines).nth(lines - 1).unwrap_or(0)..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_own_detach_is_left_alone() {
        let typed = ["run", "--detach", "--", "podman", "run", "--detach"].map(OsString::from);
        assert_eq!(
            words(typed.clone().into_iter(), Some("a-1")),
            ["run", "--name", "a-1", "--", "podman", "run", "--detach"]
        );
        assert_eq!(words(typed.into_iter(), None), ["run", "--", "podman", "run", "--detach"]);
    }

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 1), b"c");
        assert_eq!(last_lines(b"a\n", 5), b"a\n");
        assert_eq!(last_lines(b"a\n", 0), b"");
    }

    #[test]
    fn one_needs_no_name_and_several_do() {
        assert!(matches!(only(vec![]), Err(NoSession::None)));
        assert_eq!(only(vec!["a".into()]).unwrap(), "a");
        assert!(matches!(only(vec!["a".into(), "b".into()]), Err(NoSession::Several(names)) if names == ["a", "b"]));
    }
}
