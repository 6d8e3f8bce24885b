//! launchctl(1).

use crate::setup::{Failure, unit};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Part of macOS, on a volume that is sealed.
const LAUNCHCTL: &str = "/bin/launchctl";
/// How long a daemon may take to end. launchd itself kills it after 20 s (`ExitTimeOut`,
/// launchd.plist(5)).
const PATIENCE: Duration = Duration::from_secs(25);

/// Whether launchd knows our daemon. Needs no privilege.
pub(super) fn is_loaded() -> bool {
    let target = format!("system/{}", unit::LABEL);
    let asked = command(&["print", &target]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// Makes launchd run the daemon of this property list, now and at boot.
pub(super) fn start(plist: &Path) -> Result<(), Failure> {
    // Somebody may have disabled it by hand.
    run(&["enable", &format!("system/{}", unit::LABEL)])?;
    run(&["bootstrap", "system", &plist.to_string_lossy()])
}

/// Ends our daemon and waits for its end; says whether launchd knew it.
pub(super) fn stop() -> Result<bool, Failure> {
    if !is_loaded() {
        return Ok(false);
    }
    let target = format!("system/{}", unit::LABEL);
    // A refusal may only say that it is ending already.
    let said = run(&["bootout", &target]);
    let deadline = Instant::now() + PATIENCE;
    while is_loaded() {
        if Instant::now() > deadline {
            said?;
            return Err(format!("the daemon {} does not end", unit::LABEL).into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(true)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(LAUNCHCTL);
    command.args(arguments).env_clear().current_dir("/").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    let output = command(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("launchctl {}: {}", arguments.join(" "), crate::shown::text(said.trim())).into())
}
