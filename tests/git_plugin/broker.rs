//! Plays the broker: takes a connection at the plugin's socket, and runs the plugin's program with pipes.

use rcc::plugin::git::remote;
use rcc::plugin::git::task::{Access, Task};
use rcc::plugin::manifest::{Git, GitAccess};
use rcc::plugin::wire::allowance::Allowance;
use rcc::plugin::wire::frames::{self, Decoder, Sender};
use rcc::plugin::wire::{Control, Event, Mode, Service, Tag, VERSION, Welcome};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What the broker knows.
#[derive(Clone)]
pub struct Settings {
    pub manifest: Git,
    /// Where the plugin's sandbox would be: mirrors, credentials and decisions.
    pub directory: PathBuf,
    pub known_hosts: PathBuf,
    pub key: PathBuf,
}

/// The shim.
#[derive(Clone)]
pub struct Broker {
    pub settings: Arc<Mutex<Settings>>,
    /// All that went to clients.
    pub told: Arc<Mutex<Vec<u8>>>,
    /// The plugin's programs, in the order of their start.
    pub served: Arc<Mutex<Vec<u32>>>,
    /// The decisions that were recorded.
    pub recorded: Arc<Mutex<Vec<serde_json::Value>>>,
    /// How many decisions the journal has room for.
    pub room: Arc<AtomicUsize>,
}

impl Broker {
    pub fn listen(socket: &PathBuf, settings: Settings) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let decisions = UnixListener::bind(settings.directory.join("decisions")).unwrap();
        let broker = Self {
            settings: Arc::new(Mutex::new(settings)),
            told: Arc::default(),
            served: Arc::default(),
            recorded: Arc::default(),
            room: Arc::new(AtomicUsize::new(usize::MAX)),
        };
        let journal = broker.clone();
        std::thread::spawn(move || {
            for stream in decisions.incoming().flatten() {
                journal.record(stream);
            }
        });
        let shim = broker.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shim = shim.clone();
                std::thread::spawn(move || shim.serve(stream));
            }
        });
        broker
    }

    /// Until there is no room left in the journal.
    fn record(&self, stream: UnixStream) {
        for line in BufReader::new(&stream).lines().map_while(Result::ok) {
            if self.room.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(1)).is_err() {
                return;
            }
            self.recorded.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            let _ = (&stream).write_all(b"\n");
        }
    }

    fn serve(&self, mut stream: UnixStream) {
        let mut decoder = Decoder::new(Sender::Client, &Allowance::of(16 << 20));
        while decoder.message().unwrap().is_none() {
            let count = stream.read(decoder.space().unwrap()).unwrap();
            decoder.filled(count);
            if count == 0 {
                return;
            }
        }
        let welcome = Welcome { version: VERSION, tool: "git".to_owned(), environment: Vec::new() };
        stream.write_all(&frames::message(Sender::Broker, &welcome).unwrap()).unwrap();
        let Some(control) = control(&mut stream, &mut decoder) else { return };
        let Control::Connect { service, url, mode } = control else { panic!("{control:?}") };
        match self.task(service, &url, mode) {
            Ok(task) => self.run(stream, decoder, &task),
            Err(refusal) => {
                let refused = Event::Refused { exit_code: 126, error: refusal.to_string() };
                self.tell(&mut stream, &frames::control(Sender::Broker, &refused).unwrap());
            }
        }
    }

    /// What the plugin's program is told.
    pub fn task(&self, service: Service, url: &str, mode: Mode) -> Result<String, remote::Refusal> {
        let settings = self.settings.lock().unwrap().clone();
        let (host, upstream) = remote::resolve(url, &settings.manifest.hosts)?;
        let access = match &host.access {
            GitAccess::Https { ca, .. } => Access::Https { store: settings.directory.join("store"), ca: ca.clone() },
            GitAccess::Ssh { .. } => {
                Access::Ssh { key: settings.key.clone(), known_hosts: settings.known_hosts.clone() }
            }
        };
        let rules = settings.manifest.rules.clone();
        let (mirrors, decisions) = (settings.directory.join("mirrors"), settings.directory.join("decisions"));
        let hooks = settings.directory.join("hooks");
        let task = Task { service, mode, upstream, access, rules, mirrors, hooks, decisions };
        Ok(serde_json::to_string(&task).unwrap())
    }

    fn run(&self, mut stream: UnixStream, mut decoder: Decoder, task: &str) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rcc"))
            .args(["guest", "git-serve", task])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.served.lock().unwrap().push(child.id());
        let to = Arc::new(Mutex::new(stream.try_clone().unwrap()));
        self.tell(&mut to.lock().unwrap(), &frames::control(Sender::Broker, &Event::Started).unwrap());
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (shim, credit_to) = (self.clone(), Arc::clone(&to));
        std::thread::spawn(move || {
            let mut stdin = stdin;
            loop {
                while let Some(frame) = decoder.frame().unwrap() {
                    let bytes = frame.payload.len() as u32;
                    match &mut stdin {
                        _ if frame.tag != Tag::Input => {}
                        _ if bytes == 0 => stdin = None,
                        Some(pipe) => {
                            let _ = pipe.write_all(frame.payload);
                            let credit = frames::control(Sender::Broker, &Event::Credit { bytes }).unwrap();
                            shim.tell(&mut credit_to.lock().unwrap(), &credit);
                        }
                        None => {}
                    }
                }
                match stream.read(decoder.space().unwrap()) {
                    Ok(count) if count > 0 => decoder.filled(count),
                    _ => return,
                }
            }
        });
        let (shim, error_to) = (self.clone(), Arc::clone(&to));
        let errors = std::thread::spawn(move || shim.pass(stderr, Tag::Error, &error_to));
        self.pass(stdout, Tag::Output, &to);
        errors.join().unwrap();
        let code = child.wait().unwrap().code().unwrap_or(137) as u8;
        let exited = Event::Exited { exit_code: code, signal: None, read: None };
        self.tell(&mut to.lock().unwrap(), &frames::control(Sender::Broker, &exited).unwrap());
    }

    fn pass(&self, mut from: impl Read, tag: Tag, to: &Mutex<UnixStream>) {
        let mut held = vec![0; 64 << 10];
        while let Ok(count) = from.read(&mut held) {
            if count == 0 {
                return;
            }
            for (header, payload) in frames::chunks(tag, &held[..count]) {
                self.tell(&mut to.lock().unwrap(), &[&header, payload].concat());
            }
        }
    }

    fn tell(&self, stream: &mut UnixStream, bytes: &[u8]) {
        self.told.lock().unwrap().extend(bytes);
        let _ = stream.write_all(bytes);
    }
}

fn control(stream: &mut UnixStream, decoder: &mut Decoder) -> Option<Control> {
    loop {
        if let Some(frame) = decoder.frame().unwrap() {
            return Some(Control::parse(frame.payload).unwrap());
        }
        match stream.read(decoder.space().unwrap()) {
            Ok(count) if count > 0 => decoder.filled(count),
            _ => return None,
        }
    }
}
