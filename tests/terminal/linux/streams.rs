//! Pipes, files and exit statuses, without a terminal.

use super::emulator::{launcher, status};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

super::tests!(
    the_exit_status_is_the_agent_s,
    a_command_that_cannot_be_executed_is_an_error,
    stdin_may_be_a_file_a_pipe_a_socket_null_or_closed,
    a_file_s_offset_is_left_where_the_agent_stopped_reading,
    ten_megabytes_pass_a_pipe_unchanged,
    stdout_and_stderr_are_apart_or_in_order,
    the_agent_is_told_when_nobody_reads,
    a_reader_is_told_when_the_agent_closes_its_output,
    a_writer_is_told_when_the_agent_closes_its_input,
    files_are_written_but_never_handed_over,
    a_directory_on_stdin_is_refused,
    signals_reach_the_agent,
    ignored_signals_stay_ignored,
    the_agent_starts_with_fresh_signals_and_no_descriptors,
    a_closed_stream_costs_no_time,
    output_of_what_outlives_the_agent_does_not_hold_up_the_end,
);

fn sh(script: &str) -> Command {
    let mut command = launcher(&["sh", "-c", script]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn output(command: &mut Command) -> (String, String, i32) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap())
}

fn the_exit_status_is_the_agent_s() {
    for (script, expected) in
        [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
    {
        assert_eq!(output(&mut sh(script)), (String::new(), String::new(), expected), "{script}");
    }
    assert_eq!(output(&mut sh("sleep 100 & echo $((6 * 7)); exit 3")).2, 3, "what is left behind doesn't matter");
}

fn a_command_that_cannot_be_executed_is_an_error() {
    let (_, stderr, status) = output(launcher(&["/nonexistent/command"]).stdin(Stdio::null()));
    assert_eq!(status, 125);
    assert!(stderr.contains("No such file"), "{stderr}");
}

fn stdin_may_be_a_file_a_pipe_a_socket_null_or_closed() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"from a file").unwrap();
    file.rewind().unwrap();
    assert_eq!(output(sh("cat").stdin(file)).0, "from a file");

    let mut child = sh("cat; echo .").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"from a pipe.\n");

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = sh("cat; echo .").stdin(OwnedFd::from(theirs)).spawn().unwrap();
    ours.write_all(b"from a socket").unwrap();
    drop(ours);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"from a socket.\n");

    assert_eq!(output(&mut sh("cat; readlink /proc/self/fd/0")).0, "/dev/null\n");

    let mut closing = Command::new("sh");
    closing.args(["-c", "exec \"$@\" <&-", "sh"]).arg(std::env::current_exe().unwrap());
    closing.args([super::launcher::ROLE, "sh", "-c", "cat; echo done"]);
    assert_eq!(output(&mut closing).0, "done\n");
}

fn a_file_s_offset_is_left_where_the_agent_stopped_reading() {
    let mut file = tempfile::tempfile().unwrap();
    let text: String = (0..50_000).map(|line| format!("line {line}\n")).collect();
    file.write_all(text.as_bytes()).unwrap();
    for taken in [0, 7, 100_000, text.len()] {
        file.rewind().unwrap();
        let script = format!("dd bs=1 count={taken} 2>/dev/null");
        assert_eq!(output(sh(&script).stdin(file.try_clone().unwrap())).0, text[..taken]);
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.len(), text.len() - taken, "{taken}");
    }
}

fn ten_megabytes_pass_a_pipe_unchanged() {
    let numbers: String = (1..=1_500_000).map(|number| format!("{number}\n")).collect();
    assert!(output(&mut sh("seq 1 1500000")).0 == numbers, "as output");
    let mut child = sh("cat").stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let back = std::thread::scope(|scope| {
        scope.spawn(|| {
            stdin.write_all(numbers.as_bytes()).unwrap();
            drop(stdin);
        });
        let mut back = String::new();
        stdout.read_to_string(&mut back).unwrap();
        back
    });
    assert!(back == numbers, "as input");
    assert_eq!(status(&mut child), 0);
    let bytes = sh(r"printf '\033]52;c;aGk=\007\000\377\033[21t'").output().unwrap().stdout;
    assert_eq!(bytes, b"\x1b]52;c;aGk=\x07\0\xff\x1b[21t");
}

fn stdout_and_stderr_are_apart_or_in_order() {
    assert_eq!(output(&mut sh("echo out; echo err >&2")), ("out\n".into(), "err\n".into(), 0));
    let mut file = tempfile::tempfile().unwrap();
    let script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done";
    let both = (file.try_clone().unwrap(), file.try_clone().unwrap());
    assert_eq!(status(&mut sh(script).stdout(both.0).stderr(both.1).spawn().unwrap()), 0);
    let (mut text, expected): (_, String) = (String::new(), (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect());
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, expected);
}

fn the_agent_is_told_when_nobody_reads() {
    let mut child = launcher(&["yes"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), status(&mut child)), ("y\n", 128 + libc::SIGPIPE));
    // Also when it writes only later.
    let mut child = sh("sleep 0.3; while echo x; do :; done; exit 9").stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(status(&mut child), 128 + libc::SIGPIPE);
}

fn a_reader_is_told_when_the_agent_closes_its_output() {
    let mut child = sh("echo last; exec >&- 2>&-; sleep 100").spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "last\n");
    terminate(&child);
    assert_eq!(status(&mut child), 143);
}

fn a_writer_is_told_when_the_agent_closes_its_input() {
    let mut child = sh("exec <&-; sleep 100").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let broken = (0..100_000).find_map(|_| stdin.write_all(&[b'x'; 1024]).err());
    assert_eq!(broken.map(|error| error.kind()), Some(std::io::ErrorKind::BrokenPipe));
    terminate(&child);
    assert_eq!(status(&mut child), 143);
}

fn files_are_written_but_never_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "first\n").unwrap();
    let append = File::options().append(true).open(&path).unwrap();
    let read = File::open(&path).unwrap();
    let script = "echo second; for fd in 0 1 2; do readlink /proc/self/fd/$fd; done";
    assert_eq!(status(&mut sh(script).stdin(read).stdout(append).stderr(Stdio::piped()).spawn().unwrap()), 0);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["first", "second"]);
    assert!(lines.len() == 5 && lines[2..].iter().all(|line| line.starts_with("pipe:")), "{text}");

    // Nor a pipe: reopened in its other direction it would feed whoever reads from it next.
    let mut child = sh("readlink /proc/self/fd/0; (echo injected > /proc/self/fd/0) 2>/dev/null");
    let (read, write) = rustix::pipe::pipe().unwrap();
    assert!(output(child.stdin(read.try_clone().unwrap())).0.starts_with("pipe:"));
    drop(write);
    assert_eq!(rustix::io::read(&read, &mut [0_u8; 64]).unwrap(), 0, "something was injected");
}

fn a_directory_on_stdin_is_refused() {
    let (_, stderr, status) = output(sh("true").stdin(File::open("/").unwrap()));
    assert_eq!(status, 125);
    assert!(stderr.contains("stdin") && stderr.contains("directory"), "{stderr}");
}

fn signals_reach_the_agent() {
    for (name, signal) in [
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("INT", libc::SIGINT),
        ("HUP", libc::SIGHUP),
        ("QUIT", libc::SIGQUIT),
    ] {
        let script = format!("trap 'echo {name}; exit 4' {name}; echo ready; while :; do sleep 0.05; done");
        let mut child = sh(&script).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill(&child, signal);
        assert_eq!((lines.next().unwrap().unwrap().as_str(), status(&mut child)), (name, 4));
    }
}

fn ignored_signals_stay_ignored() {
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    nohup.args([super::launcher::ROLE, "sh", "-c", "echo ready; sleep 0.5; exit 6"]).stdout(Stdio::piped());
    let mut child = nohup.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    kill(&child, libc::SIGHUP);
    assert_eq!((line.as_str(), status(&mut child)), ("ready\n", 6));
}

fn the_agent_starts_with_fresh_signals_and_no_descriptors() {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    // What this test itself was started with; the standard library resets SIGPIPE for children.
    let expected = output(Command::new("sh").args(["-c", script]).stdout(Stdio::piped())).0;
    assert_eq!(output(&mut sh(script)).0, expected);
    assert!(expected.starts_with("SigBlk:\t0000000000000000\n"));
    let (open, _, _) = output(launcher(&["ls", "/proc/self/fd"]).stdin(Stdio::null()));
    assert_eq!(open, "0\n1\n2\n3\n", "3 is the listing itself");
    let (ids, _, _) = output(&mut sh("exec cut -d' ' -f1,5,6,7 /proc/self/stat"));
    let ids: Vec<&str> = ids.trim().split(' ').collect();
    assert!(
        ids[0] == ids[1] && ids[0] != ids[2] && ids[3] == "0",
        "own group, another's session, no terminal: {ids:?}"
    );
}

fn a_closed_stream_costs_no_time() {
    let mut child = sh("exec <&- >&- 2>&-; exec sleep 100").stdin(Stdio::piped()).spawn().unwrap();
    drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
    std::thread::sleep(Duration::from_millis(600));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // proc(5): utime and stime, in ticks of 10 ms.
    let ticks: u32 = stat.split(' ').skip(13).take(2).map(|field| field.parse::<u32>().unwrap()).sum();
    terminate(&child);
    assert_eq!(status(&mut child), 143);
    assert!(ticks < 20, "{ticks} ticks of processor time while nothing happened");
}

fn output_of_what_outlives_the_agent_does_not_hold_up_the_end() {
    let start = Instant::now();
    let (out, _, code) = output(&mut sh("(sleep 15; echo late) & echo early"));
    assert_eq!((out.as_str(), code), ("early\n", 0));
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn kill(child: &std::process::Child, signal: i32) {
    // SAFETY: kill touches no memory; the child was not waited for yet.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

fn terminate(child: &std::process::Child) {
    kill(child, libc::SIGTERM);
}
