//! Ordinary programs don't notice.

use crate::fixture::{confined, directory_of, users};
use std::path::Path;
use std::process::Command;

/// A command line for `sh`, run as the agent in a directory of its own, with its output.
fn works(uid: u32, script: &str) {
    let home = directory_of(uid);
    confined(uid, &[home.path().to_owned()], || {
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(home.path()).env("HOME", home.path());
        let output = shell.env("TMPDIR", home.path()).output().map_err(|error| format!("sh: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("{script}: {}: {}", output.status, String::from_utf8_lossy(&said)))
    });
}

/// Whether the machine has a program where every user may run it.
fn present(program: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(program).is_file())
}

#[test]
fn shells() {
    for uid in users() {
        works(uid, "seq 1000 | sort -rn | head -n1 | grep -qx 1000; (sleep 0.01 & wait); kill -0 $$");
        works(uid, "mkdir -p a/b; echo x > a/f; mv a/f a/b/f; ln a/b/f g; ln -s g h; chmod 700 h; rm -r a");
        works(uid, "echo out > /dev/stdout; echo err > /dev/stderr; echo > /dev/null; test -r /dev/urandom");
        works(uid, "mkfifo p; echo through > p & read line < p; test \"$line\" = through");
    }
}

#[test]
fn the_toolchain() {
    let cargo = env!("CARGO");
    let root = rustix::process::geteuid().is_root();
    // The toolchain of the tests' own user; a stranger may not read it.
    let uid = if root { 0 } else { rustix::process::geteuid().as_raw() };
    works(
        uid,
        &format!(
            "export CARGO_HOME=$HOME/cargo PATH=$(dirname {cargo}):$PATH
             {cargo} new --quiet --vcs none app && cd app && {cargo} run --quiet --offline | grep -q Hello"
        ),
    );
}

#[test]
fn git() {
    for uid in users().into_iter().filter(|_| present("git")) {
        works(
            uid,
            "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
             git init -q r && cd r && echo x > f && git add f && git commit -qm m && git gc -q
             git clone -q . ../c && git -C ../c log --oneline | grep -q m",
        );
    }
}

#[test]
fn python() {
    let threads_terminal_and_sockets = "
import concurrent.futures, mmap, os, pty, select, socket, subprocess, tempfile, termios
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(abs, range(-100, 0))) == 5050
assert subprocess.run(['sh', '-c', 'exit 3']).returncode == 3
assert mmap.mmap(-1, 1 << 20)[0] == 0
a, b = socket.socketpair(); a.send(b'x')
poll = select.epoll(); poll.register(b, select.EPOLLIN); assert poll.poll(1)
assert socket.if_nameindex()
with tempfile.TemporaryFile() as f: f.write(b'x'); f.truncate(0)
pid, fd = pty.fork()
if pid == 0: os.execlp('sh', 'sh', '-c', 'stty size >/dev/tty; tty >/dev/null')
termios.tcgetattr(fd)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
";
    for uid in users().into_iter().filter(|_| present("python3")) {
        works(uid, &format!("/usr/bin/python3 -c \"{threads_terminal_and_sockets}\""));
    }
}

#[test]
fn node() {
    let workers_watchers_and_interfaces = "
const { Worker } = require('worker_threads'), fs = require('fs'), os = require('os');
os.networkInterfaces();
fs.watch('.').close();
require('child_process').execFileSync('true');
new Worker('require(\\\"fs\\\").writeFileSync(\\\"w\\\", \\\"x\\\")', { eval: true }).on('exit', code => {
  if (code || fs.readFileSync('w', 'utf8') != 'x') process.exit(1);
});
";
    for uid in users().into_iter().filter(|_| present("node")) {
        works(uid, &format!("/usr/bin/node -e \"{workers_watchers_and_interfaces}\""));
    }
}

#[test]
fn debuggers_and_network_tools() {
    for uid in users() {
        if present("strace") {
            works(uid, "strace -f -o trace sh -c 'true; true' && grep -q exit_group trace");
        }
        if present("ip") {
            works(uid, "ip -brief link | grep -q ^lo && ip route");
        }
        if present("ss") {
            works(uid, "ss -ltn");
        }
    }
}
