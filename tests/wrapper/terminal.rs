//! A caller with a terminal.

use super::broker::{Broker, Said, Stage};
use rcc::plugin::wire::{Control, Event, Signal, Terminal};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A terminal of this size.
fn terminal(rows: u16, columns: u16) -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let tty = ioctl_tiocgptpeer(&master, flags).unwrap();
    resize(&master, rows, columns);
    (master.into(), tty)
}

fn resize(master: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}

/// Makes it the command's controlling terminal, with the command in its foreground.
fn controlled_by(command: &mut Command, tty: &OwnedFd) {
    let number = tty.as_raw_fd();
    let attach = move || {
        // SAFETY: neither touches memory, and the descriptor is open until exec.
        let attached = unsafe { libc::setsid() != -1 && libc::ioctl(number, libc::TIOCSCTTY, 0) == 0 };
        if attached { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes system calls and nothing else.
    unsafe { command.pre_exec(attach) };
}

fn is_raw(tty: &OwnedFd) -> bool {
    let modes = tcgetattr(tty).unwrap();
    !modes.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
        && !modes.output_modes.contains(OutputModes::OPOST)
}

fn on(tty: &OwnedFd) -> Stdio {
    tty.try_clone().unwrap().into()
}

#[test]
fn keys_and_sizes_go_to_the_tools_own_terminal() {
    let (mut master, tty) = terminal(33, 111);
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.stdin(on(&tty)).stdout(on(&tty)).stderr(on(&tty));
    controlled_by(&mut command, &tty);
    let mut keys = master.try_clone().unwrap();
    let modes = tty.try_clone().unwrap();
    let play = move |broker: &mut Broker| {
        let Control::Exec { terminal, .. } = broker.control() else { panic!() };
        assert_eq!(terminal, Some(Terminal { rows: 33, columns: 111, stdin: true, stdout: true, stderr: true }));
        broker.event(Event::Started);
        broker.credit(1000);
        while !is_raw(&modes) {
            std::thread::yield_now();
        }
        keys.write_all(b"a\x03\x1a\x1c").unwrap();
        assert_eq!(broker.input(4).0, b"a\x03\x1a\x1c", "keys that make signals are the tool's terminal's");
        resize(&keys, 44, 122);
        assert_eq!(broker.control(), Control::Resize { rows: 44, columns: 122 });
        broker.output(b"bye\r\n");
        broker.exited(3);
    };
    let status = stage.play_with(command, play, |mut child| child.wait().unwrap());
    assert_eq!(status.code(), Some(3));
    assert!(!is_raw(&tty), "the terminal is as it was");
    let mut screen = [0; 5];
    master.read_exact(&mut screen).unwrap();
    assert_eq!(&screen, b"bye\r\n");
}

#[test]
fn the_terminal_is_as_it_was_whatever_happens() {
    type End = fn(&mut Broker);
    let ends: [End; 4] = [
        |broker| broker.event(Event::Exited { exit_code: 143, signal: Some(libc::SIGTERM), read: None }),
        |broker| broker.event(Event::Refused { exit_code: 124, error: "after 1 s".into() }),
        |broker| broker.write(&[0, 0, 0, 0]),
        |broker| broker.kill(libc::SIGALRM),
    ];
    for end in ends {
        let (_master, tty) = terminal(24, 80);
        let stage = Stage::new([]);
        let mut command = stage.wrapper([]);
        command.stdin(on(&tty)).stdout(on(&tty)).stderr(Stdio::null());
        controlled_by(&mut command, &tty);
        let modes = tty.try_clone().unwrap();
        let play = move |broker: &mut Broker| {
            broker.started();
            while !is_raw(&modes) {
                std::thread::yield_now();
            }
            end(broker);
            broker.wait_for_end();
        };
        let status = stage.play_with(command, play, |mut child| child.wait().unwrap());
        assert!(!status.success() && !is_raw(&tty), "{status}");
    }
}

#[test]
fn beside_others_in_a_pipeline_the_terminal_stays_as_it_is() {
    let (mut master, tty) = terminal(24, 80);
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.stdin(on(&tty)).stderr(on(&tty));
    controlled_by(&mut command, &tty);
    let modes = tty.try_clone().unwrap();
    let play = move |broker: &mut Broker| {
        let Control::Exec { terminal, .. } = broker.control() else { panic!() };
        assert_eq!(terminal, Some(Terminal { rows: 24, columns: 80, stdin: false, stdout: false, stderr: true }));
        broker.event(Event::Started);
        broker.credit(1000);
        master.write_all(b"line\n").unwrap();
        assert_eq!(broker.hear(), Some(Said::Input(b"line\n".to_vec())));
        assert!(!is_raw(&modes));
        // Ctrl-C is a signal there, and Ctrl-D the end.
        master.write_all(b"\x03").unwrap();
        assert_eq!(broker.control(), Control::Signal { signal: Signal::Int });
        master.write_all(b"\x04").unwrap();
        assert_eq!(broker.hear(), Some(Said::End));
        broker.exited(0);
    };
    let status = stage.play_with(command, play, |mut child| child.wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_tool_that_stops_itself_stops_the_wrapper_and_goes_on_with_it() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    // It stops its process group, which is not to be the test's.
    command.process_group(0);
    let output = stage.play(command, |broker| {
        broker.started();
        broker.event(Event::Stopped);
        while broker.state() != 'T' {
            std::thread::yield_now();
        }
        broker.kill(libc::SIGCONT);
        assert_eq!(broker.control(), Control::Signal { signal: Signal::Cont });
        broker.kill(libc::SIGTSTP);
        assert_eq!(broker.control(), Control::Signal { signal: Signal::Tstp });
        while broker.state() != 'T' {
            std::thread::yield_now();
        }
        broker.kill(libc::SIGCONT);
        assert_eq!(broker.control(), Control::Signal { signal: Signal::Cont });
        broker.exited(0);
    });
    assert_eq!(output.status.code(), Some(0));
}
