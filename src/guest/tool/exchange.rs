//! One loop between the caller's side and the broker's.

use super::input::Input;
use super::outgoing::Outgoing;
use super::output::{Moved, Output, Passing, Waiting, Written};
use super::tty::Tty;
use crate::plugin::wire::client::{ClientError, Heard, Streaming};
use crate::plugin::wire::frames::{BadFrame, Decoder};
use crate::plugin::wire::{Control, Event, Signal, Stream, Tag, Terminal};
use crate::terminal::signals::SignalFd;
use crate::terminal::stdio::{StdioError, system};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal as Raw;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// How often to see whether a terminal that others use is ours again.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Bytes that are read at once where the rest of a long piece of output goes into a pipe without being read at all.
const READ: usize = 4 << 10;

/// Signals that the tool gets. The terminal's size goes another way.
const PASSED: [Raw; 9] =
    [Raw::INT, Raw::TERM, Raw::HUP, Raw::QUIT, Raw::USR1, Raw::USR2, Raw::TSTP, Raw::CONT, Raw::WINCH];
/// Signals that would end this process with the terminal in raw mode; they end it afterwards.
const FATAL: [Raw; 5] = [Raw::ALARM, Raw::VTALARM, Raw::PROF, Raw::XCPU, Raw::ABORT];

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The tool has ended.
    Exited {
        /// Its status, or 128 and the signal.
        exit_code: u8,
        /// The signal that ended it.
        signal: Option<i32>,
    },
    /// Nothing was run, or it was broken off.
    Refused {
        /// The status to exit with.
        exit_code: u8,
        /// Why.
        error: String,
    },
    /// See [`Event::Fallback`].
    Fallback,
}

/// A call broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The broker has gone, or says what is not understood.
    #[error("{0}: the tool was ended, and what it had not done is not done")]
    Broker(#[from] ClientError),
    /// What came is no frame.
    #[error("{0}")]
    Frame(#[from] BadFrame),
    /// The terminal.
    #[error(transparent)]
    Stdio(#[from] StdioError),
}

/// The caller's side of a call: signals are held back as long as it lives, and the terminal is as it was afterwards.
#[derive(Debug)]
pub struct Exchange {
    // Dropped in this order: the modes are restored while signals are still held back.
    tty: Option<Tty>,
    input: Input,
    outputs: [Output; 2],
    outgoing: Outgoing,
    waiting: Option<Waiting>,
    passing: Option<Passing>,
    signals: SignalFd,
}

/// What poll waits for.
#[derive(Clone, Copy)]
enum Token {
    Socket,
    Signals,
    Input,
    Output,
}

impl Exchange {
    /// Takes the caller's streams and signals over.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn new() -> Result<Self, StdioError> {
        let arriving = [&PASSED[..], &FATAL[..]].concat();
        let signals = SignalFd::new(&arriving, &[Raw::TTOU, Raw::TTIN]).map_err(system("receive signals"))?;
        Ok(Self {
            tty: Tty::find()?,
            input: Input::new()?,
            outputs: [Output::new(1)?, Output::new(2)?],
            outgoing: Outgoing::default(),
            waiting: None,
            passing: None,
            signals,
        })
    }

    /// What of the caller's streams is a terminal.
    pub fn terminal(&self) -> Option<Terminal> {
        self.tty.as_ref().and_then(Tty::offered)
    }

    /// Runs until the call has ended and all of its output is written. The connection is one on which the call was
    /// said.
    ///
    /// # Errors
    /// If the broker breaks off.
    pub fn run(mut self, connection: Streaming) -> Result<Ended, ExchangeError> {
        let (socket, mut decoder) = connection.into_parts();
        socket.set_nonblocking(true).map_err(ClientError::Io)?;
        loop {
            // What has come goes before what may come.
            while self.waiting.is_none()
                && self.passing.is_none()
                && let Some(((tag, range), left)) = decoder.split_frame(|tag| self.moves(tag))?
            {
                let stream = if tag == Tag::Output { Stream::Stdout } else { Stream::Stderr };
                self.passing = (left > 0).then_some(Passing { stream, left, full: false });
                match Heard::of(decoder.framed((tag, range.clone())))? {
                    Heard::Output(bytes) | Heard::Error(bytes) => self.write(stream, bytes, range)?,
                    Heard::Event(event) => {
                        if let Some(ended) = self.take(event, &socket)? {
                            return Ok(ended);
                        }
                    }
                }
            }
            if let Some(ended) = self.step(&socket, &mut decoder)? {
                return Ok(ended);
            }
        }
    }

    /// Whether a piece of output can be moved from the socket without being read.
    fn moves(&self, tag: Tag) -> bool {
        match tag {
            Tag::Output => self.outputs[0].is_pipe(),
            Tag::Error => self.outputs[1].is_pipe(),
            Tag::Control | Tag::Input => false,
        }
    }

    /// Waits, and does what there is to do.
    fn step(&mut self, socket: &UnixStream, decoder: &mut Decoder) -> Result<Option<Ended>, ExchangeError> {
        if let Some(tty) = &mut self.tty {
            tty.keep_mode()?;
        }
        self.outgoing.flush(socket.as_fd());
        for (token, events) in self.wait(socket)? {
            match token {
                Token::Signals => {
                    if let Some(ended) = self.take_signals(socket)? {
                        return Ok(Some(ended));
                    }
                }
                Token::Output if self.waiting.is_some() => self.resume(decoder)?,
                Token::Output => self.pass(socket)?,
                Token::Input => self.read_input(),
                // While output waits, what was read must stay where it is.
                Token::Socket if self.waiting.is_some() || events == PollFlags::OUT => {}
                Token::Socket if self.passing.is_some() => self.pass(socket)?,
                Token::Socket => self.receive(socket, decoder)?,
            }
        }
        Ok(None)
    }

    fn wait(&self, socket: &UnixStream) -> Result<Vec<(Token, PollFlags)>, ExchangeError> {
        let mut interests = vec![(Token::Signals, self.signals.as_fd(), PollFlags::IN)];
        let (mut events, mut tick) = (PollFlags::empty(), None);
        let full = self.passing.filter(|passing| self.waiting.is_none() && passing.full);
        events.set(PollFlags::IN, self.waiting.is_none() && full.is_none());
        events.set(PollFlags::OUT, !self.outgoing.is_empty());
        // Without events poll would tell of nothing but the end, again and again.
        if !events.is_empty() {
            interests.push((Token::Socket, socket.as_fd(), events));
        }
        let waiting = self.waiting.as_ref().map(|waiting| waiting.stream).or(full.map(|passing| passing.stream));
        if let Some(output) = waiting.and_then(|stream| self.outputs[stream as usize].waits_for()) {
            interests.push((Token::Output, output, PollFlags::OUT));
        }
        if self.tty.as_ref().is_some_and(Tty::is_others) {
            tick = Some(&TICK);
        } else if let Some(input) = self.input.waits_for().filter(|_| self.outgoing.is_empty()) {
            interests.push((Token::Input, input, PollFlags::IN));
        }
        let mut fds: Vec<PollFd<'_>> =
            interests.iter().map(|(_, fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
        match poll(&mut fds, tick) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(system("wait for the plugin and the caller")(error).into()),
        }
        let ready = interests.iter().zip(&fds).map(|((token, ..), fd)| (*token, fd.revents()));
        Ok(ready.filter(|(_, events)| !events.is_empty()).collect())
    }

    fn take(&mut self, event: Event, socket: &UnixStream) -> Result<Option<Ended>, ExchangeError> {
        match event {
            Event::Started => {}
            Event::Credit { bytes } => self.input.allow(bytes),
            Event::InputClosed => self.input.close(),
            Event::Stopped => self.stop(true, socket)?,
            Event::Fallback => return Ok(Some(Ended::Fallback)),
            Event::Exited { exit_code, signal, read } => {
                self.input.give_back(read);
                return Ok(Some(Ended::Exited { exit_code, signal }));
            }
            Event::Refused { exit_code, error } => return Ok(Some(Ended::Refused { exit_code, error })),
        }
        Ok(None)
    }

    /// Passes signals on. Some end if one ends this process.
    fn take_signals(&mut self, socket: &UnixStream) -> Result<Option<Ended>, ExchangeError> {
        while let Some(number) = self.signals.next() {
            match Signal::of_number(number) {
                None => {
                    let exit_code = u8::try_from(128 + number).unwrap_or(u8::MAX);
                    return Ok(Some(Ended::Exited { exit_code, signal: Some(number) }));
                }
                Some(Signal::Winch) => self.resize()?,
                Some(Signal::Tstp) => {
                    self.outgoing.say(&Control::Signal { signal: Signal::Tstp })?;
                    self.stop(false, socket)?;
                }
                Some(signal) => {
                    if let Some(tty) = self.tty.as_mut().filter(|_| signal == Signal::Cont) {
                        tty.recheck();
                    }
                    self.outgoing.say(&Control::Signal { signal })?;
                }
            }
        }
        Ok(None)
    }

    fn resize(&mut self) -> Result<(), BadFrame> {
        let Some(tty) = &self.tty else { return Ok(()) };
        let (rows, columns) = tty.size();
        self.outgoing.say(&Control::Resize { rows, columns })
    }

    /// Stops as the tool did, or is told to, and lets it go on with this process. A size that changed meanwhile was
    /// not told.
    fn stop(&mut self, group: bool, socket: &UnixStream) -> Result<(), ExchangeError> {
        self.outgoing.flush_all(socket.as_fd());
        Tty::stop(&mut self.tty, group).map_err(system("stop this process"))?;
        self.resize()?;
        Ok(self.outgoing.say(&Control::Signal { signal: Signal::Cont })?)
    }

    fn read_input(&mut self) {
        match self.input.read(&mut self.outgoing) {
            // From the background a terminal cannot be read (termios(3), job control).
            Err(Errno::IO) if self.tty.as_ref().is_some_and(Tty::is_others) => {}
            Err(_) => self.input.end(&mut self.outgoing),
            Ok(()) => {}
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8], range: Range<usize>) -> Result<(), ExchangeError> {
        match self.outputs[stream as usize].write(bytes).map_err(system("write what the tool has written"))? {
            Written::All => {}
            Written::Some(count) => {
                self.waiting = Some(Waiting { stream, range: range.start + count..range.end });
            }
            Written::Broken => self.outgoing.say(&Control::Close { stream })?,
        }
        Ok(())
    }

    fn resume(&mut self, decoder: &Decoder) -> Result<(), ExchangeError> {
        let Some(Waiting { stream, range }) = self.waiting.take() else { return Ok(()) };
        self.write(stream, decoder.at(range.clone()), range)
    }

    /// Moves what has come of a piece of output.
    fn pass(&mut self, socket: &UnixStream) -> Result<(), ExchangeError> {
        let Some(Passing { stream, mut left, mut full }) = self.passing.take() else { return Ok(()) };
        while left > 0 {
            let output = &mut self.outputs[stream as usize];
            match output.move_from(socket.as_fd(), left).map_err(system("pass on what the tool has written"))? {
                Moved::Some(0) => return Err(ClientError::Closed.into()),
                Moved::Some(count) => left = left.saturating_sub(count),
                Moved::Broken => self.outgoing.say(&Control::Close { stream })?,
                blocked @ (Moved::Nothing | Moved::Full) => {
                    full = blocked == Moved::Full;
                    break;
                }
            }
        }
        self.passing = (left > 0).then_some(Passing { stream, left, full });
        Ok(())
    }

    fn receive(&self, mut socket: &UnixStream, decoder: &mut Decoder) -> Result<(), ExchangeError> {
        let most = if self.outputs.iter().any(Output::is_pipe) && !decoder.is_unfinished() { READ } else { usize::MAX };
        let space = decoder.space()?;
        let most = most.min(space.len());
        match socket.read(&mut space[..most]) {
            Ok(0) => Err(ClientError::Closed.into()),
            Ok(count) => {
                decoder.filled(count);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(ClientError::Io(error).into()),
        }
    }
}
