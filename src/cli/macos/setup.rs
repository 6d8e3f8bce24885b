//! `rcc setup`.

use super::NoRuntime;
use crate::cli::setup::SetupArgs;
use crate::facts::Facts;
use std::process::ExitCode;

impl SetupArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Always.
    pub fn run(&self, _: &Facts) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}
