//! Requests to the relay that outlive its restarts.

use crate::relay::client::{Client, ClientError};
use crate::relay::wire::answer::Registered;
use crate::relay::wire::{Reason, Register, Request, VERSION};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The first pause before another try; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Grows from try to try.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pause {
    /// Sleeps, but not beyond the deadline; false if that has come.
    pub fn before(&mut self, deadline: Option<Instant>) -> bool {
        let left = deadline.map_or(self.0, |deadline| deadline.saturating_duration_since(Instant::now()));
        std::thread::sleep(self.0.min(left));
        self.0 = (self.0 * 2).min(LAST_PAUSE);
        !left.is_zero()
    }
}

/// Connects as the session that the socket is.
///
/// # Errors
/// If nobody listens, or the relay says no.
pub fn connect(path: &Path) -> Result<Client, ClientError> {
    let mut client = Client::connect(path)?;
    let register = Register { name: None, session_id: None, secret: None, version: Some(VERSION) };
    client.ask::<Registered>(&Request::Register(register))?;
    Ok(client)
}

/// A connection that is made when it is needed, and again when it broke.
#[derive(Debug)]
pub struct Post {
    path: PathBuf,
    /// How long a relay that is away is waited for.
    patience: Duration,
    connected: Option<Client>,
}

impl Post {
    /// Nothing is connected yet.
    pub fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), patience, connected: None }
    }

    /// Asks, again where the connection breaks: the request must be one that may be carried out twice. A message
    /// that is sent has an id of its own for that.
    ///
    /// # Errors
    /// What the relay refuses at once; that it is away when that lasts.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.patience;
        let mut pause = Pause::default();
        loop {
            let answer = self.client().and_then(|client| client.ask(request));
            match answer {
                // A relay that ends says so before it closes the connection.
                Err(error) if matches!(error.reason(), None | Some(Reason::Closing)) => {
                    self.connected = None;
                    if !pause.before(Some(deadline)) {
                        return Err(error);
                    }
                }
                settled => return settled,
            }
        }
    }

    fn client(&mut self) -> Result<&mut Client, ClientError> {
        if self.connected.is_none() {
            self.connected = Some(connect(&self.path)?);
        }
        Ok(self.connected.as_mut().expect("connected above"))
    }
}
