//! The networks that Apple's `container` has made for sandboxes. Its services are the logged-in user's own, so the tool
//! is run as that user; what it says is judged before it becomes a rule.

use crate::firewall::pf::Network;
use crate::runtime::apple::answers::{self, ANSWER_MAX, AnswerError};
use crate::runtime::apple::arguments;
use crate::runtime::apple::networks::{self, NetworksError};
use ipnet::IpNet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where the signed package puts the tool.
const TOOL: &str = "/usr/local/bin/container";
/// Part of macOS, on a volume that is sealed.
const LAUNCHCTL: &str = "/bin/launchctl";
const SUDO: &str = "/usr/bin/sudo";
/// Belongs to who is logged in at the screen.
const CONSOLE: &str = "/dev/console";

/// Why the networks are not known.
#[derive(Debug, thiserror::Error)]
pub enum VmnetError {
    /// The tool could not be run.
    #[error("cannot ask {TOOL} for the sandboxes' networks: {0}")]
    Run(#[from] io::Error),
    /// It refused.
    #[error("{TOOL} does not tell the sandboxes' networks, although this Mac has bridges: {0}")]
    Refused(String),
    /// What it said.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// Networks that no rules can be made for.
    #[error(transparent)]
    Networks(#[from] NetworksError),
}

/// The networks that have a bridge. On a Mac without any bridge nobody is asked.
///
/// # Errors
/// They cannot be told. What is loaded must stay then: without its rules a network would be open.
pub(super) fn read(addresses: &[(String, IpNet)]) -> Result<Vec<Network>, VmnetError> {
    if !networks::has_bridge(addresses) || !Path::new(TOOL).exists() {
        return Ok(Vec::new());
    }
    let user = std::fs::metadata(CONSOLE)?.uid();
    if user == 0 {
        return Ok(Vec::new());
    }
    let asked = ask(user)?;
    Ok(networks::behind_bridges(&answers::networks(&asked)?, addresses)?)
}

/// Services of a user are found from the user's own session alone (launchctl(1), `asuser`).
fn ask(user: u32) -> Result<Vec<u8>, VmnetError> {
    let mut command = Command::new(LAUNCHCTL);
    command.args(["asuser", &user.to_string(), SUDO, "-n", "-H", "-u", &format!("#{user}"), TOOL]);
    command.args(arguments::NETWORKS).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut answer = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(ANSWER_MAX as u64 + 1).read_to_end(&mut answer)?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() || answer.len() > ANSWER_MAX {
        return Ok(answer);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(VmnetError::Refused(crate::shown::text(said.trim())))
}
