//! The executor without a sandbox, in a forked process, and a broker that is not always well-behaved.

use super::{Place, run};
use crate::plugin::chamber::frame::{self, HEAD, JSON_MAX, Reply, Request, Start};
use crate::runtime::embedded::process;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, getpgid, getsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSlice, PipeReader, Read, Write, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

struct Broker {
    socket: UnixStream,
    executor: Pid,
}

impl Broker {
    fn start() -> Self {
        let place = Place { project: Some("/usr".into()), home: "/".into() };
        let (socket, theirs) = UnixStream::pair().unwrap();
        let executor = process::fork(|| {
            rustix::stdio::dup2_stdin(&theirs).unwrap();
            run(&place)
        });
        drop(theirs);
        let mut broker = Self { socket, executor: executor.unwrap() };
        assert_eq!(broker.hear(), Some(Reply::Ready));
        broker
    }

    fn hear(&mut self) -> Option<Reply> {
        let mut head = [0; HEAD];
        self.socket.read_exact(&mut head).ok()?;
        let mut json = vec![0; frame::lengths(head).unwrap().0];
        self.socket.read_exact(&mut json).unwrap();
        Some(serde_json::from_slice(&json).unwrap())
    }

    fn say(&mut self, request: &Request, rest: &[u8], streams: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !streams.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(streams));
        }
        let bytes = [&frame::encode(request, rest.len()).unwrap(), rest].concat();
        let sent = sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty());
        assert_eq!(sent.unwrap(), bytes.len());
    }

    /// A shell, and what it prints.
    fn shell(&mut self, number: u64, script: &str) -> PipeReader {
        let (output, writer) = pipe().unwrap();
        let streams = [rustix::stdio::stdin(), writer.as_fd(), writer.as_fd()];
        self.say(&Request::Start(start(number, script)), b"", &streams);
        output
    }

    /// How the executor ends; it says nothing more.
    fn end(mut self) -> u8 {
        assert_eq!(self.hear(), None);
        process::exit_byte(process::wait(self.executor).unwrap())
    }
}

fn start(number: u64, script: &str) -> Start {
    Start {
        number,
        program: "/bin/sh".into(),
        argv: ["sh", "-c", script].map(str::to_owned).into(),
        environment: BTreeMap::new(),
        secret_environment: BTreeMap::new(),
        directory: None,
        terminal: false,
    }
}

#[test]
fn a_call_is_answered_when_it_runs_and_when_it_has_ended() {
    let mut broker = Broker::start();
    let mut output = broker.shell(7, "echo said; exit 3");
    assert_eq!(broker.hear(), Some(Reply::Done { number: 7 }));
    assert_eq!(broker.hear(), Some(Reply::Exited { number: 7, code: Some(3), signal: None }));
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(said, "said\n");
    broker.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(broker.end(), 0);
}

#[test]
fn when_the_broker_goes_its_calls_are_killed() {
    let mut broker = Broker::start();
    let mut output = broker.shell(1, "trap '' TERM HUP; echo; (sleep 5; echo survived) & sleep 5; echo survived");
    // Told first: an executor whose word finds nobody ends with another status.
    assert_eq!(broker.hear(), Some(Reply::Done { number: 1 }));
    output.read_exact(&mut [0]).unwrap();
    broker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(process::exit_byte(process::wait(broker.executor).unwrap()), 0);
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
}

/// A terminal, and its other side.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master.into(), slave)
}

#[test]
fn keys_of_a_calls_terminal_stop_it_until_it_is_continued_and_end_it() {
    let mut broker = Broker::start();
    let (mut master, slave) = terminal();
    let script = "trap 'echo int' INT; echo ready; while :; do read line && echo got $line; done";
    let call = Start { terminal: true, ..start(7, script) };
    broker.say(&Request::Start(call), b"", &[slave.as_fd(), slave.as_fd(), slave.as_fd()]);
    drop(slave);
    assert_eq!(broker.hear(), Some(Reply::Done { number: 7 }));
    let mut until = |word: &str, keys: &[u8]| {
        let mut said = String::new();
        while !said.ends_with(word) {
            let mut byte = [0];
            master.read_exact(&mut byte).unwrap();
            said.push(char::from(byte[0]));
        }
        master.write_all(keys).unwrap();
    };
    until("ready\r\n", b"\x03");
    until("int\r\n", b"\x1a");
    assert_eq!(broker.hear(), Some(Reply::Stopped { number: 7 }));
    broker.say(&Request::Signal { number: 7, signal: libc::SIGCONT }, b"", &[]);
    until("^Z", b"line\n");
    until("got line\r\n", b"\x1a");
    assert_eq!(broker.hear(), Some(Reply::Stopped { number: 7 }));
    broker.say(&Request::Kill { number: 7 }, b"", &[]);
    assert_eq!(broker.hear(), Some(Reply::Exited { number: 7, code: None, signal: Some(libc::SIGKILL) }));
    broker.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(broker.end(), 0);
}

#[test]
fn a_call_that_leaves_the_group_of_its_terminal_is_killed_all_the_same() {
    let mut broker = Broker::start();
    let (mut master, slave) = terminal();
    // An interactive shell has a group of its own.
    let call =
        Start { terminal: true, ..start(7, "set -m; trap '' HUP TERM; echo; exec sh -mic 'echo ready; sleep 100'") };
    broker.say(&Request::Start(call), b"", &[slave.as_fd(), slave.as_fd(), slave.as_fd()]);
    drop(slave);
    assert_eq!(broker.hear(), Some(Reply::Done { number: 7 }));
    let mut said = String::new();
    while !said.contains("ready") {
        let mut byte = [0];
        master.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
    }
    broker.say(&Request::Kill { number: 7 }, b"", &[]);
    assert_eq!(broker.hear(), Some(Reply::Exited { number: 7, code: None, signal: Some(libc::SIGKILL) }));
}

#[test]
fn a_call_whose_terminal_is_closed_hears_of_it_and_nothing_of_its_session_is_left() {
    let mut broker = Broker::start();
    let (mut master, slave) = terminal();
    let call = Start { terminal: true, ..start(7, "trap 'exit 9' HUP; echo $$; while :; do sleep 0.1; done") };
    broker.say(&Request::Start(call), b"", &[slave.as_fd(), slave.as_fd(), slave.as_fd()]);
    drop(slave);
    assert_eq!(broker.hear(), Some(Reply::Done { number: 7 }));
    let mut said = [0; 16];
    let count = master.read(&mut said).unwrap();
    let tool = std::str::from_utf8(&said[..count]).unwrap().trim().to_owned();
    let tool = Pid::from_raw(tool.parse().unwrap()).unwrap();
    let (group, leader) = (getpgid(Some(tool)).unwrap(), getsid(Some(tool)).unwrap());
    drop(master);
    assert_eq!(broker.hear(), Some(Reply::Exited { number: 7, code: Some(9), signal: None }));
    for process in [tool, group, leader] {
        let gone = || {
            has_gone(process) || {
                std::thread::sleep(Duration::from_millis(10));
                false
            }
        };
        assert!((0..200).any(|_| gone()), "{process:?}");
    }
}

/// Whether it runs no more, reaped or not.
fn has_gone(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn signals_to_calls_that_are_over_go_nowhere() {
    let mut broker = Broker::start();
    for request in [Request::Signal { number: 9, signal: libc::SIGKILL }, Request::Kill { number: 0 }] {
        broker.say(&request, b"", &[]);
    }
    broker.shell(1, "exit 0");
    assert_eq!(broker.hear(), Some(Reply::Done { number: 1 }));
    assert_eq!(broker.hear(), Some(Reply::Exited { number: 1, code: Some(0), signal: None }));
}

#[test]
fn a_credential_that_is_empty_or_cannot_be_in_an_environment_is_refused() {
    let mut broker = Broker::start();
    broker.say(&Request::Secret { number: 1, name: "empty".into() }, b"", &[]);
    assert!(matches!(broker.hear(), Some(Reply::Failed { number: 1, exit_code: 126, .. })));
    broker.say(&Request::Secret { number: 2, name: "binary".into() }, b"a\0b", &[]);
    assert_eq!(broker.hear(), Some(Reply::Done { number: 2 }));
    let secret_environment = BTreeMap::from([("TOKEN".into(), "binary".into())]);
    let null = std::fs::File::open("/dev/null").unwrap();
    let call = Start { secret_environment, ..start(3, "exit 0") };
    broker.say(&Request::Start(call), b"", &[null.as_fd(), null.as_fd(), null.as_fd()]);
    assert!(matches!(broker.hear(), Some(Reply::Failed { number: 3, exit_code: 126, .. })));
}

#[test]
fn a_call_without_its_three_streams_ends_it_all() {
    let null = std::fs::File::open("/dev/null").unwrap();
    for count in [0, 2, 4] {
        let mut broker = Broker::start();
        broker.say(&Request::Start(start(1, "exit 0")), b"", &vec![null.as_fd(); count]);
        assert_eq!(broker.end(), 1, "{count}");
    }
}

#[test]
fn a_length_that_nobody_needs_ends_it_all_before_it_is_read() {
    for lengths in [[JSON_MAX as u32 + 1, 0], [2, u32::MAX]] {
        let mut broker = Broker::start();
        broker.socket.write_all(lengths.map(u32::to_be_bytes).as_flattened()).unwrap();
        assert_eq!(broker.end(), 1, "{lengths:?}");
    }
}
