//! Requests to the relay that outlive its restarts, or past it to whoever is paired.

use crate::relay::client::{Client, ClientError};
use crate::relay::pair;
use crate::relay::place::INSIDE_SOCKET;
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

/// Where a session's messages go and come from.
#[derive(Clone, Debug)]
pub struct Sockets {
    /// The session's own at the relay.
    pub relay: PathBuf,
    /// That of its pairs, where root made some.
    pub direct: Option<PathBuf>,
}

impl Sockets {
    /// Those of the sandbox in which this runs.
    pub fn inside() -> Self {
        let direct = Some(PathBuf::from(pair::INSIDE_SOCKET)).filter(|path| path.exists());
        Self { relay: INSIDE_SOCKET.into(), direct }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.relay).chain(&self.direct).map(PathBuf::as_path)
    }
}

/// A connection that is made when it is needed, and again when it broke.
#[derive(Debug)]
struct Way {
    path: PathBuf,
    connected: Option<Client>,
}

impl Way {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), connected: None }
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        if self.connected.is_none() {
            self.connected = Some(connect(&self.path)?);
        }
        let answer = self.connected.as_mut().expect("connected above").ask(request);
        if answer.as_ref().is_err_and(is_passing) {
            self.connected = None;
        }
        answer
    }
}

/// Whether another connection may be answered otherwise. A relay that ends says so before it closes the connection.
fn is_passing(error: &ClientError) -> bool {
    matches!(error.reason(), None | Some(Reason::Closing))
}

/// The session's ways to others.
#[derive(Debug)]
pub struct Post {
    relay: Way,
    direct: Option<Way>,
    /// How long a relay that is away is waited for, where there is no other way.
    patience: Duration,
}

impl Post {
    /// Nothing is connected yet.
    pub fn new(sockets: &Sockets, patience: Duration) -> Self {
        Self { relay: Way::new(&sockets.relay), direct: sockets.direct.as_deref().map(Way::new), patience }
    }

    /// Asks the relay, again where the connection breaks: the request must be one that may be carried out twice. A
    /// message that is sent has an id of its own for that. Where no relay is running, whoever is paired is asked; but
    /// a message that the relay may have taken goes past it never.
    ///
    /// # Errors
    /// What is refused at once; that the relay is away when that lasts.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, ClientError> {
        let is_message = matches!(request, Request::Send(_));
        let mut tried = false;
        let (deadline, mut pause) = (Instant::now() + self.patience, Pause::default());
        loop {
            let error = match self.relay.ask(request) {
                Err(error) if is_passing(&error) => error,
                settled => return settled,
            };
            tried |= error.is_uncertain();
            if let (ClientError::NotRunning { .. }, Some(direct)) = (&error, &mut self.direct)
                && !(tried && is_message)
            {
                match direct.ask(request) {
                    Err(ClientError::NotRunning { .. }) => {}
                    settled => return settled,
                }
            }
            if !pause.before(Some(deadline)) {
                return Err(error);
            }
        }
    }

    /// Asks the relay alone. `None` where it is not running, and whoever is paired can be asked.
    ///
    /// # Errors
    /// Those of [`Post::ask`].
    pub fn ask_relay<T: DeserializeOwned>(&mut self, request: &Request) -> Result<Option<T>, ClientError> {
        let (deadline, mut pause) = (Instant::now() + self.patience, Pause::default());
        loop {
            match self.relay.ask(request) {
                Err(ClientError::NotRunning { .. }) if self.direct.is_some() => return Ok(None),
                Err(error) if is_passing(&error) => {
                    if !pause.before(Some(deadline)) {
                        return Err(error);
                    }
                }
                settled => return settled.map(Some),
            }
        }
    }

    /// Asks what holds the session's pairs; `None` where there are none, or it has ended.
    pub fn ask_direct<T: DeserializeOwned>(&mut self, request: &Request) -> Option<T> {
        let direct = self.direct.as_mut()?;
        // What was connected before may have broken.
        (0..2).find_map(|_| direct.ask(request).inspect_err(|error| tracing::debug!("no direct answer: {error}")).ok())
    }
}
