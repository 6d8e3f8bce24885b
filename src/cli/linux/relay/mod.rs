//! `rcc relay`.

mod audit;
mod bridge;
mod inbox;
mod present;
mod schedule;
mod send;
mod sessions;
mod start;
mod state;

use crate::cli::relay::{RelayArguments, RelayCommand, ScheduleCommand, SessionCommand};
use crate::facts::Facts;
use crate::relay::client::{self, Candidates, Client, ClientError};
use crate::relay::pair;
use crate::relay::place::Place;
use crate::relay::wire::answer::Status;
use miette::IntoDiagnostic;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which relay is meant.
enum Ground {
    /// The system's, whose daemon has no home and no data of its own.
    System,
    /// That of the caller.
    Caller(Facts),
}

impl RelayArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let system = self.system;
        let ground = match system {
            true => Ground::System,
            false => Ground::Caller(Facts::gather().into_diagnostic()?),
        };
        match self.command {
            RelayCommand::Start { detach } => start::run(&ground, detach),
            RelayCommand::Bridge => bridge::run(&ground),
            RelayCommand::Stop => state::stop(&ground),
            RelayCommand::Status { json } => state::status(&ground, json),
            RelayCommand::Path(arguments) => state::path(&ground, &arguments),
            RelayCommand::Session(SessionCommand::List { all, json }) => sessions::list(&ground, all, json),
            RelayCommand::Session(SessionCommand::Show { session, json }) => sessions::show(&ground, &session, json),
            RelayCommand::Session(SessionCommand::Send(arguments)) | RelayCommand::Send(arguments) => {
                send::run(&ground, arguments)
            }
            RelayCommand::Inbox(arguments) => inbox::run(&ground, &arguments),
            RelayCommand::Schedule(arguments) => match arguments.command {
                None => schedule::list(&ground, arguments.json),
                Some(ScheduleCommand::Cancel { id }) => schedule::cancel(&ground, id),
            },
            RelayCommand::Watch => audit::watch(&ground),
            RelayCommand::Audit(arguments) => audit::run(&ground, &arguments),
            RelayCommand::Install(arguments) => arguments.run(&Facts::gather().into_diagnostic()?, system),
            RelayCommand::Uninstall(arguments) => arguments.run(&Facts::gather().into_diagnostic()?, system),
            RelayCommand::Ends => {
                pair::run()?;
                Ok(ExitCode::SUCCESS)
            }
            RelayCommand::Reload(arguments) => arguments.run(),
        }
    }
}

/// What the relay says that the caller's sandboxes join.
pub(super) fn state(facts: &Facts) -> Result<Status, ClientError> {
    state::ask(&mut client::find(facts).connect()?.0)
}

impl Ground {
    /// The sockets to try.
    fn candidates(&self) -> Candidates {
        match self {
            Self::System => Candidates { inside: false, sockets: vec![Place::system().socket()] },
            Self::Caller(facts) => client::find(facts),
        }
    }

    fn connect(&self) -> Result<Client, ClientError> {
        Ok(self.candidates().connect()?.0)
    }

    /// Where the audits of the caller's pairs are. The system's relay has none: an end is a user's.
    fn pairs(&self) -> PathBuf {
        match self {
            Self::Caller(facts) => client::own_place(facts).pairs(),
            Self::System => Place::system().pairs(),
        }
    }

    /// Where the relay is when its daemon is not asked. Who never had one of their own means the system's, if
    /// there is one.
    fn place(&self) -> Place {
        let system = Place::system();
        match self {
            Self::Caller(facts) => {
                let own = client::own_place(facts);
                if !own.state.is_dir() && system.run.is_dir() { system } else { own }
            }
            Self::System => system,
        }
    }
}
