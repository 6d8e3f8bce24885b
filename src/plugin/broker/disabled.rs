//! The tools that their user has stopped, in a file that outlives the broker: an agent that brings one down gets no tool
//! back by it.
//!
//! ```text
//! gh        a tool that is stopped
//! npm
//!
//! *         all are stopped, save these
//! gh
//! ```

use crate::plugin::name::{NAME_MAX, ToolName};
use crate::shown;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Tools of the file, of which there are no more manifests than this in two directories.
const TOOLS_MAX: usize = 512;
/// Bytes of it that are read.
const SIZE_MAX: u64 = (TOOLS_MAX * (NAME_MAX + 1)) as u64 + 2;
/// The line that stands for all tools.
const ALL: &str = "*";

/// What is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stopped {
    /// These tools.
    These(BTreeSet<ToolName>),
    /// All but these.
    AllBut(BTreeSet<ToolName>),
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}, which says what is stopped, cannot be {attempt}: {source}; mend or remove it, and take a plugin back with \
     `rcc plugin start NAME`",
    shown::terminal(path)
)]
pub(super) struct DisabledError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The tools that are stopped.
#[derive(Debug)]
pub(super) struct Disabled {
    path: PathBuf,
    stopped: Stopped,
    /// Why nobody knows what was stopped; everything is, then.
    unknown: Option<String>,
}

impl Disabled {
    /// What the file says. Where it cannot be read, all tools are stopped.
    pub(super) fn read(path: PathBuf) -> Self {
        match stored(&path) {
            Ok(stopped) => Self { path, stopped, unknown: None },
            Err(source) => {
                let stopped = Stopped::AllBut(BTreeSet::new());
                let unknown = DisabledError { attempt: "read", path: path.clone(), source }.to_string();
                Self { path, stopped, unknown: Some(unknown) }
            }
        }
    }

    /// Why all tools are stopped, if nobody has said so.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Whether this one is.
    pub(super) fn has(&self, tool: &ToolName) -> bool {
        match &self.stopped {
            Stopped::These(tools) => tools.contains(tool),
            Stopped::AllBut(tools) => !tools.contains(tool),
        }
    }

    /// Whether the file has its name, so that it can be started though there is no manifest of it.
    pub(super) fn names(&self, tool: &ToolName) -> bool {
        matches!(&self.stopped, Stopped::These(tools) if tools.contains(tool))
    }

    /// Stops a tool, as long as the broker runs.
    pub(super) fn stop(&mut self, tool: &ToolName) {
        match &mut self.stopped {
            Stopped::These(tools) => drop(tools.insert(tool.clone())),
            Stopped::AllBut(tools) => drop(tools.remove(tool)),
        }
    }

    /// Makes what is stopped last.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn keep(&self) -> Result<(), DisabledError> {
        // What nobody could read may still be mended.
        if self.unknown.is_some() {
            return Ok(());
        }
        self.write(&self.stopped)
    }

    /// Takes a tool back, and makes that last; where the file could not be read, it may have been mended.
    ///
    /// # Errors
    /// If the file cannot be written: the tool stays stopped.
    pub(super) fn start(&mut self, tool: &ToolName) -> Result<(), DisabledError> {
        if self.unknown.is_some() {
            let again = Self::read(self.path.clone());
            if again.unknown.is_none() {
                *self = again;
            }
        }
        let mut stopped = self.stopped.clone();
        match &mut stopped {
            Stopped::These(tools) => drop(tools.remove(tool)),
            Stopped::AllBut(tools) => drop(tools.insert(tool.clone())),
        }
        self.write(&stopped)?;
        self.stopped = stopped;
        self.unknown = None;
        Ok(())
    }

    /// Whoever reads meanwhile reads the old file or the new one, whatever happens to this process.
    fn write(&self, stopped: &Stopped) -> Result<(), DisabledError> {
        let (all, tools) = match stopped {
            Stopped::These(tools) => (false, tools),
            Stopped::AllBut(tools) => (true, tools),
        };
        let mut text = if all { format!("{ALL}\n") } else { String::new() };
        tools.iter().for_each(|tool| text.extend([tool.as_str(), "\n"]));
        let written = || -> io::Result<()> {
            if tools.len() > TOOLS_MAX {
                return Err(io::Error::other(format!("there is room for {TOOLS_MAX} tools in it")));
            }
            let draft = self.path.with_extension("new");
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::open(&draft, flags, Mode::RUSR | Mode::WUSR)?);
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
        };
        written().map_err(|source| DisabledError { attempt: "written", path: self.path.clone(), source })
    }
}

fn stored(path: &Path) -> io::Result<Stopped> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(Stopped::These(BTreeSet::new())),
        opened => File::from(opened?),
    };
    let bad = |why: &str| io::Error::new(ErrorKind::InvalidData, why.to_owned());
    if !file.metadata()?.is_file() {
        return Err(bad("it is no regular file"));
    }
    let mut text = String::new();
    file.take(SIZE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(bad("it is longer than all names of tools"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(bad("its last line has no end"));
    }
    let mut lines = text.split_terminator('\n').enumerate().peekable();
    let all = lines.next_if(|(_, line)| *line == ALL).is_some();
    let name = |(at, name): (usize, &str)| name.parse().map_err(|error| bad(&format!("line {}: {error}", at + 1)));
    let tools = lines.map(name).collect::<io::Result<_>>()?;
    Ok(if all { Stopped::AllBut(tools) } else { Stopped::These(tools) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> ToolName {
        name.parse().unwrap()
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disabled");
        (dir, path)
    }

    #[test]
    fn what_is_stopped_is_so_for_the_next_broker_until_it_is_started() {
        let (_dir, path) = file();
        let mut disabled = Disabled::read(path.clone());
        assert!(!disabled.has(&tool("gh")));
        for name in ["gh", "npm"] {
            disabled.stop(&tool(name));
            disabled.keep().unwrap();
        }
        let mut next = Disabled::read(path.clone());
        assert!(next.has(&tool("gh")) && next.has(&tool("npm")) && !next.has(&tool("git")));
        next.start(&tool("gh")).unwrap();
        let last = Disabled::read(path.clone());
        assert!(!last.has(&tool("gh")) && last.has(&tool("npm")) && last.names(&tool("npm")));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "npm\n");
    }

    #[test]
    fn a_file_that_says_nothing_certain_stops_everything_and_is_named() {
        for text in ["gh", "gh\n\n", "GH\n", "../gh\n", "gh\0\n", "**\n", "*gh\n", &"a\n".repeat(1 << 16), "\u{202e}\n"]
        {
            let (_dir, path) = file();
            std::fs::write(&path, text).unwrap();
            let disabled = Disabled::read(path.clone());
            assert!(disabled.has(&tool("git")), "{text:?}");
            let why = disabled.unknown().unwrap();
            assert!(why.contains(path.to_str().unwrap()) && why.contains("rcc plugin start"), "{why}");
        }
        let (_dir, path) = file();
        std::fs::create_dir(&path).unwrap();
        assert!(Disabled::read(path).has(&tool("git")));
        let (dir, path) = file();
        std::fs::write(dir.path().join("elsewhere"), "gh\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(Disabled::read(path).has(&tool("git")));
    }

    #[test]
    fn behind_a_broken_file_only_what_is_started_is_taken_back() {
        let (_dir, path) = file();
        std::fs::write(&path, "gh\nnp").unwrap();
        let mut disabled = Disabled::read(path.clone());
        disabled.stop(&tool("cargo"));
        disabled.keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "gh\nnp");
        disabled.start(&tool("git")).unwrap();
        let mut next = Disabled::read(path.clone());
        assert!(!next.has(&tool("git")) && next.has(&tool("gh")) && next.has(&tool("unheard-of")));
        assert_eq!(next.unknown(), None);
        next.stop(&tool("git"));
        next.keep().unwrap();
        assert!(Disabled::read(path).has(&tool("git")));
    }

    #[test]
    fn a_file_that_was_mended_holds_again_with_the_next_start() {
        let (_dir, path) = file();
        std::fs::write(&path, "gh\nnp").unwrap();
        let mut disabled = Disabled::read(path.clone());
        std::fs::write(&path, "gh\nnpm\n").unwrap();
        disabled.start(&tool("npm")).unwrap();
        assert!(disabled.has(&tool("gh")) && !disabled.has(&tool("npm")) && !disabled.has(&tool("git")));
    }

    #[test]
    fn a_start_that_cannot_be_kept_is_none() {
        let (_dir, path) = file();
        let mut disabled = Disabled::read(path.clone());
        disabled.stop(&tool("gh"));
        disabled.keep().unwrap();
        // Nor does root write over that.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("x"), "").unwrap();
        let error = disabled.start(&tool("gh")).unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
        assert!(disabled.has(&tool("gh")));
    }
}
