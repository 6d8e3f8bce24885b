//! `rcc setup`: says what the Mac lacks, and mends it when allowed.

use super::{NoRuntime, init, launchctl};
use crate::cli::setup::SetupArgs;
use crate::enforcement;
use crate::facts::Facts;
use crate::firewall::macos;
use crate::output;
use crate::policy::ruleset::Ruleset;
use crate::setup::layout::Layout;
use crate::setup::pf_doctor::{self, Copy, Observations, Rules};
use crate::setup::program::{self, Program};
use crate::setup::requirement::{Mender, Requirement};
use crate::setup::{Failure, privilege, report};
use serde_json::json;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

impl SetupArgs {
    /// Runs the command. Exit status 0 only if nothing is missing or too old.
    ///
    /// # Errors
    /// What stopped the mending; what is then missing was printed.
    pub fn run(&self, facts: &Facts) -> miette::Result<ExitCode> {
        if self.agent.is_some() {
            return Err(NoRuntime.into());
        }
        self.run_with(facts).map_err(|failure| miette::miette!("{failure}"))
    }

    fn run_with(&self, facts: &Facts) -> Result<ExitCode, Failure> {
        let root = facts.user.uid == 0;
        let found = look(root);
        let init_mends = |it: &Requirement| !it.is_ready() && it.mender == Mender::Init;
        if !found.iter().any(init_mends) {
            return self.finish(&found, facts);
        }
        if !self.json && !self.root_part {
            self.print(&found, facts)?;
        }
        if !self.is_allowed(root)? {
            return if self.json { self.finish(&found, facts) } else { Ok(ExitCode::FAILURE) };
        }
        if root {
            init::execute()?;
        } else {
            // What is left is said by looking again.
            let arguments = ["setup", "--yes", "--root-part"].map(OsString::from);
            privilege::rerun_as_root(&arguments, std::io::stdin().is_terminal())?;
        }
        self.finish(&look(root), facts)
    }

    fn is_allowed(&self, root: bool) -> Result<bool, Failure> {
        const WHAT: &str = "set up the firewall rules and their daemon (rcc init)";
        if self.yes {
            return Ok(true);
        }
        if self.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            if !self.json {
                output::tell_line(format_args!("\nTo {WHAT}, run: {} setup --yes", called()));
            }
            return Ok(false);
        }
        let how = if root { "" } else { " through sudo" };
        output::tell(format_args!("\nAs root: {WHAT}.\nDo that{how}? [Y/n] "));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer)?;
        // The end of the input is no consent.
        Ok(read > 0 && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
    }

    fn print(&self, found: &[Requirement], facts: &Facts) -> Result<(), Failure> {
        let terminal = std::io::stdout().is_terminal();
        let colour = report::wants_colour(terminal, facts.variable("NO_COLOR"), facts.variable("TERM"));
        Ok(output::print(report::table(found, colour))?)
    }

    fn finish(&self, found: &[Requirement], facts: &Facts) -> Result<ExitCode, Failure> {
        let ready = found.iter().all(Requirement::is_ready);
        if self.json {
            output::print_json(&json!({ "ready": ready, "requirements": found }))?;
        } else if !self.root_part {
            self.print(found, facts)?;
            let verdict = if ready { "the firewall is set up" } else { "rcc is not ready: see above" };
            output::print(format!("\n{verdict}\n"))?;
        }
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn look(root: bool) -> Vec<Requirement> {
    pf_doctor::judge(&Observations {
        rcc: called(),
        privileged: root,
        device: Path::new("/dev/pf").exists(),
        pf: root.then(|| rules().map_err(|error| error.to_string())),
        boot_reference: macos::conf::refers(),
        daemon: launchctl::is_loaded(),
        copy: copy(),
    })
}

fn rules() -> Result<Rules, Failure> {
    let ruleset = Ruleset::from(&enforcement::current()?);
    let found = macos::inspect()?;
    Ok(Rules { state: found.state(&ruleset), enabled: found.enabled, reference: found.reference })
}

/// Where the running program would be run in place, no copy is needed.
fn copy() -> Option<Copy> {
    let layout = Layout::host();
    let running = privilege::running_program().ok()?;
    match Program::choose(&layout, &running) {
        Program::InPlace(path) if path != layout.copy() => None,
        _ if !layout.copy().exists() => Some(Copy::Absent),
        _ => Some(if program::is_same(&layout.copy(), &running) { Copy::Current } else { Copy::Other }),
    }
}

/// How this program is called in remedies.
fn called() -> String {
    let running = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
    let installed = crate::facts::program("rcc").and_then(|path| std::fs::canonicalize(path).ok());
    if installed.is_some_and(|path| path == running) { "rcc".into() } else { running.display().to_string() }
}
