//! `git-remote-rcc`: connects git with a remote over the broker (gitremote-helpers(7)).
//!
//! It offers `connect` alone. Git takes that for pushes and fetches alike where it is offered, and speaks version
//! 2 of its protocol over it, if the other side does.

use super::plugins;
use crate::output;
use crate::plugin::wire::client::{Client, ClientError, Heard, Streaming};
use crate::plugin::wire::frames::{Decoder, chunks};
use crate::plugin::wire::{CHUNK_MAX, Control, Event, INPUT_WINDOW, Mode, Service, Tag};
use std::ffi::OsString;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The socket, in the directory of the plugins.
const SOCKET: &str = "git.sock";
/// How long one step of meeting the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest command of git's, in bytes.
const COMMAND_MAX: u64 = 8 << 10;
/// What git itself exits with when it dies.
const DIED: u8 = 128;

/// What stops the helper.
#[derive(Debug, thiserror::Error)]
enum RemoteError {
    #[error("no git plugin serves this sandbox: `rcc plugin list` on the host tells why")]
    NoPlugin,
    #[error("{0}")]
    Refused(String),
    #[error("{0} is not done over the git plugin, which fetches and pushes")]
    Unknown(String),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the connection with git broke: {0}")]
    Git(#[from] io::Error),
}

/// Serves git, which gives the name of a remote and its URL.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let [_, url] = &arguments[..] else {
        output::tell_line("fatal: git runs this program with the name of a remote and its URL");
        return ExitCode::from(DIED);
    };
    match serve(&url.to_string_lossy()) {
        Ok(code) => ExitCode::from(code),
        // Git has gone, and knows why.
        Err(RemoteError::Git(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(DIED),
        Err(error) => {
            output::tell_line(format_args!("fatal: rcc: {error}"));
            ExitCode::from(DIED)
        }
    }
}

fn serve(url: &str) -> Result<u8, RemoteError> {
    let mut git = io::stdin().lock();
    loop {
        let mut command = String::new();
        git.by_ref().take(COMMAND_MAX).read_line(&mut command)?;
        let command = command.trim_end_matches('\n');
        match command.split_once(' ').unwrap_or((command, "")) {
            // An empty line ends a batch of commands, and the end of the stream everything.
            ("", _) => return Ok(0),
            ("capabilities", _) => say("connect\noption\n\n")?,
            ("option", _) => say("unsupported\n")?,
            ("connect", service) => {
                let services = [Service::UploadPack, Service::ReceivePack];
                let service = services.into_iter().find(|known| known.as_str() == service);
                let Some(service) = service else { return Err(RemoteError::Unknown(command.to_owned())) };
                let streaming = connect(url, service)?;
                say("\n")?;
                // The thread that passes on what git says takes it over, with what was read ahead.
                drop(git);
                return pass(streaming);
            }
            _ => return Err(RemoteError::Unknown(command.to_owned())),
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    let mut git = io::stdout().lock();
    git.write_all(text.as_bytes())?;
    git.flush()
}

fn connect(url: &str, service: Service) -> Result<Streaming, RemoteError> {
    let client = Client::connect(&plugins().join(SOCKET), PATIENCE).map_err(|error| match error {
        ClientError::Connect(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            RemoteError::NoPlugin
        }
        error => error.into(),
    })?;
    let (_, mut streaming) = client.stream()?;
    streaming.say(&Control::Connect { service, url: url.to_owned(), mode: Mode::Connect })?;
    loop {
        match streaming.hear()? {
            Heard::Event(Event::Started) => return Ok(streaming),
            Heard::Event(Event::Refused { error, .. }) => return Err(RemoteError::Refused(error)),
            Heard::Event(Event::Exited { .. } | Event::Fallback) => {
                return Err(RemoteError::Refused("the broker has no such connection with this remote".to_owned()));
            }
            Heard::Error(text) => output::tell(String::from_utf8_lossy(text)),
            Heard::Event(_) | Heard::Output(_) => {}
        }
    }
}

/// Passes on what git says, on a thread that nobody waits for, and what the broker answers, until that ends.
fn pass(streaming: Streaming) -> Result<u8, RemoteError> {
    let (stream, mut decoder) = streaming.into_parts();
    let credit: &'static Credit = Box::leak(Box::new(Credit::new()));
    let to = stream.try_clone()?;
    std::thread::spawn(move || pass_input(to, credit));
    let mut from = stream;
    loop {
        if let Some(code) = heard(&mut decoder, credit)? {
            return Ok(code);
        }
        match from.read(decoder.space().map_err(ClientError::from)?) {
            Ok(0) => return Err(ClientError::Closed.into()),
            Ok(count) => decoder.filled(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::from(error).into()),
        }
    }
}

/// Acts on all frames that are there; the exit status, if the last one is among them.
fn heard(decoder: &mut Decoder, credit: &Credit) -> Result<Option<u8>, RemoteError> {
    let mut git = io::stdout().lock();
    while let Some(frame) = decoder.frame().map_err(ClientError::from)? {
        match Heard::of(frame)? {
            Heard::Output(bytes) => git.write_all(bytes)?,
            Heard::Error(text) => output::tell(String::from_utf8_lossy(text)),
            Heard::Event(Event::Credit { bytes }) => credit.add(bytes),
            Heard::Event(Event::Exited { exit_code, .. }) => {
                git.flush()?;
                return Ok(Some(exit_code));
            }
            Heard::Event(Event::Refused { error, .. }) => return Err(RemoteError::Refused(error)),
            Heard::Event(_) => {}
        }
    }
    git.flush()?;
    Ok(None)
}

fn pass_input(mut to: UnixStream, credit: &Credit) -> io::Result<()> {
    let mut git = io::stdin().lock();
    let mut held = vec![0; CHUNK_MAX];
    loop {
        let room = credit.wait().min(held.len());
        let count = match git.read(&mut held[..room]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        credit.take(count);
        // Of no bytes: the end.
        for (header, payload) in chunks(Tag::Input, &held[..count]) {
            to.write_all(&header)?;
            to.write_all(payload)?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Bytes that may be sent.
struct Credit {
    bytes: Mutex<usize>,
    more: Condvar,
}

impl Credit {
    fn new() -> Self {
        Self { bytes: Mutex::new(INPUT_WINDOW as usize), more: Condvar::new() }
    }

    fn add(&self, bytes: u32) {
        let mut held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.saturating_add(bytes as usize);
        self.more.notify_one();
    }

    fn wait(&self) -> usize {
        let held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let none = |bytes: &mut usize| *bytes == 0;
        *self.more.wait_while(held, none).unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, bytes: usize) {
        let mut held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.saturating_sub(bytes);
    }
}
