//! A chamber, as the broker holds it.

use super::carry::{self, Outgoing, Replies};
use super::frame::{self, Reply, Request, STREAMS, Start};
use super::process::{Process, Said};
use super::spec::Spec;
use crate::plugin::credential::Secret;
use rustix::net::Shutdown;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

/// How long a chamber may take to stand: a project is searched, and pasta has waited 10 s for a host's routes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long its last words are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a chamber, or a call in it, did not start or end as it should.
#[derive(Debug, thiserror::Error)]
pub enum ChamberError {
    /// No process, or no socket.
    #[error("cannot start a sandbox for the tool: {0}")]
    Spawn(#[source] io::Error),
    /// What was asked is too long, or its paths are not UTF-8.
    #[error("cannot tell the tool's sandbox what to do: {0}")]
    Message(String),
    /// The sandbox was not started.
    #[error("the tool's sandbox was not started: {said}")]
    NotStarted {
        /// What the process said that was to start it.
        said: String,
    },
    /// It did not stand in time.
    #[error("the tool's sandbox did not start within {} seconds: {said}", PATIENCE.as_secs())]
    Late {
        /// What the process said that was to start it.
        said: String,
    },
    /// The sandbox has ended, and all that ran in it.
    #[error("the tool's sandbox has ended: {said}")]
    Ended {
        /// What the process said that had started it.
        said: String,
    },
    /// This call was not started, or this credential not taken.
    #[error("{error}")]
    Refused {
        /// 127 where there is no such program, else 126.
        exit_code: u8,
        /// Why, and what to do.
        error: String,
    },
}

/// A credential for a chamber.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its name, for [`Command::secret_environment`].
    pub name: String,
    /// Itself.
    pub secret: Arc<Secret>,
    /// A name in [`super::CREDENTIALS`], where it is to be a file (mode 0400).
    pub file: Option<String>,
}

/// A call.
#[derive(Debug)]
pub struct Command {
    /// Absolute; the spec's, or one that it executes.
    pub program: PathBuf,
    /// Beginning with the name that the program is to have.
    pub argv: Vec<String>,
    /// All of its environment.
    pub environment: BTreeMap<String, String>,
    /// Variables that have a credential, by its name.
    pub secret_environment: BTreeMap<String, String>,
    /// Absolute, in the project; `None` is the home.
    pub directory: Option<PathBuf>,
    /// Whether one of `streams` is a terminal of the sandbox's ([`Chamber::terminal`]), opened with `O_NOCTTY`, that
    /// is to be the program's own.
    pub terminal: bool,
    /// Standard input, output and error.
    pub streams: [OwnedFd; STREAMS],
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit status, if it exited.
    pub code: Option<u8>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
}

impl Ended {
    /// What a shell would say: the exit status, or 128 and the signal.
    pub fn exit_code(self) -> u8 {
        let killed = self.signal.and_then(|signal| u8::try_from(128 + signal).ok());
        self.code.or(killed).unwrap_or(u8::MAX)
    }
}

/// A running sandbox for one tool. Dropped, it ends, and what runs in it is killed.
#[derive(Debug)]
pub struct Chamber {
    link: Arc<Link>,
    /// Its end is the word to end.
    life: Mutex<Option<oneshot::Sender<()>>>,
}

/// What its calls need of a chamber.
#[derive(Debug)]
struct Link {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    state: Mutex<State>,
    said: Said,
}

/// What a request comes to: a descriptor, where it asks for one.
type Answer = Result<Option<OwnedFd>, ChamberError>;

/// Who waits for what becomes of a call.
#[derive(Debug)]
struct Waiting {
    end: oneshot::Sender<Ended>,
    stops: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last request.
    last: u64,
    /// Who waits for an answer.
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    /// Who waits for a call's end.
    ends: HashMap<u64, Waiting>,
    /// Whether the sandbox has ended.
    over: bool,
}

impl Chamber {
    /// Starts the sandbox and gives it its credentials. To be called on the broker's main thread: when the
    /// calling thread ends, the sandbox does.
    ///
    /// # Errors
    /// It does not stand, and why: most often what the firewall or the configuration lacks.
    pub async fn start(spec: &Spec, credentials: &[Delivery]) -> Result<Self, ChamberError> {
        let first = Outgoing { frame: frame::encode(spec, 0).map_err(message)?, secret: None, streams: Vec::new() };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(ChamberError::Spawn)?;
        ours.set_nonblocking(true).map_err(ChamberError::Spawn)?;
        let (process, stderr) = Process::start(theirs).map_err(ChamberError::Spawn)?;
        let (reader, writer) = UnixStream::from_std(ours).map_err(ChamberError::Spawn)?.into_split();
        let socket = reader.as_ref().as_fd().try_clone_to_owned().map_err(ChamberError::Spawn)?;
        let mut replies = Replies::of(reader);
        let (outgoing, queue) = mpsc::unbounded_channel();
        let said = Said::default();
        let listening = tokio::spawn(said.clone().listen(stderr));
        let link = Arc::new(Link { outgoing, state: Mutex::default(), said });
        let (life, end) = oneshot::channel::<()>();
        let weak = Arc::downgrade(&link);
        tokio::spawn(carry::write(writer, queue));
        tokio::spawn(keep(process, end, socket, Standing::new()));
        link.send(first);
        let stands = tokio::time::timeout(PATIENCE, replies.next()).await;
        if !matches!(stands, Ok(Ok((Reply::Ready, None)))) {
            let _ = tokio::time::timeout(LAST_WORDS, listening).await;
            let said = link.said.text();
            return Err(if stands.is_err() { ChamberError::Late { said } } else { ChamberError::NotStarted { said } });
        }
        tokio::spawn(async move {
            while let Ok((reply, along)) = replies.next().await {
                let Some(link) = weak.upgrade() else { return };
                link.take(reply, along);
            }
            let _ = tokio::time::timeout(LAST_WORDS, listening).await;
            weak.upgrade().inspect(|link| link.over());
        });
        let chamber = Self { link, life: Mutex::new(Some(life)) };
        for delivery in credentials {
            chamber.deliver(delivery).await?;
        }
        Ok(chamber)
    }

    /// Gives it a credential, in the place of the one that it has under this name.
    ///
    /// # Errors
    /// It cannot keep it, or has ended.
    pub async fn deliver(&self, delivery: &Delivery) -> Result<(), ChamberError> {
        let (number, answer) = self.link.number()?;
        let request = Request::Secret { number, name: delivery.name.clone() };
        let frame = self.link.frame(number, &request, delivery.secret.expose().len())?;
        self.link.send(Outgoing { frame, secret: Some(delivery.secret.clone()), streams: Vec::new() });
        self.link.answer(answer).await?;
        let Some(file) = delivery.file.clone() else { return Ok(()) };
        let (number, answer) = self.link.number()?;
        self.link.ask(&Request::SecretFile { number, name: delivery.name.clone(), file })?;
        self.link.answer(answer).await.map(drop)
    }

    /// Makes a terminal of the sandbox's own, for one call: its master. What the tool gets is the other side, which
    /// `TIOCGPTPEER` opens (ioctl_tty(2)).
    ///
    /// # Errors
    /// There is none to be had, or the sandbox has ended.
    pub async fn terminal(&self) -> Result<OwnedFd, ChamberError> {
        let (number, answer) = self.link.number()?;
        self.link.ask(&Request::Terminal { number })?;
        self.link.answer(answer).await?.ok_or_else(|| ChamberError::Message("no terminal came".to_owned()))
    }

    /// Runs a program.
    ///
    /// # Errors
    /// It was not started, and why; or the sandbox has ended.
    pub async fn run(&self, command: Command) -> Result<Running, ChamberError> {
        let Command { program, argv, environment, secret_environment, directory, terminal, streams } = command;
        let (number, answer) = self.link.number()?;
        let start = Start { number, program, argv, environment, secret_environment, directory, terminal };
        let frame = self.link.frame(number, &Request::Start(start), 0)?;
        let (tell, end) = oneshot::channel();
        let stops = Arc::new(Notify::new());
        self.link.state().ends.insert(number, Waiting { end: tell, stops: stops.clone() });
        let running = Running { link: self.link.clone(), number, end, stops, over: false };
        self.link.send(Outgoing { frame, secret: None, streams: streams.into() });
        self.link.answer(answer).await?;
        Ok(running)
    }

    /// Ends it, and all that runs in it, whoever still holds it.
    pub fn end(&self) {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.link.state().over = true;
    }

    /// Whether it still stands.
    pub fn is_alive(&self) -> bool {
        !self.link.state().over
    }

    /// What its process said: that its network was cut, for instance. At most the last 16 KiB.
    pub fn said(&self) -> String {
        self.link.said.text()
    }
}

/// A call that was started. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    link: Arc<Link>,
    number: u64,
    end: oneshot::Receiver<Ended>,
    stops: Arc<Notify>,
    over: bool,
}

/// Signals to a call that somebody else waits for.
#[derive(Clone, Debug)]
pub struct Signals {
    link: Arc<Link>,
    number: u64,
}

impl Signals {
    /// Sends a signal to the program's process group.
    pub fn send(&self, signal: i32) {
        let _ = self.link.ask(&Request::Signal { number: self.number, signal });
    }
}

impl Running {
    /// For who has signals to send.
    pub fn signals(&self) -> Signals {
        Signals { link: self.link.clone(), number: self.number }
    }

    /// Sends a signal to the program's process group.
    pub fn signal(&self, signal: i32) {
        self.signals().send(signal);
    }

    /// For who waits for its being stopped, as by a key of its terminal: notified each time.
    pub fn stops(&self) -> Arc<Notify> {
        self.stops.clone()
    }

    /// Kills the program and its process group.
    pub fn kill(&self) {
        let _ = self.link.ask(&Request::Kill { number: self.number });
    }

    /// Returns when the program has ended; what it left in its process group was killed. May be called until it
    /// has returned once.
    ///
    /// # Errors
    /// The sandbox ended before.
    pub async fn ended(&mut self) -> Result<Ended, ChamberError> {
        let ended = (&mut self.end).await;
        self.over = true;
        ended.map_err(|_| self.link.gone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let waiting = self.link.state().ends.remove(&self.number).is_some();
        if waiting && !self.over {
            self.kill();
        }
    }
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a request, and where its answer will be.
    fn number(&self) -> Result<(u64, oneshot::Receiver<Answer>), ChamberError> {
        let mut state = self.state();
        if state.over {
            drop(state);
            return Err(self.gone());
        }
        state.last += 1;
        let (number, (tell, answer)) = (state.last, oneshot::channel());
        state.answers.insert(number, tell);
        Ok((number, answer))
    }

    /// A request of this number; nobody waits for its answer where it cannot be sent.
    fn frame(&self, number: u64, request: &Request, rest: usize) -> Result<Vec<u8>, ChamberError> {
        frame::encode(request, rest).map_err(|error| {
            self.state().answers.remove(&number);
            message(error)
        })
    }

    async fn answer(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(self.gone())),
            // A tool has stopped the executor, which has its uid: nothing can be had of this sandbox any more.
            Err(_) => {
                self.over();
                Err(self.gone())
            }
        }
    }

    fn ask(&self, request: &Request) -> Result<(), ChamberError> {
        let frame = frame::encode(request, 0).map_err(message)?;
        self.send(Outgoing { frame, secret: None, streams: Vec::new() });
        Ok(())
    }

    /// Once the writer is gone, the end of the replies tells everybody.
    fn send(&self, outgoing: Outgoing) {
        let _ = self.outgoing.send(outgoing);
    }

    fn take(&self, reply: Reply, along: Option<OwnedFd>) {
        let mut state = self.state();
        match reply {
            Reply::Ready => (),
            Reply::Done { number } | Reply::Terminal { number } => {
                let _ = state.answers.remove(&number).map(|tell| tell.send(Ok(along)));
            }
            Reply::Failed { number, exit_code, error } => {
                state.ends.remove(&number);
                let refused = Err(ChamberError::Refused { exit_code, error });
                let _ = state.answers.remove(&number).map(|tell| tell.send(refused));
            }
            Reply::Stopped { number } => state.ends.get(&number).iter().for_each(|waiting| waiting.stops.notify_one()),
            Reply::Exited { number, code, signal } => {
                let _ = state.ends.remove(&number).map(|waiting| waiting.end.send(Ended { code, signal }));
            }
        }
    }

    /// The sandbox has ended: nobody is answered any more.
    fn over(&self) {
        let mut state = self.state();
        state.over = true;
        state.answers.clear();
        state.ends.clear();
    }

    fn gone(&self) -> ChamberError {
        ChamberError::Ended { said: self.said.text() }
    }
}

fn message(error: frame::FrameError) -> ChamberError {
    ChamberError::Message(error.to_string())
}

/// Processes of chambers that have not ended.
static STANDING: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Standing;

impl Standing {
    fn new() -> Self {
        STANDING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        STANDING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many chambers of this process stand, or have not come to their end yet.
pub fn standing() -> usize {
    STANDING.load(Ordering::Relaxed)
}

/// Ends the process when its handle is gone, or notices that it has ended.
async fn keep(process: Process, end: oneshot::Receiver<()>, socket: OwnedFd, _standing: Standing) {
    let asked = {
        let ended = std::pin::pin!(process.ended());
        matches!(futures_util::future::select(end, ended).await, futures_util::future::Either::Left(_))
    };
    // The executor reads the end, and ends.
    let _ = rustix::net::shutdown(&socket, Shutdown::Both);
    if asked {
        process.part().await;
    }
}
