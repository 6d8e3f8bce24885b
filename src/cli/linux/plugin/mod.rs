//! `rcc plugin`.

mod broker;
mod chamber;
mod logs;
mod present;
mod state;
mod unit;

use crate::cli::plugin::BrokerCommand;
use crate::facts::Facts;
use std::process::ExitCode;

impl BrokerCommand {
    pub(in crate::cli) fn run(self, facts: &Facts) -> miette::Result<ExitCode> {
        match self {
            Self::List { json } => state::list(facts, json),
            Self::Status { json } => state::status(facts, json),
            Self::Start(arguments) => match arguments.tool {
                Some(tool) => state::switch(facts, tool, true),
                None => broker::start(facts, arguments.detach, arguments.passing),
            },
            Self::Stop { tool: Some(tool) } => state::switch(facts, tool, false),
            Self::Stop { tool: None } => broker::stop(facts),
            Self::Unit => unit::print(facts),
            Self::Logs(arguments) => logs::run(facts, &arguments),
        }
    }
}
