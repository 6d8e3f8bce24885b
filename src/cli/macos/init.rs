//! `rcc init`.

use super::NoRuntime;
use crate::cli::init::InitArgs;
use crate::facts::Facts;
use std::process::ExitCode;

impl InitArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// Always.
    pub fn run(&self, _: &Facts) -> miette::Result<ExitCode> {
        Err(NoRuntime.into())
    }
}
