//! The commands of plugins.

use crate::cli::plugin::ChamberArguments;
use crate::plugin::chamber;
use std::process::ExitCode;

impl ChamberArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        chamber::run(self.broker)?;
        Ok(ExitCode::SUCCESS)
    }
}
