//! The other side: a client that waits for each answer.

use super::allowance::Allowance;
use super::frames::{self, BadFrame, Decoder, Sender};
use super::{Control, Event, First, Greeting, RESPONSE_MAX, Request, Response, Tag, VERSION, Welcome};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Memory for the longest answer: while its buffer grows there are two of them.
const MEMORY: usize = 2 * RESPONSE_MAX;

/// The broker was not reached, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there: `NotFound` and `ConnectionRefused` are what that looks like.
    #[error("cannot connect to the plugin's socket: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("the connection to the plugin broke: {0}")]
    Io(#[from] io::Error),
    /// It takes connections, or seems to, and says nothing.
    #[error("the plugin does not answer")]
    Silent,
    /// It was closed before an answer came.
    #[error("the plugin closed the connection")]
    Closed,
    /// What came is no frame, or what was to be sent is too long for one.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// What came is a frame, and not understood.
    #[error("the plugin's answer is not understood: {0}")]
    Json(#[from] serde_json::Error),
    /// It speaks, and says no.
    #[error("{}", .0.error.as_deref().unwrap_or("the plugin refused the connection and did not say why"))]
    Refused(Box<Response>),
}

/// A connection on which nothing was said, or the simple form is spoken.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    patience: Option<Duration>,
}

/// A connection in the streaming form.
#[derive(Debug)]
pub struct Streaming(Connection);

/// What the broker says in the streaming form.
#[derive(Debug, PartialEq)]
pub enum Heard<'a> {
    /// About the call.
    Event(Event),
    /// A piece of standard output.
    Output(&'a [u8]),
    /// A piece of standard error.
    Error(&'a [u8]),
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
}

impl Client {
    /// Connects. No single step takes longer than `patience`, also where nobody accepts connections; a call in the
    /// simple form takes as long as it takes.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let connected = || -> io::Result<UnixStream> {
            let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
            rustix::io::ioctl_fioclex(&socket)?;
            // connect(2) waits for a place in the queue as long as this (unix_stream_connect).
            set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
            connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(socket.into())
        };
        let stream = connected().map_err(ClientError::Connect)?;
        Ok(Self { patience: Some(patience), ..Self::over(stream) })
    }

    /// Over a connection that was made.
    pub fn over(stream: UnixStream) -> Self {
        let decoder = Decoder::new(Sender::Broker, &Allowance::of(MEMORY));
        Self { connection: Connection { stream, decoder }, patience: None }
    }

    /// The simple form: runs the tool, and waits for its end.
    ///
    /// # Errors
    /// If no answer came. A refusal is one.
    pub fn exec(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.connection.say(&First::Exec(request.clone()))?;
        self.connection.hear()
    }

    /// Says something else and waits for the answer: at the broker's own socket.
    ///
    /// # Errors
    /// If none came, or one that is not understood.
    pub fn ask<T: DeserializeOwned>(&mut self, said: &impl Serialize) -> Result<T, ClientError> {
        self.connection.say(said)?;
        self.connection.hear()
    }

    /// Asks for the streaming form.
    ///
    /// # Errors
    /// If the broker does not speak it, or speaks another version of it.
    pub fn stream(self) -> Result<(Welcome, Streaming), ClientError> {
        let Self { mut connection, patience } = self;
        connection.stream.set_read_timeout(patience)?;
        connection.say(&First::Stream { version: VERSION })?;
        let greeting = connection.hear()?;
        connection.stream.set_read_timeout(None)?;
        match greeting {
            Greeting::Welcome(welcome) => Ok((welcome, Streaming(connection))),
            Greeting::Refused(response) => Err(ClientError::Refused(Box::new(response))),
        }
    }
}

impl AsFd for Client {
    /// Readable when the broker says something, or has gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.stream.as_fd()
    }
}

impl Streaming {
    /// Says something about the call; the first time, which.
    ///
    /// # Errors
    /// If the broker has gone, or it is too much for one frame.
    pub fn say(&mut self, said: &Control) -> Result<(), ClientError> {
        let frame = frames::control(Sender::Client, said)?;
        Ok(self.0.stream.write_all(&frame)?)
    }

    /// Sends standard input, for which there must be credit; nothing is its end.
    ///
    /// # Errors
    /// If the broker has gone.
    pub fn input(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        for (header, payload) in frames::chunks(Tag::Input, bytes) {
            self.0.stream.write_all(&header)?;
            self.0.stream.write_all(payload)?;
        }
        Ok(())
    }

    /// Waits for what the broker says next.
    ///
    /// # Errors
    /// If it has gone, or says what is not understood.
    pub fn hear(&mut self) -> Result<Heard<'_>, ClientError> {
        let Connection { stream, decoder } = &mut self.0;
        let found = loop {
            match decoder.find_frame()? {
                Some(found) => break found,
                None => fill(stream, decoder)?,
            }
        };
        Heard::of(decoder.framed(found))
    }

    /// The socket, and what was read from it: for whoever waits for more than the broker.
    pub fn into_parts(self) -> (UnixStream, Decoder) {
        (self.0.stream, self.0.decoder)
    }
}

impl<'a> Heard<'a> {
    /// What a frame of the broker's says.
    ///
    /// # Errors
    /// If it is not understood.
    pub fn of(frame: frames::Frame<'a>) -> Result<Self, ClientError> {
        Ok(match frame.tag {
            Tag::Output => Self::Output(frame.payload),
            Tag::Error => Self::Error(frame.payload),
            Tag::Control => Self::Event(serde_json::from_slice(frame.payload)?),
            // The decoder lets it through from clients only.
            Tag::Input => return Err(BadFrame::UnknownTag(Tag::Input as u8).into()),
        })
    }
}

impl Connection {
    fn say(&mut self, said: &impl Serialize) -> Result<(), ClientError> {
        let frame = frames::message(Sender::Client, said)?;
        match self.stream.write_all(&frame) {
            // It may have closed with a refusal, which can still be read.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        loop {
            if let Some(message) = self.decoder.message()? {
                return Ok(serde_json::from_slice(message)?);
            }
            fill(&mut self.stream, &mut self.decoder)?;
        }
    }
}

fn fill(stream: &mut UnixStream, decoder: &mut Decoder) -> Result<(), ClientError> {
    match stream.read(decoder.space()?) {
        Ok(0) => Err(ClientError::Closed),
        Ok(count) => {
            decoder.filled(count);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ClientError::Silent),
        Err(error) => Err(error.into()),
    }
}
