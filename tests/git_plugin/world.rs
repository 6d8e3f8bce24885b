//! A client, a broker and upstreams, in a directory that goes away.

use crate::broker::{Broker, Settings};
use crate::server::{Server, TOKEN, USER};
use crate::sshd::Sshd;
use rcc::plugin::git::inside;
use rcc::plugin::git::task::{HOOK, stored};
use rcc::plugin::manifest::{Git, GitAccess, GitHost, PushRules};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct World {
    directory: tempfile::TempDir,
    pub server: Server,
    pub sshd: Sshd,
    pub broker: Broker,
}

pub fn rules() -> PushRules {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    PushRules {
        blocked_branches: owned(&["main", "master", "release/*", "production"]),
        allowed_branches: owned(&["claude/*", "feature/*"]),
        allowed_tags: owned(&["claude-*"]),
        force: false,
        delete: false,
        pack_max: 8 << 20,
        message: None,
        author: None,
    }
}

impl World {
    /// With the upstream `app`, which has one commit on `main`.
    pub fn new() -> Self {
        Self::with(rules())
    }

    pub fn with(rules: PushRules) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["keys", "ssh", "srv", "bin", "plugins", "plugin/mirrors", "plugin/hooks", "home", "work"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        assert!(certificates(&path("keys")), "openssl makes no certificates here");
        let server = Server::start(&path("srv"), &path("keys"));
        let sshd = Sshd::start(&path("ssh"));
        let manifest = Git { hosts: hosts(&server, &sshd, &path("keys/ca.pem")), rules };
        let name = format!("localhost:{}", server.port);
        std::fs::write(path("plugin/store"), stored(&name, USER, TOKEN.as_bytes())).unwrap();
        let plugins = path("plugins");
        std::fs::write(plugins.join(inside::CONFIGURATION_FILE), inside::configuration(&manifest, &plugins)).unwrap();
        std::fs::write(plugins.join(inside::RULES_FILE), serde_json::to_vec(&manifest.rules).unwrap()).unwrap();
        let hooks = plugins.join(inside::TEMPLATE).join("hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        for hook in inside::HOOKS {
            script(&hooks.join(hook), &inside::hook(hook, &path("bin/rcc")));
        }
        let (program, guest) = (env!("CARGO_BIN_EXE_rcc"), env!("CARGO_BIN_EXE_rcc-guest"));
        std::os::unix::fs::symlink(guest, path("bin/rcc")).unwrap();
        std::os::unix::fs::symlink(guest, path("bin").join(inside::REMOTE_HELPER)).unwrap();
        std::os::unix::fs::symlink(program, path("plugin/hooks").join(HOOK)).unwrap();
        let (known_hosts, key) = (sshd.known_hosts.clone(), sshd.key.clone());
        let settings = Settings { manifest, directory: path("plugin"), known_hosts, key };
        let broker = Broker::listen(&plugins.join("git.sock"), settings);
        let world = Self { directory, server, sshd, broker };
        world.add_upstream("app", &[]);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A repository that the server has, with one commit on `main`.
    pub fn add_upstream(&self, name: &str, init: &[&str]) {
        let upstream = self.path("srv").join(name);
        let made = self.outside(&self.path("srv"), &[&["init", "-q", "--bare", "-b", "main"], init, &[name]].concat());
        assert!(made.status.success(), "{made:?}");
        let set = self.outside(&upstream, &["config", "http.receivepack", "true"]);
        assert!(set.status.success());
        let seed = self.path("seed").join(name);
        std::fs::create_dir_all(&seed).unwrap();
        for arguments in [
            &[&["init", "-q", "-b", "main"], init].concat()[..],
            &["commit", "-q", "--allow-empty", "-m", "seed"],
            &["push", "-q", upstream.to_str().unwrap(), "main"],
        ] {
            let done = self.outside(&seed, arguments);
            assert!(done.status.success(), "{done:?}");
        }
    }

    /// Git as an administrator of the upstream runs it.
    pub fn outside(&self, directory: &Path, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(directory).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        git.env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        people(&mut git);
        git.output().unwrap()
    }

    /// Git as the agent runs it, ready to run in a directory of the agent's.
    pub fn agent(&self, directory: &str, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        let path = std::env::var("PATH").unwrap();
        git.args(arguments).current_dir(self.path("work").join(directory)).env_clear();
        git.env("PATH", format!("{}:{path}", self.path("bin").display())).env("HOME", self.path("home"));
        git.env("GIT_CONFIG_SYSTEM", self.path("plugins").join(inside::CONFIGURATION_FILE));
        git.env("RCC_PLUGINS", self.path("plugins")).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
        people(&mut git);
        git
    }

    /// Runs it, and gives what it said; fails the test if it fails.
    #[track_caller]
    pub fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let output = self.agent(directory, arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output));
        text(&output)
    }

    /// Runs it, and gives what it said; fails the test if it does not fail.
    #[track_caller]
    pub fn git_fails(&self, directory: &str, arguments: &[&str]) -> String {
        let output = self.agent(directory, arguments).output().unwrap();
        assert!(!output.status.success(), "git {arguments:?} went through: {}", text(&output));
        text(&output)
    }

    /// The URL of an upstream.
    pub fn url(&self, name: &str) -> String {
        format!("https://localhost:{}/{name}", self.server.port)
    }

    /// Clones `app` into `work/NAME`.
    #[track_caller]
    pub fn clone_app(&self, name: &str) {
        self.git("", &["clone", "-q", &self.url("app"), name]);
    }

    /// Makes a commit in `work/NAME` on a new branch.
    #[track_caller]
    pub fn commit_on(&self, name: &str, branch: &str, message: &str) {
        self.git(name, &["checkout", "-q", "-B", branch]);
        self.git(name, &["commit", "-q", "--no-verify", "--allow-empty", "-m", message]);
    }

    /// An upstream's refs: name and object, in order.
    pub fn refs(&self, upstream: &str) -> Vec<String> {
        let format = "--format=%(refname) %(objectname)";
        let output = self.outside(&self.path("srv").join(upstream), &["for-each-ref", format]);
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The names alone.
    pub fn ref_names(&self, upstream: &str) -> Vec<String> {
        self.refs(upstream).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    /// An object's id, by the agent's word.
    pub fn id(&self, directory: &str, name: &str) -> String {
        self.git(directory, &["rev-parse", name]).trim().to_owned()
    }

    /// The decisions' file.
    pub fn decisions(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("plugin/decisions")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Fails the test if the token is in something that the agent or anybody but the broker's side can see.
    #[track_caller]
    pub fn assert_no_canary(&self) {
        let encoded = crate::server::base64(&format!("{USER}:{TOKEN}"));
        let has = |bytes: &[u8]| {
            [TOKEN, &encoded].iter().any(|canary| bytes.windows(canary.len()).any(|window| window == canary.as_bytes()))
        };
        assert!(!has(&self.broker.told.lock().unwrap()), "a client was told the token");
        for directory in ["work", "home", "plugins", "plugin/mirrors", "srv", "bin"] {
            for entry in walkdir::WalkDir::new(self.path(directory)).into_iter().flatten() {
                if entry.file_type().is_file() {
                    let bytes = std::fs::read(entry.path()).unwrap_or_default();
                    assert!(!has(&bytes), "the token is in {}", entry.path().display());
                }
            }
        }
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub fn script(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn people(git: &mut Command) {
    for (part, name) in [("AUTHOR", "Agent"), ("COMMITTER", "Agent")] {
        git.env(format!("GIT_{part}_NAME"), name).env(format!("GIT_{part}_EMAIL"), "agent@example.com");
    }
}

fn hosts(server: &Server, sshd: &Sshd, ca: &Path) -> Vec<GitHost> {
    let https = GitAccess::Https { user: USER.into(), credential: "token".into(), ca: Some(ca.to_owned()) };
    let ssh =
        GitAccess::Ssh { user: sshd.user.clone(), credential: "key".into(), known_hosts: sshd.known_hosts.clone() };
    let host = |port: u16, access| GitHost { name: format!("localhost:{port}"), paths: Vec::new(), access };
    vec![host(server.port, https), host(sshd.port, ssh)]
}

/// An authority and a server's certificate for `localhost`.
fn certificates(directory: &Path) -> bool {
    let openssl = |line: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(line.split(' ')).current_dir(directory);
        openssl.output().is_ok_and(|output| output.status.success())
    };
    std::fs::write(directory.join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {new} -keyout ca.key -out ca.pem -days 2 -subj /CN=test"))
        && openssl(&format!("req {new} -keyout server.key -out server.csr -subj /CN=localhost"))
        && openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile ext",
        )
}
