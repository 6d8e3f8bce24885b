//! `rcc guest`.

use crate::cli::guest::GuestCommand;
use crate::guest::{Delivery, git, hook, mcp};
use crate::plugin::git::serve;
use crate::plugin::http;
use crate::runtime::engine::first;
use std::process::ExitCode;

impl GuestCommand {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let delivery = |hooks| if hooks { Delivery::Hooks } else { Delivery::Socket };
        match self {
            Self::Mcp { hooks } => {
                mcp::run(delivery(hooks))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Hook { hooks, wait } => Ok(hook::run(delivery(hooks), wait)),
            Self::Container => Ok(ExitCode::from(first::run())),
            Self::GitHook { name, arguments } => Ok(git::hook::run(&name, &arguments)),
            Self::GitServe { task } => Ok(serve::run(&task)),
            Self::HttpForward { task } => Ok(http::serve::run(&task)),
        }
    }
}
