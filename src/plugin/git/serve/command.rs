//! Git and ssh as they are run here: with an environment and a configuration of our own and no other.

use super::ServeError;
use super::said::Said;
use crate::plugin::git::remote::Upstream;
use crate::plugin::git::task::{Access, Task};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// GIT_CONFIG_GLOBAL came with 2.32, the hook proc-receive with 2.29.
const NEEDED: (u32, u32) = (2, 32);
const NEEDED_TEXT: &str = "2.32";
/// Variables of this program's own that git gets: where programs and certificates are, and a proxy.
const PASSED: [&str; 8] = [
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
];
/// Bytes of what a command prints: a hundred thousand refs have some MiB. More is an error, since what would be cut
/// off is not judged.
const OUTPUT_MAX: u64 = 32 << 20;

/// How git is run.
pub(super) struct Git {
    config: PathBuf,
    home: PathBuf,
}

impl Git {
    /// Writes the configuration and looks at git's version.
    pub(super) fn prepare(task: &Task) -> Result<Self, ServeError> {
        let home = task.mirrors.join("home");
        std::fs::create_dir_all(&home).map_err(ServeError::file("make the directory", &home))?;
        let text = configuration(task);
        // Named by its content: connections with other rules or credentials may be served at the same time.
        let config = task.mirrors.join(format!("config.{}", &hex(text.as_bytes())[..16]));
        write_anew(&config, text.as_bytes(), 0o600)?;
        let git = Self { config, home };
        git.check_version()?;
        Ok(git)
    }

    /// The configuration that the hook's caller has.
    pub(super) fn again(task: &Task) -> Self {
        let text = configuration(task);
        let config = task.mirrors.join(format!("config.{}", &hex(text.as_bytes())[..16]));
        Self { config, home: task.mirrors.join("home") }
    }

    /// `git`, outside of any repository.
    pub(super) fn command(&self) -> Command {
        let mut command = self.program("git");
        command.env("GIT_CEILING_DIRECTORIES", self.home.parent().unwrap_or(Path::new("/")));
        command
    }

    /// `git` in a bare repository.
    pub(super) fn at(&self, repository: &Path) -> Command {
        let mut command = self.program("git");
        command.env("GIT_DIR", repository);
        command
    }

    /// A program with a clean environment.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env_clear().envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", &self.config)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C")
            .env("TERM", "dumb")
            .stdin(Stdio::null());
        command
    }

    fn check_version(&self) -> Result<(), ServeError> {
        let said = output(self.command().arg("version"))?
            .map_err(|said| ServeError::Version { found: said.reason(), needed: NEEDED_TEXT })?;
        let found = String::from_utf8_lossy(&said).trim().to_owned();
        if version(&found).is_some_and(|version| version >= NEEDED) {
            return Ok(());
        }
        Err(ServeError::Version { found: super::said::plain(&found), needed: NEEDED_TEXT })
    }
}

/// `git version 2.39.5 (Apple Git-154)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Runs a command to its end: what it printed, or, where it failed, what it said.
pub(super) fn output(command: &mut Command) -> Result<Result<Vec<u8>, Said>, ServeError> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(not_started(command))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = std::thread::spawn(move || Said::read(BufReader::new(stderr?), |_| ()).into());
    let (mut printed, mut too_long) = (Vec::new(), false);
    if let Some(mut stdout) = stdout {
        stdout.by_ref().take(OUTPUT_MAX).read_to_end(&mut printed).map_err(ServeError::Stream)?;
        if std::io::copy(&mut stdout, &mut std::io::sink()).map_err(ServeError::Stream)? > 0 {
            too_long = true;
        }
    }
    let said: Option<Said> = said.join().unwrap_or_default();
    let status = child.wait().map_err(ServeError::Stream)?;
    let mut said = said.unwrap_or_default();
    if too_long {
        said.own.push(format!("fatal: git prints more than {OUTPUT_MAX} bytes"));
    }
    Ok(if status.success() && !too_long { Ok(printed) } else { Err(said) })
}

/// The error of a program that did not start.
pub(super) fn not_started(command: &Command) -> impl Fn(std::io::Error) -> ServeError + use<> {
    let program = if command.get_program() == OsStr::new("ssh") { "ssh" } else { "git" };
    move |source| ServeError::Start { program, source }
}

/// The configuration of git here.
fn configuration(task: &Task) -> String {
    let mut lines: Vec<(&str, String)> = [
        ("core.fsmonitor", "false"),
        ("core.bigFileThreshold", "64m"),
        ("core.packedGitLimit", "1g"),
        ("credential.helper", ""),
        ("fetch.recurseSubmodules", "false"),
        ("gc.auto", "0"),
        ("http.followRedirects", "false"),
        ("http.lowSpeedLimit", "1"),
        ("http.lowSpeedTime", "120"),
        ("http.sslVerify", "true"),
        ("maintenance.auto", "false"),
        ("pack.threads", "2"),
        ("protocol.allow", "never"),
        ("protocol.version", "2"),
        ("push.recurseSubmodules", "no"),
        ("push.followTags", "false"),
        ("push.gpgSign", "false"),
        ("push.default", "nothing"),
        ("receive.advertiseAtomic", "true"),
        ("receive.advertisePushOptions", "true"),
        ("receive.autogc", "false"),
        ("receive.fsckObjects", "true"),
        // What cuts a message short for one reader and not for another.
        ("receive.fsck.nulInCommit", "error"),
        // Harmless, and in old histories that are merged into newer ones.
        ("receive.fsck.badTimezone", "warn"),
        ("receive.fsck.missingSpaceBeforeDate", "warn"),
        ("receive.fsck.zeroPaddedFilemode", "warn"),
        // Every update of every ref goes to the hook.
        ("receive.procReceiveRefs", "refs"),
        // Packs are kept as they come: an object that is large when unpacked takes no room, and what is refused
        // is one file to remove.
        ("receive.unpackLimit", "1"),
        ("safe.directory", "*"),
        ("uploadpack.allowFilter", "true"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into();
    lines.push(("core.hooksPath", task.hooks.to_string_lossy().into_owned()));
    lines.push(("receive.maxInputSize", task.rules.pack_max.to_string()));
    match &task.access {
        Access::Https { store, ca } => {
            lines.push(("protocol.https.allow", "always".to_owned()));
            // Git asks a helper to forget what was refused; this one only knows how to get.
            let store = quoted(&store.to_string_lossy());
            let helper = format!("!f() {{ test \"$1\" = get && git credential-store --file={store} get; }}; f");
            lines.push(("credential.helper", helper));
            lines.extend(ca.iter().map(|ca| ("http.sslCAInfo", ca.to_string_lossy().into_owned())));
        }
        Access::Ssh { .. } => {
            lines.push(("protocol.ssh.allow", "always".to_owned()));
            let words = ssh_options(&task.access, &task.upstream);
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            lines.push(("core.sshCommand", format!("ssh {}", words.join(" "))));
            lines.push(("ssh.variant", "ssh".to_owned()));
        }
    }
    lines.iter().map(|(key, value)| entry(key, value)).collect()
}

/// One variable in the form of git-config(1).
fn entry(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    let (section, name) = key.rsplit_once('.').unwrap_or(("core", key));
    let section = match section.split_once('.') {
        Some((section, sub)) => format!("{section} \"{sub}\""),
        None => section.to_owned(),
    };
    format!("[{section}]\n\t{name} = \"{value}\"\n")
}

/// The options of ssh(1): nobody's configuration, one key, a host that is known, and nothing forwarded.
pub(super) fn ssh_options(access: &Access, upstream: &Upstream) -> Vec<String> {
    let Access::Ssh { key, known_hosts } = access else { return Vec::new() };
    let settings = [
        "BatchMode=yes".to_owned(),
        "CheckHostIP=no".to_owned(),
        "ClearAllForwardings=yes".to_owned(),
        "ConnectTimeout=30".to_owned(),
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        "ForwardAgent=no".to_owned(),
        "ForwardX11=no".to_owned(),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "LogLevel=ERROR".to_owned(),
        "PermitLocalCommand=no".to_owned(),
        "PreferredAuthentications=publickey".to_owned(),
        "ProxyCommand=none".to_owned(),
        "RequestTTY=no".to_owned(),
        "SendEnv=GIT_PROTOCOL".to_owned(),
        "ServerAliveCountMax=4".to_owned(),
        "ServerAliveInterval=30".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        "UpdateHostKeys=no".to_owned(),
        format!("UserKnownHostsFile={}", in_ssh(known_hosts)),
    ];
    let mut words = vec!["-F".to_owned(), "none".to_owned()];
    words.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
    words.extend(["-i".to_owned(), key.to_string_lossy().into_owned()]);
    if let Upstream::Ssh { port: Some(port), .. } = upstream {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    words
}

/// A path in an option, in which ssh(1) expands `%` and takes a space for the end.
fn in_ssh(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// SHA-256, in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file with this content, which nobody ever sees half written.
pub(super) fn write_anew(path: &Path, content: &[u8], mode: u32) -> Result<(), ServeError> {
    use std::os::unix::fs::OpenOptionsExt;
    if std::fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new);
    let written = made.and_then(|mut file| file.write_all(content));
    written.and_then(|()| std::fs::rename(&new, path)).map_err(ServeError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_all_builds_of_git_say_them() {
        assert_eq!(version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("git version 2.50.GIT"), Some((2, 50)));
        assert_eq!(version("gut"), None);
    }

    #[test]
    fn a_value_of_the_configuration_stays_one() {
        assert_eq!(entry("protocol.ssh.allow", "a\"b\\c\nd"), "[protocol \"ssh\"]\n\tallow = \"a\\\"b\\\\c\\nd\"\n");
        assert_eq!(quoted("a'b"), "'a'\\''b'");
    }
}
