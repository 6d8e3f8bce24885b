//! What the launcher and the sandbox's PID 1 tell each other.
//!
//! One message is one packet of a `SOCK_SEQPACKET` pair: a tag, three zero bytes and a number in
//! the machine's byte order, or a tag and text. The launcher takes what it receives for hostile: the
//! agent may have subverted PID 1.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Length of a message without text, in bytes.
const FIXED: usize = 8;
/// Longest text of [`Report::Failed`], in bytes; longer ones are cut.
pub const TEXT_MAX: usize = 2048;
/// Highest signal number of Linux (signal(7)).
const SIGNAL_MAX: i32 = 64;

const PTY: u8 = b'p';
const STARTED: u8 = b'b';
const STOPPED: u8 = b's';
const EXITED: u8 = b'e';
const KILLED: u8 = b'k';
const FAILED: u8 = b'f';
const SIGNAL: u8 = b'i';
const CONTINUE: u8 = b'c';

/// From the sandbox's PID 1.
#[derive(Debug)]
pub enum Report {
    /// The master of the agent's terminal. Comes before [`Report::Started`], once, if at all.
    Pty(OwnedFd),
    /// The agent runs.
    Started,
    /// The agent's main process was stopped by this signal.
    Stopped(i32),
    /// It ended with this status.
    Exited(u8),
    /// It was ended by this signal.
    Killed(i32),
    /// The sandbox could not be built or entered: why, without control characters.
    Failed(String),
}

/// From the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Send this signal to the agent.
    Signal(i32),
    /// Let the agent go on after a stop.
    Continue,
}

/// Why a message could not be sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The socket pair could not be made.
    #[error("cannot make the control socket: {0}")]
    Create(#[source] std::io::Error),
    /// Sending failed; `EAGAIN` if the other side doesn't read.
    #[error("cannot send to the other side of the control socket: {0}")]
    Send(#[source] std::io::Error),
    /// Receiving failed.
    #[error("cannot receive from the control socket: {0}")]
    Receive(#[source] std::io::Error),
    /// The other side is gone.
    #[error("the other side of the control socket is gone")]
    Closed,
    /// No message of this protocol; the sandbox must be ended.
    #[error("the control socket received something that is no message")]
    Malformed,
}

/// The launcher's end.
#[derive(Debug)]
pub struct LauncherEnd(OwnedFd);

/// PID 1's end.
#[derive(Debug)]
pub struct InitEnd(OwnedFd);

/// A connected pair. After the fork each side drops the other's end.
pub fn pair() -> Result<(LauncherEnd, InitEnd), ControlError> {
    let made = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (launcher, init) = made.map_err(|error| ControlError::Create(error.into()))?;
    Ok((LauncherEnd(launcher), InitEnd(init)))
}

impl LauncherEnd {
    /// Never waits: a PID 1 that doesn't read can't hold up the launcher.
    pub fn send(&self, request: Request) -> Result<(), ControlError> {
        let bytes = match request {
            Request::Signal(signal) => fixed(SIGNAL, signal),
            Request::Continue => fixed(CONTINUE, 0),
        };
        send(&self.0, &bytes, None, SendFlags::DONTWAIT)
    }

    /// Takes the next report without waiting; `None` if there is none now.
    pub fn receive(&self) -> Result<Option<Report>, ControlError> {
        let Some(packet) = Packet::receive(&self.0)? else { return Ok(None) };
        let number = packet.number();
        let report = match (packet.tag(), packet.fd) {
            (Some(PTY), Some(master)) if number == Some(0) => Report::Pty(master),
            // An fd that comes with anything else is closed by being dropped here.
            (_, Some(_)) => return Err(ControlError::Malformed),
            (Some(STARTED), None) if number == Some(0) => Report::Started,
            (Some(STOPPED), None) => Report::Stopped(signal(number)?),
            (Some(EXITED), None) => {
                let code = number.and_then(|code| u8::try_from(code).ok());
                Report::Exited(code.ok_or(ControlError::Malformed)?)
            }
            (Some(KILLED), None) => Report::Killed(signal(number)?),
            (Some(FAILED), None) => Report::Failed(printable(&packet.bytes[1..])),
            _ => return Err(ControlError::Malformed),
        };
        Ok(Some(report))
    }
}

impl InitEnd {
    /// Waits for room, except for [`Report::Stopped`], which may fail with `EAGAIN`: its loss must
    /// not keep PID 1 from reaping.
    pub fn send(&self, report: &Report) -> Result<(), ControlError> {
        let wait = SendFlags::empty();
        match report {
            Report::Pty(master) => send(&self.0, &fixed(PTY, 0), Some(master.as_fd()), wait),
            Report::Started => send(&self.0, &fixed(STARTED, 0), None, wait),
            Report::Stopped(signal) => send(&self.0, &fixed(STOPPED, *signal), None, SendFlags::DONTWAIT),
            Report::Exited(code) => send(&self.0, &fixed(EXITED, i32::from(*code)), None, wait),
            Report::Killed(signal) => send(&self.0, &fixed(KILLED, *signal), None, wait),
            Report::Failed(text) => {
                let cut = text.char_indices().map(|(start, character)| start + character.len_utf8());
                let end = cut.take_while(|end| *end <= TEXT_MAX).last().unwrap_or_default();
                send(&self.0, &[&[FAILED], &text.as_bytes()[..end]].concat(), None, wait)
            }
        }
    }

    /// Takes the next request without waiting; `None` if there is none now.
    pub fn receive(&self) -> Result<Option<Request>, ControlError> {
        let Some(packet) = Packet::receive(&self.0)? else { return Ok(None) };
        match (packet.tag(), packet.number()) {
            (Some(SIGNAL), number) => Ok(Some(Request::Signal(signal(number)?))),
            (Some(CONTINUE), Some(0)) => Ok(Some(Request::Continue)),
            _ => Err(ControlError::Malformed),
        }
    }
}

/// Of a descriptor that came from where [`pair`] was called.
impl From<OwnedFd> for InitEnd {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for LauncherEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for InitEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What one `recvmsg` gave.
struct Packet {
    bytes: Vec<u8>,
    fd: Option<OwnedFd>,
}

impl Packet {
    fn receive(socket: &OwnedFd) -> Result<Option<Self>, ControlError> {
        let mut buffer = [0; 1 + TEXT_MAX];
        // Room for one fd: the kernel doesn't install those beyond it.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::CONNRESET) => return Err(ControlError::Closed),
                Err(error) => return Err(ControlError::Receive(error.into())),
                Ok(received) => break received,
            }
        };
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        // A packet is never empty here, so nothing received means that the other side is gone. An
        // empty packet of a hostile PID 1 ends its sandbox, which is what it deserves.
        if received.bytes == 0 {
            return Err(ControlError::Closed);
        }
        let cut = received.flags.intersects(rustix::net::ReturnFlags::TRUNC | rustix::net::ReturnFlags::CTRUNC);
        if cut || fds.len() > 1 {
            return Err(ControlError::Malformed);
        }
        Ok(Some(Self { bytes: buffer[..received.bytes].to_vec(), fd: fds.pop() }))
    }

    fn tag(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    /// The number of a message without text.
    fn number(&self) -> Option<i32> {
        let bytes: [u8; FIXED] = self.bytes.as_slice().try_into().ok()?;
        let [_, 0, 0, 0, number @ ..] = bytes else { return None };
        Some(i32::from_ne_bytes(number))
    }
}

fn fixed(tag: u8, number: i32) -> [u8; FIXED] {
    let [a, b, c, d] = number.to_ne_bytes();
    [tag, 0, 0, 0, a, b, c, d]
}

fn signal(number: Option<i32>) -> Result<i32, ControlError> {
    number.filter(|number| (1..=SIGNAL_MAX).contains(number)).ok_or(ControlError::Malformed)
}

/// Text that can be written to a terminal: no controls but line feeds, nothing that reorders text.
fn printable(text: &[u8]) -> String {
    let reorders =
        |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let replace = |character: char| {
        let hostile = (character.is_control() && character != '\n') || reorders(character);
        if hostile { char::REPLACEMENT_CHARACTER } else { character }
    };
    String::from_utf8_lossy(text).chars().map(replace).collect()
}

fn send(socket: &OwnedFd, bytes: &[u8], fd: Option<BorrowedFd<'_>>, flags: SendFlags) -> Result<(), ControlError> {
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(ControlError::Closed),
            Err(error) => return Err(ControlError::Send(error.into())),
            Ok(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn reports_and_requests_arrive_as_they_were_sent() {
        let (launcher, init) = pair().unwrap();
        for report in [Report::Started, Report::Stopped(20), Report::Exited(255), Report::Killed(9)] {
            init.send(&report).unwrap();
            assert_eq!(format!("{:?}", launcher.receive().unwrap().unwrap()), format!("{report:?}"));
        }
        for request in [Request::Signal(15), Request::Continue] {
            launcher.send(request).unwrap();
            assert_eq!(init.receive().unwrap(), Some(request));
        }
        assert!(launcher.receive().unwrap().is_none() && init.receive().unwrap().is_none());
        drop(init);
        assert!(matches!(launcher.receive(), Err(ControlError::Closed)));
        assert!(matches!(launcher.send(Request::Continue), Err(ControlError::Closed)));
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        let (launcher, init) = pair().unwrap();
        init.send(&Report::Failed(format!("\x1b]52;c;x\x07\u{9b}\u{202e}no\n{}", "é".repeat(TEXT_MAX)))).unwrap();
        let Some(Report::Failed(text)) = launcher.receive().unwrap() else { panic!("no text") };
        assert!(text.starts_with("\u{fffd}]52;c;x\u{fffd}\u{fffd}\u{fffd}no\né"), "{text}");
        assert!(text.chars().count() < TEXT_MAX);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let bad_number = |tag| fixed(tag, 0).to_vec();
        for bytes in [
            b"x".to_vec(),
            fixed(b'?', 0).to_vec(),
            fixed(STARTED, 1).to_vec(),
            fixed(EXITED, 256).to_vec(),
            fixed(EXITED, -1).to_vec(),
            fixed(STOPPED, 65).to_vec(),
            bad_number(STOPPED),
            bad_number(KILLED),
            fixed(PTY, 0).to_vec(),
            [&fixed(EXITED, 0)[..], b"x"].concat(),
            vec![EXITED, 1, 0, 0, 0, 0, 0, 0],
            vec![FAILED; 2 + TEXT_MAX],
        ] {
            let (launcher, init) = pair().unwrap();
            send(&init.0, &bytes, None, SendFlags::empty()).unwrap();
            assert!(matches!(launcher.receive(), Err(ControlError::Malformed)), "{bytes:?}");
        }
    }

    #[test]
    fn fds_that_were_not_asked_for_are_closed() {
        let (launcher, init) = pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&init.0, &fixed(EXITED, 0), Some(write.as_fd()), SendFlags::empty()).unwrap();
        drop(write);
        assert!(matches!(launcher.receive(), Err(ControlError::Malformed)));
        assert_eq!(rustix::io::read(&read, &mut [0_u8; 1]).unwrap(), 0, "a writer is left");

        let null = File::open("/dev/null").unwrap();
        let fds = [null.as_fd(); 3];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        sendmsg(&init.0, &[IoSlice::new(&fixed(PTY, 0))], &mut ancillary, SendFlags::empty()).unwrap();
        assert!(matches!(launcher.receive(), Err(ControlError::Malformed)));
    }
}
