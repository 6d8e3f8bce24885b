//! What this Mac has of container engines.

use crate::cli::engines;
use crate::facts::{self, Facts};
use crate::runtime::apple::answers::{self, ANSWER_MAX};
use crate::runtime::apple::arguments;
use crate::runtime::machine::found::{Found, MacosVersion};
use miette::IntoDiagnostic;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Part of macOS, on a volume that is sealed.
const SW_VERS: &str = "/usr/bin/sw_vers";
/// Where Homebrew puts programs on Apple's processors; the others are in [`facts::program`]'s list.
const HOMEBREW: &str = "/opt/homebrew/bin/container";

/// Looks for all of them, and asks none.
pub(super) fn find(facts: &Facts) -> Found {
    let socket = |path: &str| engines::socket(&facts.user.home.join(path));
    let homebrew = || Some(PathBuf::from(HOMEBREW)).filter(|path| path.is_file());
    Found {
        version: version(),
        container: facts::program("container").or_else(homebrew),
        orbstack: socket(".orbstack/run/docker.sock"),
        docker_desktop: socket(".docker/run/docker.sock")
            .or_else(|| engines::socket(Path::new("/var/run/docker.sock"))),
        named: engines::named(facts),
    }
}

fn version() -> Option<MacosVersion> {
    let output = Command::new(SW_VERS).arg("-productVersion").env_clear().stdin(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.parse().ok()
}

/// Apple's tool has failed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`container {asked}` failed ({status}): {said}")]
#[diagnostic(help("`container system start` starts what it needs; `container system status` tells whether that runs"))]
struct ToolFailed {
    asked: String,
    status: String,
    said: String,
}

/// Whether Apple's tool answers, in a version whose answers are understood.
pub(super) fn check_apple(program: &Path, facts: &Facts) -> miette::Result<()> {
    answers::version(&ask(program, facts, &arguments::VERSION)?)?;
    Ok(())
}

/// The tool's answer. It gets nothing of the environment that could change what it means.
fn ask(program: &Path, facts: &Facts, words: &[&str]) -> miette::Result<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(words).env_clear().env("HOME", &facts.user.home).env("PATH", "/usr/bin:/bin").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().into_diagnostic()?;
    let mut answer = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(ANSWER_MAX as u64 + 1).read_to_end(&mut answer).into_diagnostic()?;
    }
    // It may have been cut off.
    let output = child.wait_with_output().into_diagnostic()?;
    if !output.status.success() && answer.len() <= ANSWER_MAX {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = crate::shown::text(said.trim());
        return Err(ToolFailed { asked: words.join(" "), status: output.status.to_string(), said }.into());
    }
    Ok(answer)
}
