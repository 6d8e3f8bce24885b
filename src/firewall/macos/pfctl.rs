//! pfctl(8): what the crate of the same name does not do. It reads no rules, takes no token, and
//! kills more states than it is asked to: it leaves the masks of addresses empty, so that every
//! state of the same protocol fits.

use crate::firewall::pf::{ANCHOR, loaded};
use ipnet::IpNet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Part of macOS, on a volume that is sealed.
const PFCTL: &str = "/sbin/pfctl";

/// pfctl did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum PfctlError {
    /// It did not start.
    #[error("cannot run {PFCTL}: {0}")]
    Start(#[from] std::io::Error),
    /// It refused.
    #[error("cannot {doing}: pfctl said: {said}")]
    Refused {
        /// What was attempted.
        doing: &'static str,
        /// Its own words, without control characters.
        said: String,
    },
}

/// The rules of our anchor; none where there is no anchor.
pub(super) fn anchor_rules() -> Result<loaded::Loaded, PfctlError> {
    let text = text("list the rules of the anchor", &["-a", ANCHOR, "-s", "rules"])?;
    Ok(loaded::Loaded::parse(&text))
}

/// How the main ruleset refers to it.
pub(super) fn reference() -> Result<loaded::Reference, PfctlError> {
    Ok(loaded::Reference::parse(&text("list the main rules", &["-s", "rules"])?))
}

/// Enables pf, or keeps it enabled, until the token is released.
pub(super) fn enable() -> Result<u64, PfctlError> {
    let output = run("enable pf", &["-E"], None)?;
    // It speaks on standard error.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    loaded::token(&said).ok_or_else(|| PfctlError::Refused { doing: "enable pf", said: plain(&said) })
}

/// Gives the token back; pf is disabled with the last one.
pub(super) fn release(token: u64) -> Result<(), PfctlError> {
    run("release pf", &["-X", &token.to_string()], None).map(drop)
}

/// Whether the kernel still counts the token.
pub(super) fn holds(token: u64) -> Result<bool, PfctlError> {
    Ok(loaded::holds(&text("list who has enabled pf", &["-s", "References"])?, token))
}

/// Ends the states of flows from and to these networks.
pub(super) fn kill_states(networks: &[IpNet]) -> Result<(), PfctlError> {
    for network in networks {
        let (network, any) = match network {
            IpNet::V4(net) => (net.to_string(), "0.0.0.0/0"),
            IpNet::V6(net) => (net.to_string(), "::/0"),
        };
        run("end flows that began under the old rules", &["-k", &network], None)?;
        run("end flows that began under the old rules", &["-k", any, "-k", &network], None)?;
    }
    Ok(())
}

/// Whether pf would take this text as its configuration. Loads nothing.
///
/// # Errors
/// With what pfctl has against it.
pub fn check_conf(text: &[u8]) -> Result<(), PfctlError> {
    run("check the new /etc/pf.conf", &["-n", "-f", "-"], Some(text)).map(drop)
}

fn text(doing: &'static str, arguments: &[&str]) -> Result<String, PfctlError> {
    Ok(String::from_utf8_lossy(&run(doing, arguments, None)?.stdout).into_owned())
}

fn run(doing: &'static str, arguments: &[&str], input: Option<&[u8]>) -> Result<Output, PfctlError> {
    let mut command = Command::new(PFCTL);
    command.args(arguments).env_clear().current_dir("/").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).spawn()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A refusal may close the pipe early; the status tells.
        let _ = pipe.write_all(input);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(PfctlError::Refused { doing, said: plain(&String::from_utf8_lossy(&output.stderr)) })
}

fn plain(text: &str) -> String {
    text.split_whitespace().map(crate::shown::text).collect::<Vec<_>>().join(" ")
}
