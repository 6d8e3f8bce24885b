//! `rcc guest`.

use crate::cli::guest::GuestCommand;
use crate::plugin::git::serve;
use crate::plugin::http;
use std::process::ExitCode;

impl GuestCommand {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        match self {
            Self::GitServe { task } => Ok(serve::run(&task)),
            Self::HttpForward { task } => Ok(http::serve::run(&task)),
        }
    }
}
