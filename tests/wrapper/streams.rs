//! Standard input, output and error through pipes and files.

use super::broker::{Said, Stage, shell};
use rcc::plugin::wire::{Control, Event, Stream};
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

/// What an ordinary user's pipe may hold at most.
const WIDE: usize = 1 << 20;

#[test]
fn input_is_sent_against_credit_and_no_further() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.stdin(Stdio::piped());
    let play = |broker: &mut super::broker::Broker| {
        broker.started();
        broker.credit(5);
        assert_eq!(broker.input(5), (b"01234".to_vec(), false));
        // It reads nothing ahead: a signal finds its way at once.
        broker.kill(libc::SIGUSR1);
        assert!(matches!(broker.control(), Control::Signal { .. }));
        broker.credit(1000);
        assert_eq!(broker.input(1000), (b"56789".to_vec(), true));
        broker.exited(0);
    };
    let status = stage.play_with(command, play, |mut child| {
        child.stdin.take().unwrap().write_all(b"0123456789").unwrap();
        child.wait().unwrap()
    });
    assert!(status.success());
}

#[test]
fn a_mebibyte_goes_in_and_comes_back_unchanged() {
    let data: Vec<u8> = (0..3 << 20_u32).map(|at| (at * 31 % 253) as u8).collect();
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.stdin(Stdio::piped());
    let play = |broker: &mut super::broker::Broker| {
        broker.started();
        loop {
            broker.credit(100_000);
            let (input, ended) = broker.input(100_000);
            broker.output(&input);
            if ended {
                break broker.exited(0);
            }
        }
    };
    let output = stage.play_with(command, play, |mut child| {
        let (mut stdin, sent) = (child.stdin.take().unwrap(), data.clone());
        let writing = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        output
    });
    assert!(output.stdout == data, "{} of {} bytes", output.stdout.len(), data.len());
}

#[test]
fn a_slow_reader_holds_the_output_up_and_not_the_signals() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // As wide as it can be made, and with room for a part of what comes.
    rustix::pipe::fcntl_setpipe_size(&writer, WIDE).unwrap();
    writer.write_all(&vec![b'-'; WIDE - (64 << 10)]).unwrap();
    command.stdout(writer);
    let (read, may_read) = std::sync::mpsc::channel();
    let play = move |broker: &mut super::broker::Broker| {
        broker.started();
        broker.output(&[b'x'; 150_000]);
        broker.kill(libc::SIGINT);
        assert!(matches!(broker.control(), Control::Signal { .. }));
        read.send(()).unwrap();
        broker.exited(0);
    };
    let (status, length) = stage.play_with(command, play, |mut child| {
        may_read.recv().unwrap();
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        (child.wait().unwrap(), got.iter().filter(|&&byte| byte == b'x').count())
    });
    assert_eq!((status.code(), length), (Some(0), 150_000));
}

#[test]
fn a_reader_that_has_gone_is_the_tools_to_learn_of() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let output = stage.play(command, |broker| {
        broker.started();
        broker.output(b"nobody reads this");
        assert_eq!(broker.control(), Control::Close { stream: Stream::Stdout });
        broker.output(b"nor this");
        broker.error(b"this is read");
        broker.event(Event::Exited { exit_code: 141, signal: Some(libc::SIGPIPE), read: None });
    });
    assert_eq!((output.status.signal(), &output.stderr[..]), (Some(libc::SIGPIPE), &b"this is read"[..]));
}

#[test]
fn a_full_disk_is_told_and_no_success() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let output = stage.play(command, |broker| {
        broker.started();
        broker.output(b"does not fit");
        broker.wait_for_end();
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(said.contains("No space left"), "{said}");
}

#[test]
fn a_tool_that_wants_no_more_input_gets_none() {
    let stage = Stage::new([]);
    let mut command = stage.wrapper([]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    let output = stage.play(command, move |broker| {
        broker.started();
        broker.credit(100);
        writer.write_all(b"a").unwrap();
        assert_eq!(broker.hear(), Some(Said::Input(b"a".to_vec())));
        broker.event(Event::InputClosed);
        // It has heard that when it has heard what follows.
        broker.output(b"x");
        broker.kill(libc::SIGUSR1);
        assert!(matches!(broker.control(), Control::Signal { .. }));
        writer.write_all(b"b").unwrap();
        broker.kill(libc::SIGUSR2);
        assert!(matches!(broker.control(), Control::Signal { .. }));
        broker.exited(0);
    });
    assert_eq!(&output.stdout, b"x");
}

#[test]
fn a_file_is_left_at_what_the_tool_has_read() {
    let stage = Stage::new([]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"first\nsecond\n").unwrap();
    file.rewind().unwrap();
    let mut command = stage.wrapper([]);
    command.stdin(file.try_clone().unwrap());
    stage.play(command, |broker| {
        broker.started();
        broker.credit(1000);
        assert_eq!(broker.input(1000).0, b"first\nsecond\n");
        broker.event(Event::Exited { exit_code: 0, signal: None, read: Some(6) });
    });
    let mut rest = String::new();
    file.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second\n");
}

#[test]
fn in_a_pipeline_it_is_as_the_tool_would_be() {
    let stage = Stage::new([]);
    let script = "set -o pipefail; gh list | head -c 5; echo \" ${PIPESTATUS[0]}\"";
    let output = stage.play(shell(&stage, script), |broker| {
        broker.started();
        // `head` ends after its five bytes, and the tool is told when it writes again.
        loop {
            broker.output(&[b'y'; 70_000]);
            if let Some(Said::Control(control)) = broker.hear_soon() {
                assert_eq!(control, Control::Close { stream: Stream::Stdout });
                break;
            }
        }
        broker.event(Event::Exited { exit_code: 141, signal: Some(libc::SIGPIPE), read: None });
    });
    assert_eq!(String::from_utf8_lossy(&output.stdout), "yyyyy 141\n");
}
