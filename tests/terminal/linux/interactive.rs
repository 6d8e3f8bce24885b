//! The agent on a terminal.

use super::emulator::{Emulator, launcher, launcher_line};
use rustix::termios::LocalModes;
use std::io::{Read, Write};
use std::time::Duration;

super::tests!(
    size_and_resize_reach_the_agent,
    the_agent_has_a_terminal_of_its_own,
    ctrl_c_ends_the_foreground,
    ctrl_d_ends_the_input,
    ctrl_z_and_fg_work_through_a_shell,
    a_background_run_leaves_the_terminal_alone_until_fg,
    modes_are_restored_after_the_end_and_after_signals,
    ten_megabytes_pass_the_terminal_unchanged,
    clipboard_sequences_reach_pipes_only,
    a_hang_up_reaches_the_agent,
    a_terminal_that_takes_nothing_does_not_hang_the_launcher,
    the_end_of_a_pipeline_reads_keys_in_raw_mode,
    the_start_of_a_pipeline_leaves_the_terminal_to_others,
    a_hidden_answer_in_a_pipeline_is_not_echoed,
    an_idle_terminal_costs_no_time,
    an_orphaned_run_is_not_stopped_for_good,
);

fn agent(script: &str) -> Emulator {
    Emulator::full(launcher(&["sh", "-c", script]))
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: kill touches no memory; the child was not waited for yet.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

fn size_and_resize_reach_the_agent() {
    let mut emulator = agent("stty size; trap 'echo winch; stty size' WINCH; echo ready; while read x; do :; done");
    assert_eq!(emulator.expect("ready").trim(), "24 80");
    emulator.resize(50, 132);
    emulator.expect("winch\r\n50 132\r\n");
    emulator.type_in("\x04");
    assert_eq!(emulator.end(), 0);
}

fn the_agent_has_a_terminal_of_its_own() {
    let mut emulator = agent("tty; for fd in 0 1 2; do readlink /proc/self/fd/$fd; done; : </dev/tty && echo end");
    let users = std::fs::read_link(format!("/proc/{}/fd/2", emulator.child.id())).unwrap();
    let shown = emulator.expect("end");
    let names: Vec<&str> = shown.split_whitespace().collect();
    assert!(
        names.len() == 4 && names[0].starts_with("/dev/pts/") && names.iter().all(|name| *name == names[0]),
        "{shown}"
    );
    assert_ne!(users.to_str(), Some(names[0]));
    assert_eq!(emulator.end(), 0);
}

fn ctrl_c_ends_the_foreground() {
    let mut emulator = agent("echo ready; exec sleep 100");
    emulator.expect("ready");
    emulator.wait_until("raw mode", Emulator::is_raw);
    emulator.type_in("\x03");
    assert_eq!(emulator.end(), 130);
}

fn ctrl_d_ends_the_input() {
    let mut emulator = agent("echo ready; cat; echo end");
    emulator.expect("ready");
    emulator.type_in("text\r\x04");
    emulator.expect("text\r\ntext\r\nend");
    assert_eq!(emulator.end(), 0);
}

fn ctrl_z_and_fg_work_through_a_shell() {
    let mut shell = Emulator::shell();
    shell.type_in(&format!("{}\r", launcher_line("echo start\"\"ed; cat; exit 5")));
    shell.expect("started");
    // A shell that was not yet done starting cat would be stopped halfway, without rcc as well.
    shell.type_in("first\r");
    shell.expect("first\r\nfirst\r\n");
    for round in 0..3 {
        shell.type_in("\x1a");
        shell.expect("prompt> ");
        assert!(shell.modes().local_modes.contains(LocalModes::ICANON | LocalModes::ISIG), "round {round}");
        shell.resize(30 + round, 90);
        shell.type_in("fg\r");
        shell.expect("cat");
        shell.wait_until("raw mode again", Emulator::is_raw);
        shell.type_in("hello\r");
        shell.expect("hello\r\nhello\r\n");
    }
    shell.type_in("\x04");
    shell.expect("prompt> ");
    shell.type_in("echo status $?\r");
    shell.expect("\nstatus 5");
    shell.type_in("exit\r");
    assert_eq!(shell.end(), 0);
}

fn a_background_run_leaves_the_terminal_alone_until_fg() {
    let mut shell = Emulator::shell();
    shell.type_in(&format!("{} &\r", launcher_line("echo in back\"\"ground; cat; echo e\"\"nd")));
    shell.expect("in background");
    std::thread::sleep(Duration::from_millis(400));
    assert!(!shell.is_raw());
    shell.type_in("echo still $((40 + 2))\r");
    shell.expect("still 42");
    shell.type_in("fg\r");
    shell.wait_until("raw mode", Emulator::is_raw);
    shell.type_in("now\r\x04");
    shell.expect("now\r\nnow\r\nend");
    shell.expect("prompt> ");
    assert!(!shell.is_raw());
    shell.type_in("exit\r");
    assert_eq!(shell.end(), 0);
}

fn modes_are_restored_after_the_end_and_after_signals() {
    for (signal, expected) in
        [(None, 0), (Some(libc::SIGTERM), 143), (Some(libc::SIGHUP), 129), (Some(libc::SIGABRT), 125)]
    {
        let mut shell = Emulator::shell();
        let before = format!("{:?}", shell.modes());
        shell.type_in(&format!("{} & p=$!; fg; echo status $?\r", launcher_line("echo rea\"\"dy; read x")));
        shell.expect("ready");
        shell.wait_until("raw mode", Emulator::is_raw);
        match signal {
            None => shell.type_in("\r"),
            Some(signal) => kill(foreground(&shell), signal),
        }
        shell.expect(&format!("status {expected}"));
        shell.expect("prompt> ");
        assert_eq!(format!("{:?}", shell.modes()), before, "{signal:?}");
        shell.type_in("exit\r");
        assert_eq!(shell.end(), 0);
    }
}

/// The leader of the process group in the foreground.
fn foreground(emulator: &Emulator) -> u32 {
    // proc(5): tpgid is the eighth field.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", emulator.child.id())).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(5).unwrap().parse().unwrap()
}

fn ten_megabytes_pass_the_terminal_unchanged() {
    let emulator = agent("stty -opost; seq 1 1500000; printf '\\033[31m\\302\\235'");
    let (shown, status) = emulator.finish();
    let expected: String = (1..=1_500_000).map(|number| format!("{number}\n")).collect();
    assert_eq!((status, shown.len()), (0, expected.len() + 5));
    assert!(shown == [expected.as_bytes(), b"\x1b[31m"].concat());
}

fn clipboard_sequences_reach_pipes_only() {
    let script = r"printf 'a\033]52;c;aGk=\007b\033[21t\033]0;title\007\n'";
    assert_eq!(agent(script).finish().0, b"ab\x1b]0;title\x07\r\n");
    let mut emulator = Emulator::with(launcher(&["sh", "-c", script]), true, false);
    let mut piped = Vec::new();
    emulator.child.stdout.take().unwrap().read_to_end(&mut piped).unwrap();
    assert_eq!(piped, b"a\x1b]52;c;aGk=\x07b\x1b[21t\x1b]0;title\x07\n");
    assert_eq!(emulator.end(), 0);
}

fn a_hang_up_reaches_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let script = format!("trap 'echo hup > {}; exit 3' HUP; echo ready; while :; do sleep 0.05; done", note.display());
    let mut emulator = agent(&script);
    emulator.expect("ready");
    emulator.hang_up();
    let status = emulator.end();
    assert_eq!((std::fs::read_to_string(&note).unwrap().as_str(), status), ("hup\n", 3));
}

fn a_terminal_that_takes_nothing_does_not_hang_the_launcher() {
    let mut emulator = agent("echo ready; exec yes");
    emulator.expect("ready");
    std::thread::sleep(Duration::from_millis(300));
    kill(emulator.child.id(), libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    // The agent is gone. Its last output waits for the terminal until that is given up.
    kill(emulator.child.id(), libc::SIGTERM);
    assert_eq!(emulator.end(), 143);
}

fn the_end_of_a_pipeline_reads_keys_in_raw_mode() {
    let script = "cat; stty -icanon -echo </dev/tty; echo ready; dd bs=1 count=1 </dev/tty 2>/dev/null; stty icanon echo </dev/tty; echo .";
    let mut emulator = Emulator::with(launcher(&["sh", "-c", script]), false, true);
    emulator.child.stdin.take().unwrap().write_all(b"from the pipe\n").unwrap();
    emulator.expect("from the pipe");
    emulator.expect("ready");
    emulator.wait_until("raw mode", Emulator::is_raw);
    emulator.type_in("k");
    emulator.expect("k.");
    assert_eq!(emulator.end(), 0);
    assert!(!emulator.is_raw());
}

fn the_start_of_a_pipeline_leaves_the_terminal_to_others() {
    let mut shell = Emulator::shell();
    shell.type_in(&format!("{} | sed s/^/got:/; echo status $?\r", launcher_line("echo rea\"\"dy >&2; cat")));
    shell.expect("ready");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!shell.is_raw());
    shell.type_in("one\r");
    assert_eq!(shell.expect("one\r\n").trim(), "", "echoed by the user's terminal only");
    shell.type_in("\x04");
    shell.expect("got:one");
    shell.expect("status 0");
    // Ctrl-C reaches the agent as well.
    shell.expect("prompt> ");
    shell.type_in(&format!("{} | cat\r", launcher_line("echo rea\"\"dy >&2; exec sleep 100")));
    shell.expect("ready");
    shell.type_in("\x03");
    shell.expect("prompt> ");
    shell.type_in("exit\r");
    shell.end();
}

fn a_hidden_answer_in_a_pipeline_is_not_echoed() {
    let mut shell = Emulator::shell();
    let script = "stty -echo; echo pass\"\"word: >&2; read x; stty echo; echo \"[$x]\"";
    shell.type_in(&format!("{} | cat\r", launcher_line(script)));
    shell.expect("password:");
    shell.wait_until("raw mode", Emulator::is_raw);
    shell.type_in("secret\r");
    let before = shell.expect("[secret]");
    assert!(!before.contains("secret"), "{before}");
    shell.expect("prompt> ");
    assert!(!shell.is_raw());
    shell.type_in("exit\r");
    assert_eq!(shell.end(), 0);
}

fn an_idle_terminal_costs_no_time() {
    let mut emulator = agent("echo ready; exec sleep 100");
    emulator.expect("ready");
    let ticks = |pid: u32| -> u32 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.split(' ').skip(13).take(2).map(|field| field.parse::<u32>().unwrap()).sum()
    };
    let before = ticks(emulator.child.id());
    std::thread::sleep(Duration::from_millis(600));
    assert!(ticks(emulator.child.id()) - before < 10);
    emulator.type_in("\x03");
    assert_eq!(emulator.end(), 130);
}

fn an_orphaned_run_is_not_stopped_for_good() {
    // The launcher leads the session: no shell is there to continue it.
    let mut emulator = agent("echo ready; cat; echo end");
    emulator.expect("ready");
    emulator.type_in("first\r");
    emulator.expect("first\r\nfirst\r\n");
    emulator.type_in("\x1a");
    std::thread::sleep(Duration::from_millis(200));
    emulator.type_in("on\r\x04");
    emulator.expect("on\r\non\r\nend");
    assert_eq!(emulator.end(), 0);
}
