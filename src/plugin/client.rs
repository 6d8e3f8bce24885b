//! The host's programs at the broker's own socket.

use super::control::{Ask, Reply};
use super::place::Place;
use super::wire::client::{self, ClientError};
use crate::facts::Facts;
use crate::session::{self, SessionError};
use crate::shown;
use miette::Diagnostic;
use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the broker may take for a step.
const PATIENCE: Duration = Duration::from_secs(30);

/// The broker was not asked, or said no.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum BrokerError {
    /// Nobody listens.
    #[error("no broker for plugins is running at {}", shown::terminal(path))]
    #[diagnostic(help("`rcc plugin start` runs it; a sandbox starts one by itself where there are plugins"))]
    NotRunning {
        /// Where it would.
        path: PathBuf,
    },
    /// The connection.
    #[error(transparent)]
    Client(ClientError),
    /// What it answers.
    #[error("{0}")]
    Refused(String),
    /// Its directory.
    #[error(transparent)]
    Directory(#[from] SessionError),
}

/// Where the caller's broker is.
///
/// # Errors
/// If there is no directory for it that is the caller's alone.
pub fn place(facts: &Facts) -> Result<Place, BrokerError> {
    let xdg = facts.variable("XDG_RUNTIME_DIR").map(Path::new);
    let runtime_dir = session::runtime_dir(facts.user.uid, xdg, &facts.data_dir)?;
    Ok(Place::new(&runtime_dir, &facts.data_dir))
}

/// A connection to the broker.
#[derive(Debug)]
pub struct Client(client::Client);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens, above all.
    pub fn connect(place: &Place) -> Result<Self, BrokerError> {
        let path = place.socket();
        client::Client::connect(&path, PATIENCE).map(Self).map_err(|error| match error {
            ClientError::Connect(source)
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                BrokerError::NotRunning { path }
            }
            error => BrokerError::Client(error),
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// If it refuses, or has gone.
    pub fn ask<T: DeserializeOwned>(&mut self, ask: &Ask) -> Result<T, BrokerError> {
        let Reply { data, error } = self.0.ask::<Reply<T>>(ask).map_err(BrokerError::Client)?;
        match (data, error) {
            (Some(data), None) => Ok(data),
            (_, Some(error)) => Err(BrokerError::Refused(error)),
            (None, None) => Err(BrokerError::Client(ClientError::Closed)),
        }
    }
}

impl AsFd for Client {
    /// Readable when the broker has gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
