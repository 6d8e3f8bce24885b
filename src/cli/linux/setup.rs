//! `rcc setup`: says what the host lacks, and mends it when allowed.

use super::{init, wiring};
use crate::cli::setup::SetupArgs;
use crate::facts::{self, Facts, User};
use crate::output;
use crate::setup::doctor::{self, Contributions};
use crate::setup::layout::Layout;
use crate::setup::mend::{self, Mending};
use crate::setup::observe::Observations;
use crate::setup::requirement::{Mender, Requirement};
use crate::setup::{Failure, Wiring, account, agent, other_user, packages, privilege, report};
use serde_json::json;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// What one run of `setup` works with.
struct Setup<'a> {
    args: &'a SetupArgs,
    facts: &'a Facts,
    wiring: Wiring<'a>,
    /// Who is going to run sandboxes.
    user: User,
}

/// What was found at one moment.
struct Found {
    observations: Observations,
    requirements: Vec<Requirement>,
}

impl Found {
    fn is_ready(&self) -> bool {
        self.requirements.iter().all(Requirement::is_ready)
    }
}

impl SetupArgs {
    /// Runs the command. Exit status 0 only if nothing is missing or too old.
    ///
    /// # Errors
    /// What stopped the mending; what is then missing was printed.
    pub fn run(&self, facts: &Facts) -> miette::Result<ExitCode> {
        wiring::with(|wiring| self.run_with(facts, wiring))
    }

    fn run_with(&self, facts: &Facts, wiring: Wiring) -> Result<ExitCode, Failure> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = account::acting_for(facts, &passwd);
        Setup { args: self, facts, wiring, user }.run()
    }

    /// The arguments for root's part.
    fn for_root(&self) -> Vec<OsString> {
        let agent = self.agent.map(|_| ["--agent", "claude"]).into_iter().flatten();
        ["setup", "--yes", "--root-part"].into_iter().chain(agent).map(OsString::from).collect()
    }
}

impl Setup<'_> {
    fn run(&self) -> Result<ExitCode, Failure> {
        let found = self.look();
        let mending = self.mending(&found);
        let agent_wanted = found.requirements.iter().any(|it| !it.is_ready() && it.mender == Mender::Agent);
        let agent_work = agent_wanted && !self.args.root_part;
        if found.is_ready() || (mending.is_empty() && !agent_work) {
            return self.finish(&found);
        }
        if !self.args.json && !self.args.root_part {
            self.print(&found)?;
        }
        if !mending.is_empty() && !self.mend(&mending, &found)? {
            return if self.args.json { self.finish(&found) } else { Ok(ExitCode::FAILURE) };
        }
        if agent_work {
            self.install_agent()?;
        }
        self.finish(&self.look())
    }

    fn look(&self) -> Found {
        let observations = Observations::gather(&Layout::host(), self.user.clone(), called());
        let firewall = (self.wiring.probe)(&self.user);
        let theirs = account::facts_of(&self.user, self.facts);
        // Root's part too: what the download needs may be a package.
        let agent = self.args.agent.map(|_| agent::find(&theirs, &theirs.cwd).map(|agent| agent.program));
        let contributions = Contributions { firewall: Some(firewall), agent };
        Found { requirements: doctor::judge(&observations, &contributions), observations }
    }

    fn mending(&self, found: &Found) -> Mending {
        Mending::of(&found.requirements, found.observations.family, packages::has_lists(Path::new("/")))
    }

    /// Root's part, here or through sudo; `false` if it was not allowed.
    fn mend(&self, mending: &Mending, found: &Found) -> Result<bool, Failure> {
        let root = self.facts.user.uid == 0;
        if !self.is_allowed(&mending.describe(), root)? {
            return Ok(false);
        }
        if !root {
            let interactive = std::io::stdin().is_terminal();
            // What is left is said by looking again.
            privilege::rerun_as_root(&self.args.for_root(), interactive)?;
            return Ok(true);
        }
        if let Some(plan) = &mending.packages {
            mend::install_packages(plan)?;
        }
        if mending.tun {
            mend::open_tun(found.observations.tun)?;
        }
        if mending.init {
            init::execute(&self.named(), self.facts, self.wiring)?;
        }
        Ok(true)
    }

    /// Who called sudo is to be ready, whoever else the configuration names.
    fn named(&self) -> Vec<String> {
        if self.user.uid == 0 { Vec::new() } else { vec![self.user.uid.to_string()] }
    }

    fn is_allowed(&self, what: &str, root: bool) -> Result<bool, Failure> {
        if self.args.yes {
            return Ok(true);
        }
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if self.args.json || !terminal {
            if !self.args.json {
                let agent = self.args.agent.map_or("", |_| " --agent claude");
                output::tell_line(format_args!("\nTo {what}, run: {} setup --yes{agent}", called()));
            }
            return Ok(false);
        }
        let how = if root { "" } else { " through sudo" };
        output::tell(format_args!("\nAs root: {what}.\nDo that{how}? [Y/n] "));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer)?;
        // The end of the input is no consent.
        Ok(read > 0 && matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
    }

    /// As the user, never as root for another.
    fn install_agent(&self) -> Result<(), Failure> {
        let theirs = account::facts_of(&self.user, self.facts);
        let install = || match agent::install(&theirs, &|line| output::tell_line(line)) {
            Ok(program) => {
                output::tell_line(format_args!("installed {}", program.display()));
                true
            }
            Err(error) => {
                output::tell_line(error);
                false
            }
        };
        let done = other_user::as_user(&self.user, &install)?;
        if done { Ok(()) } else { Err("Claude Code was not installed".into()) }
    }

    fn print(&self, found: &Found) -> Result<(), Failure> {
        let terminal = std::io::stdout().is_terminal();
        let colour = report::wants_colour(terminal, self.facts.variable("NO_COLOR"), self.facts.variable("TERM"));
        Ok(output::print(report::table(&found.requirements, colour))?)
    }

    /// The first thing to try.
    fn welcome(&self) -> String {
        let first = if self.args.agent.is_some() { "claude" } else { "shell" };
        format!("rcc is ready. In a project's directory, run: {} {first}", command())
    }

    fn finish(&self, found: &Found) -> Result<ExitCode, Failure> {
        if self.args.json {
            output::print_json(&json!({ "ready": found.is_ready(), "requirements": found.requirements }))?;
        } else if !self.args.root_part {
            self.print(found)?;
            let verdict = if found.is_ready() { self.welcome() } else { "rcc is not ready: see above.".into() };
            output::print(format!("\n{verdict}\n"))?;
        }
        Ok(if found.is_ready() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The name of the command, if there is one by now, or its place.
fn command() -> String {
    facts::program("rcc").map_or_else(called, |_| "rcc".into())
}

/// How this program is called in remedies: by its name where root's path leads to it, else by
/// its place.
fn called() -> String {
    let running = std::env::current_exe().unwrap_or_default();
    let installed = facts::program("rcc").and_then(|path| std::fs::canonicalize(path).ok());
    if installed.is_some_and(|path| path == running) { "rcc".into() } else { running.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::setup::AgentName;

    #[test]
    fn roots_part_never_asks_and_never_installs_an_agent_by_itself() {
        let args = SetupArgs { agent: Some(AgentName::Claude), json: true, ..SetupArgs::default() };
        assert_eq!(args.for_root(), ["setup", "--yes", "--root-part", "--agent", "claude"]);
    }
}
