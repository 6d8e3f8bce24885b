//! `rcc init`: the privileged step, and its undoing.

use super::{record, wiring};
use crate::cli::init::InitArgs;
use crate::facts::Facts;
use crate::guest::program;
use crate::output;
use crate::setup::init::{self, Hooks, Plan};
use crate::setup::install::Images;
use crate::setup::layout::Layout;
use crate::setup::undo::{self, Scope};
use crate::setup::{Failure, Wiring, account, mend, privilege, sandboxes, unit};
use crate::shown;
use std::path::Path;
use std::process::ExitCode;

impl InitArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// When not root, for unknown users, and what stopped it or its undoing.
    pub fn run(&self, facts: &Facts) -> miette::Result<ExitCode> {
        wiring::with(|wiring| self.run_with(facts, wiring))
    }

    fn run_with(&self, facts: &Facts, wiring: Wiring) -> Result<ExitCode, Failure> {
        if self.print_unit {
            output::print(printed_unit(&privilege::running_program()?)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        if facts.user.uid != 0 {
            return Err("rcc init changes the host's firewall: run it as root, `sudo rcc init`".into());
        }
        if self.undo {
            let scope = Scope { force: self.force, purge: self.purge };
            let undo = || with_hooks(wiring, |hooks| undo::execute(&Layout::host(), scope, hooks));
            record::recorded("undo", None, undo)?;
            output::tell_line("nothing of rcc's set-up is left, except what is named above as kept");
            return Ok(ExitCode::SUCCESS);
        }
        execute(&self.users, facts, wiring)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The unit as a package installs it: that nobody but root can change the program is the package's care.
fn printed_unit(program: &Path) -> Result<String, Failure> {
    if !unit::is_plain(program) {
        return Err(format!(
            "{} can't stand in a unit file: move rcc to a path of letters, digits and ./_+- alone",
            shown::terminal(program)
        )
        .into());
    }
    Ok(unit::systemd(program))
}

/// Plans and executes `init` for these users, named or numbered.
pub(super) fn execute(users: &[String], facts: &Facts, wiring: Wiring) -> Result<(), Failure> {
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let uid = |user: &String| {
        let known = account::find(&passwd, user).map(|account| account.uid);
        // Accounts of a directory service are known by number alone.
        known.or_else(|| user.parse().ok()).ok_or_else(|| format!("no user {user:?} in /etc/passwd: give the uid"))
    };
    let named: Vec<u32> = users.iter().map(uid).collect::<Result<_, _>>()?;
    let configured = (wiring.users)()?;
    let targets = account::targets(&named, &configured, account::acting_for(facts, &passwd).uid);
    let layout = Layout::host();
    let running = privilege::running_program()?;
    let guest = program::beside(&running)?;
    let images = Images { program: Path::new("/proc/self/exe"), guest: &guest };
    let plan = Plan::new(&layout, &running, &targets)?;
    let init = || with_hooks(wiring, |hooks| init::execute(&plan, &layout, images, hooks));
    Ok(record::recorded_current("init", init)?)
}

fn with_hooks<T>(wiring: Wiring, act: impl FnOnce(Hooks) -> T) -> T {
    act(Hooks {
        apply: wiring.apply,
        reset: wiring.reset,
        command: &mend::run,
        sandboxes: &|| Ok(sandboxes::settled(Path::new("/proc"))?),
        say: &|line| output::tell_line(line),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_of_a_package_is_the_one_that_init_writes() {
        let program = Path::new("/nix/store/abc-rcc-0.1.0/bin/rcc");
        assert_eq!(printed_unit(program).unwrap(), unit::systemd(program));
        let hostile = "/tmp/x\nExecStartPre=/tmp/y";
        let refusal = printed_unit(Path::new(hostile)).unwrap_err().to_string();
        assert!(!refusal.contains('\n'), "{refusal}");
    }
}
