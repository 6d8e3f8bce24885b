//! The wrapper's surroundings, and a broker that does what a test says.

use rcc::plugin::wire::allowance::Allowance;
use rcc::plugin::wire::frames::{self, Decoder, Sender, Tag};
use rcc::plugin::wire::{Control, Event, First, Response, Welcome};
use rustix::event::{PollFd, PollFlags, poll};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Whatever takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of sockets, and what the broker welcomes with.
pub struct Stage {
    directory: tempfile::TempDir,
    environment: Vec<String>,
    refusal: Option<&'static str>,
}

/// What came of a client in the streaming form.
#[derive(Debug, PartialEq)]
pub enum Said {
    Control(Control),
    Input(Vec<u8>),
    End,
}

/// The broker's side of one call.
pub struct Broker {
    stream: UnixStream,
    decoder: Decoder,
    pub wrapper: u32,
}

impl Stage {
    pub fn new<const N: usize>(environment: [&str; N]) -> Self {
        let environment = environment.map(str::to_owned).to_vec();
        Self { directory: tempfile::tempdir().unwrap(), environment, refusal: None }
    }

    /// The broker takes no call.
    pub fn refusing(self, why: &'static str) -> Self {
        Self { refusal: Some(why), ..self }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("gh.sock")
    }

    /// The program, started under this name.
    pub fn named<const N: usize>(&self, name: &str, arguments: [&str; N]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rcc-guest"));
        command.arg0(name).args(arguments).env("RCC_PLUGINS", self.directory.path());
        command
    }

    pub fn wrapper<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.named("/run/rcc/bin/gh", arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn without_broker<const N: usize>(&self, arguments: [&str; N]) -> Output {
        self.wrapper(arguments).output().unwrap()
    }

    /// Starts the wrapper, plays the broker, and waits for both.
    pub fn play(&self, command: Command, play: impl FnOnce(&mut Broker) + Send) -> Output {
        self.play_with(command, play, |child| child.wait_with_output().unwrap())
    }

    /// The same with another way to wait.
    pub fn play_with<T>(
        &self,
        mut command: Command,
        play: impl FnOnce(&mut Broker) + Send,
        wait: impl FnOnce(Child) -> T,
    ) -> T {
        let listener = UnixListener::bind(self.socket()).unwrap();
        std::thread::scope(|scope| {
            let child = command.spawn().unwrap();
            let wrapper = child.id();
            // What the command holds open, its ends of pipes, is held by the child alone from here.
            drop(command);
            let broker = scope.spawn(move || {
                let (stream, _) = listener.accept().unwrap();
                let mut broker = Broker::new(stream, wrapper);
                if self.greet(&mut broker) {
                    play(&mut broker);
                }
            });
            let outcome = wait(child);
            broker.join().unwrap();
            outcome
        })
    }

    fn greet(&self, broker: &mut Broker) -> bool {
        assert_eq!(broker.first(), First::Stream { version: 1 });
        if let Some(why) = self.refusal {
            broker.write(&frames::message(Sender::Broker, &Response::refused(126, why)).unwrap());
            return false;
        }
        let welcome = Welcome { version: 1, tool: "gh".into(), environment: self.environment.clone() };
        broker.write(&frames::message(Sender::Broker, &welcome).unwrap());
        true
    }
}

impl Broker {
    pub fn new(stream: UnixStream, wrapper: u32) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: Decoder::new(Sender::Client, &Allowance::of(4 << 20)), wrapper }
    }

    /// The next message of the simple form.
    pub fn first(&mut self) -> First {
        loop {
            if let Some(message) = self.decoder.message().unwrap() {
                return First::parse(message).unwrap();
            }
            assert!(self.fill(), "the client has gone");
        }
    }

    /// The next frame.
    pub fn hear(&mut self) -> Option<Said> {
        loop {
            if let Some(frame) = self.decoder.frame().unwrap() {
                return Some(match frame.tag {
                    Tag::Control => Said::Control(Control::parse(frame.payload).unwrap()),
                    _ if frame.payload.is_empty() => Said::End,
                    _ => Said::Input(frame.payload.to_vec()),
                });
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next frame, which is a control.
    pub fn control(&mut self) -> Control {
        match self.hear() {
            Some(Said::Control(control)) => control,
            other => panic!("{other:?}"),
        }
    }

    /// Standard input up to this many bytes, or its end; true if it has ended.
    pub fn input(&mut self, bytes: usize) -> (Vec<u8>, bool) {
        let mut input = Vec::new();
        while input.len() < bytes {
            match self.hear() {
                Some(Said::Input(piece)) => input.extend(piece),
                Some(Said::End) => return (input, true),
                other => panic!("{other:?}"),
            }
        }
        (input, false)
    }

    /// Whether nothing comes any more.
    pub fn has_gone(&mut self) -> bool {
        self.hear().is_none()
    }

    /// Returns when the wrapper has gone.
    pub fn wait_for_end(&mut self) {
        while !self.has_gone() {}
    }

    /// The next frame, if one comes within a moment.
    pub fn hear_soon(&mut self) -> Option<Said> {
        let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let mut ready = [PollFd::new(&self.stream, PollFlags::IN)];
        (poll(&mut ready, Some(&moment)).unwrap() > 0).then(|| self.hear()).flatten()
    }

    fn fill(&mut self) -> bool {
        match self.stream.read(self.decoder.space().unwrap()) {
            Ok(count) => {
                self.decoder.filled(count);
                count > 0
            }
            // It has gone without reading all that it was told.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes the call, and says that the tool runs.
    pub fn started(&mut self) {
        assert!(matches!(self.control(), Control::Exec { .. }));
        self.event(Event::Started);
    }

    pub fn event(&mut self, event: Event) {
        self.write(&frames::control(Sender::Broker, &event).unwrap());
    }

    pub fn credit(&mut self, bytes: u32) {
        self.event(Event::Credit { bytes });
    }

    pub fn exited(&mut self, exit_code: u8) {
        self.event(Event::Exited { exit_code, signal: None, read: None });
    }

    pub fn output(&mut self, bytes: &[u8]) {
        self.chunks(Tag::Output, bytes);
    }

    pub fn error(&mut self, bytes: &[u8]) {
        self.chunks(Tag::Error, bytes);
    }

    fn chunks(&mut self, tag: Tag, bytes: &[u8]) {
        for (header, payload) in frames::chunks(tag, bytes) {
            self.write(&header);
            self.write(payload);
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The wrapper's state: proc_pid_stat(5).
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.wrapper)).unwrap();
        stat[stat.rfind(") ").unwrap() + 2..].chars().next().unwrap()
    }

    /// A signal to the wrapper.
    pub fn kill(&self, signal: i32) {
        // SAFETY: kill touches no memory; the process is a child that nobody has waited for.
        assert_eq!(unsafe { libc::kill(self.wrapper as i32, signal) }, 0);
    }
}

/// A command of the shell's with the wrapper as `gh`.
pub fn shell(stage: &Stage, script: &str) -> Command {
    let program = stage.directory.path().join("gh");
    // A link of its name, as in a sandbox.
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rcc-guest"), &program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [stage.directory.path().as_os_str(), &path].join(OsStr::new(":"));
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("PATH", path).env("RCC_PLUGINS", stage.directory.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
