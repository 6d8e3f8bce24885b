//! A real sshd on a port of the loopback, for the user who runs the tests.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Sshd {
    pub port: u16,
    pub key: PathBuf,
    pub known_hosts: PathBuf,
    pub user: String,
    child: Child,
}

impl Sshd {
    /// Starts it, with its files in `directory`.
    pub fn start(directory: &Path) -> Self {
        let program =
            ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"].iter().find(|path| Path::new(path).exists());
        let program = program.expect("there is no sshd here: install openssh-server");
        for name in ["host", "key"] {
            let mut made = Command::new("ssh-keygen");
            made.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(directory.join(name));
            assert!(made.status().unwrap().success());
        }
        std::fs::copy(directory.join("key.pub"), directory.join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host_key = std::fs::read_to_string(directory.join("host.pub")).unwrap();
        std::fs::write(directory.join("known"), format!("[localhost]:{port} {host_key}")).unwrap();
        let here = directory.display();
        let path = std::env::var("PATH").unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             AcceptEnv GIT_PROTOCOL\nSetEnv PATH={path}\n"
        );
        std::fs::write(directory.join("sshd_config"), config).unwrap();
        let log = std::fs::File::create(directory.join("sshd.log")).unwrap();
        // Root's sshd wants a directory that the system's makes; here it is in a mount namespace of its own.
        let script = "if [ $(id -u) = 0 ] && [ ! -d /run/sshd ]; then exec unshare --mount sh -c \
            'mount -t tmpfs none /run && mkdir /run/sshd && exec \"$@\"' sh \"$@\"; else exec \"$@\"; fi";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh", program, "-D", "-e", "-f"])
            .arg(directory.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.stderr(log).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "sshd does not start: see {here}/sshd.log");
            std::thread::sleep(Duration::from_millis(20));
        }
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        Self { port, key: directory.join("key"), known_hosts: directory.join("known"), user, child }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
