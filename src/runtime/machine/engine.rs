//! Carries the calls of [`super::guard`] out, at the socket of an engine.

use super::guard::{self, BadId, Call, Id, LOOK, MEND, Output, Place, Step, StreamError};
use super::judge::Info;
use super::network::{self, NotOurs};
use crate::firewall::State;
use crate::firewall::machine::{LISTING_MAX, ListingError, Rules};
use crate::policy::ProfileName;
use crate::runtime::Image;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// An answer is no longer than this, in octets.
const ANSWER_MAX: usize = 1 << 20;
/// What a step writes is no longer than this: a listing, with its frames.
const STREAM_MAX: u64 = 2 * LISTING_MAX as u64;
/// How long one call or step may take. A container that waits ends by itself after as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the rules in a machine are not in force, or nobody can tell.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GuardError {
    /// The engine cannot be spoken to.
    #[error("cannot talk to the engine at {}: {source}", socket.display())]
    Connection {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("the engine refuses {method} {path}: {said} (status {status})")]
    Refused {
        /// What was asked of it.
        method: &'static str,
        /// On what.
        path: String,
        /// The status of HTTP.
        status: u16,
        /// Its words.
        said: String,
    },
    /// A network that rules would miss.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Network(#[from] NotOurs),
    /// An answer that names nothing.
    #[error(transparent)]
    Id(#[from] BadId),
    /// A stream of another kind.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// nft, or what should start it, has failed.
    #[error("`{command}` in a container of the image '{image}' ended with {status}: {said}")]
    #[diagnostic(help("the image must have nft and sleep: Debian's package `nftables` brings nft"))]
    Step {
        /// The command.
        command: String,
        /// The image.
        image: String,
        /// Its status.
        status: i64,
        /// What it wrote.
        said: String,
    },
    /// What is listed says nothing.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The rules were loaded and are not there.
    #[error("the rules were loaded in the engine's machine and are not what nft lists there now: {}", words(*state))]
    #[diagnostic(help("another program changes the table `inet rcc` there; nothing is started without it"))]
    Overwritten {
        /// What they are.
        state: State,
    },
}

fn words(state: State) -> &'static str {
    match state {
        State::InForce => "in force",
        State::Absent => "absent",
        State::Stale => "of another configuration",
        State::Drifted => "changed by hand",
    }
}

/// An engine.
#[derive(Debug)]
pub struct Engine {
    runtime: Runtime,
    socket: PathBuf,
}

/// A container of a moment; dropping it removes it.
struct Helper<'a> {
    engine: &'a Engine,
    id: Id,
}

impl Drop for Helper<'_> {
    fn drop(&mut self) {
        // It ends by itself, and is removed then.
        let _ = self.engine.call(&guard::remove(&self.id));
    }
}

impl Engine {
    /// At this socket. Nothing is said yet. It starts no thread.
    pub fn new(socket: PathBuf) -> io::Result<Self> {
        Ok(Self { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?, socket })
    }

    /// What its machine says of itself.
    pub fn info(&self) -> Result<Info, GuardError> {
        let answer = self.call(&guard::info())?;
        serde_json::from_value(answer).map_err(|error| self.broken(io::Error::other(error)))
    }

    /// Makes the network of a profile, unless it is there as it must be. `position` is the profile's in the policy.
    ///
    /// # Errors
    /// It is there and is another, or it cannot be made.
    pub fn network(&self, profile: &ProfileName, position: usize) -> Result<(), GuardError> {
        match self.call(&network::inspect(profile)) {
            Ok(answer) => Ok(network::check(&answer, profile, position)?),
            Err(GuardError::Refused { status: 404, .. }) => {
                self.call(&network::create(profile, position))?;
                let made = self.call(&network::inspect(profile))?;
                Ok(network::check(&made, profile, position)?)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings the rules into force in its machine; what they were before. They are left alone where they are whole.
    ///
    /// # Errors
    /// They are not in force, or nobody can tell.
    pub fn guard(&self, rules: &Rules, image: &Image) -> Result<State, GuardError> {
        let helper = |place| self.helper(place, rules, image);
        let (alone, machine) = (helper(Place::Alone)?, helper(Place::Machine)?);
        let of = |place| if place == Place::Alone { &alone } else { &machine };
        let step = |step: Step| self.step(of(step.place()), step, rules, image);
        let mut listings = Vec::new();
        for each in LOOK {
            listings.push(step(each)?);
        }
        let [_, expected, listed] = &listings[..] else { return Err(ListingError::NoComparison.into()) };
        let before = rules.judge(listed, expected)?;
        if before == State::InForce {
            return Ok(before);
        }
        let mut listed = Vec::new();
        for each in MEND {
            listed = step(each)?;
        }
        match rules.judge(&listed, expected)? {
            State::InForce => Ok(before),
            state => Err(GuardError::Overwritten { state }),
        }
    }

    fn helper(&self, place: Place, rules: &Rules, image: &Image) -> Result<Helper<'_>, GuardError> {
        let made = self.call(&guard::create(place, image, rules.version()))?;
        let helper = Helper { engine: self, id: Id::of(&made)? };
        self.call(&guard::start(&helper.id))?;
        Ok(helper)
    }

    /// What one step wrote on its standard output.
    fn step(&self, helper: &Helper<'_>, step: Step, rules: &Rules, image: &Image) -> Result<Vec<u8>, GuardError> {
        let exec = Id::of(&self.call(&guard::prepare(&helper.id, step))?)?;
        let input = if matches!(step, Step::Load(_)) { rules.text() } else { Vec::new() };
        let stream = self.wait(self.stream(&guard::run(&exec), &input))?;
        let Output { out, error } = guard::divide(&stream)?;
        let status = self.call(&guard::ended(&exec))?.get("ExitCode").and_then(Value::as_i64);
        if status == Some(0) {
            return Ok(out);
        }
        let said = if error.is_empty() { out } else { error };
        let said: String = String::from_utf8_lossy(&said).trim().chars().take(2000).collect();
        Err(GuardError::Step {
            command: step.command().join(" "),
            image: image.as_str().to_owned(),
            status: status.unwrap_or(-1),
            said: crate::shown::text(&said),
        })
    }

    /// One call; the answer, or null without one.
    fn call(&self, call: &Call) -> Result<Value, GuardError> {
        let (status, answer) = self.wait(async {
            let request = request(call)?;
            let (mut sender, connection) =
                handshake(TokioIo::new(UnixStream::connect(&self.socket).await?)).await.map_err(io::Error::other)?;
            // It ends with the runtime at the latest.
            tokio::spawn(connection);
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            Ok((response.status(), read(response.into_body()).await?))
        })?;
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            return Err(refused(call, status, &answer));
        }
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|error| self.broken(io::Error::other(error)))
    }

    /// Makes the connection the standard streams of a step, and returns what came until its end.
    async fn stream(&self, call: &Call, input: &[u8]) -> io::Result<Vec<u8>> {
        let mut request = request(call)?;
        request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("tcp"));
        let stream = TokioIo::new(UnixStream::connect(&self.socket).await?);
        let (mut sender, connection) = handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(io::Error::other(format!("it does not give the streams of a command ({})", response.status())));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(io::Error::other)?;
        let (reading, mut writing) = tokio::io::split(TokioIo::new(upgraded));
        // At the same time, so that neither side waits for the other's full pipe. Who ends early tells why by its status.
        let write = async {
            let _ = writing.write_all(input).await;
            let _ = writing.shutdown().await;
        };
        let mut written = Vec::new();
        let mut reading = reading.take(STREAM_MAX);
        let ((), read) = tokio::join!(write, reading.read_to_end(&mut written));
        read?;
        Ok(written)
    }

    fn wait<T>(&self, exchange: impl Future<Output = io::Result<T>>) -> Result<T, GuardError> {
        let slow = || io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
        let answer = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, exchange).await });
        answer.map_err(|_| slow()).and_then(|answer| answer).map_err(|source| self.broken(source))
    }

    fn broken(&self, source: io::Error) -> GuardError {
        GuardError::Connection { socket: self.socket.clone(), source }
    }
}

fn request(call: &Call) -> io::Result<Request<String>> {
    let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = Request::builder().method(call.method).uri(&call.path).header(header::HOST, "engine");
    request.header(header::CONTENT_TYPE, "application/json").body(body).map_err(io::Error::other)
}

fn refused(call: &Call, status: StatusCode, answer: &[u8]) -> GuardError {
    let said = serde_json::from_slice::<Value>(answer).ok();
    let said = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or_default();
    GuardError::Refused {
        method: call.method,
        path: call.path.clone(),
        status: status.as_u16(),
        said: crate::shown::text(said),
    }
}

async fn read(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

// They ask nft.
#[cfg(all(test, target_os = "linux"))]
mod tests;
