//! `rcc init`: the privileged step, and its undoing.

use super::launchctl;
use crate::cli::init::InitArgs;
use crate::enforcement;
use crate::facts::Facts;
use crate::firewall::{self, macos};
use crate::output;
use crate::setup::launchd::{self, Hooks, Plan};
use crate::setup::layout::Layout;
use crate::setup::{Failure, privilege, unit};
use crate::shown;
use std::path::Path;
use std::process::ExitCode;

impl InitArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// When not root, and what stopped it or its undoing.
    pub fn run(&self, facts: &Facts) -> miette::Result<ExitCode> {
        self.run_with(facts).map_err(|failure| miette::miette!("{failure}"))
    }

    fn run_with(&self, facts: &Facts) -> Result<ExitCode, Failure> {
        if self.print_unit {
            output::print(printed_unit(&privilege::running_program()?)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        if facts.user.uid != 0 {
            return Err("rcc init changes the host's firewall: run it as root, `sudo rcc init`".into());
        }
        if !self.users.is_empty() {
            return Err("users get network identities on Linux only: leave --user out".into());
        }
        if self.undo {
            launchd::check_editable(&Layout::host())?;
            with_hooks(|hooks| launchd::undo(&Layout::host(), self.purge, hooks))?;
            output::tell_line("nothing of rcc's set-up is left, except what is named above as kept");
            return Ok(ExitCode::SUCCESS);
        }
        execute()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Plans and executes `init`.
pub(super) fn execute() -> Result<(), Failure> {
    let (layout, running) = (Layout::host(), privilege::running_program()?);
    let plan = Plan::new(&layout, &running)?;
    Ok(with_hooks(|hooks| launchd::execute(&plan, &layout, &running, hooks))?)
}

fn with_hooks<T>(act: impl FnOnce(Hooks) -> T) -> T {
    act(Hooks {
        apply: &apply,
        reset: &|| Ok(firewall::reset()?),
        refer: &|| Ok(macos::conf::refer()?),
        forget: &|| Ok(macos::conf::forget()?),
        start: &launchctl::start,
        stop: &launchctl::stop,
        say: &|line| output::tell_line(line),
    })
}

/// Loads the rules that root's configuration asks for.
fn apply() -> Result<(), Failure> {
    Ok(firewall::apply(&enforcement::current()?, &firewall::gather()?)?)
}

/// The daemon as a package declares it: that nobody but root can change the program is the package's
/// care.
fn printed_unit(program: &Path) -> Result<String, Failure> {
    if !unit::is_text(program) {
        return Err(format!("{} can't stand in a property list: move rcc", shown::terminal(program)).into());
    }
    Ok(unit::launchd(program))
}
