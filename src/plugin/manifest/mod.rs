//! A tool's manifest: one file, `plugins/<tool>.toml`, in `/etc/rcc`, or in the user's configuration for tools
//! without credentials. Never the project's: the agent writes that.

#[cfg(target_os = "linux")]
pub mod catalogue;
pub mod environment;
pub mod grammar;
pub mod pattern;
pub mod places;
pub mod shipped;

pub use grammar::Grammar;

use super::name::ToolName;
use crate::policy::ProfileName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Root's, in `/etc/rcc/plugins`.
    Admin,
    /// The user's. Has no credentials, and gives way to root's of the same name.
    User,
}

/// A manifest that was read and found good.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The name of its file without `.toml`.
    pub tool: ToolName,
    /// Whose it is.
    pub origin: Origin,
    /// For people.
    pub summary: String,
    /// What it is.
    pub kind: Kind,
    /// Where its credentials come from.
    pub credentials: Vec<Credential>,
    /// The network profile of its sandbox.
    pub profile: ProfileName,
    /// How long a call may take.
    pub timeout: Duration,
    /// Calls of one session at a time.
    pub concurrency: u32,
}

/// The kinds of plugins.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A program that is run.
    Exec(Box<Exec>),
    /// Remotes of git.
    Git(Git),
    /// One upstream over HTTP, with a header that the client has not.
    Http(Http),
}

/// A program and what may be asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exec {
    /// The program: absolute, no symbolic link on the way, nobody's to change but root's (or the user's, in a
    /// manifest of the user's).
    pub program: PathBuf,
    /// What it is called as, its `argv[0]`: the last component of its path before links were followed, which tells
    /// programs with several names (busybox, rustup's proxies) which one they are.
    pub called: String,
    /// Other programs of the host that it may execute, likewise: everything of the system, if `None`.
    pub executes: Option<BTreeSet<PathBuf>>,
    /// What it sees of the project.
    pub project: ProjectAccess,
    /// Variables that a client may give.
    pub pass: BTreeSet<String>,
    /// Variables that it gets.
    pub set: BTreeMap<String, String>,
    /// Bytes of output after which a call is broken off.
    pub output_max: u64,
    /// How it reads its arguments, and which of them may be.
    pub grammar: Grammar,
}

impl Exec {
    /// The first of its programs that lies in this directory, a project's: what the agent could have written is
    /// not run.
    pub fn program_in(&self, project: &Path) -> Option<&Path> {
        let others = self.executes.iter().flatten();
        std::iter::once(&self.program).chain(others).map(PathBuf::as_path).find(|program| program.starts_with(project))
    }
}

/// What a tool's sandbox sees of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectAccess {
    /// Nothing.
    None,
    /// All that the agent sees, and nothing of it can be changed or executed.
    ReadOnly,
    /// What the agent sees, as the agent may write it; nothing of it can be executed.
    Inert,
    /// What the agent sees, as the agent may write and execute it. Never with credentials.
    Writable,
}

/// Remotes and the rules for what is pushed to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Git {
    /// The hosts that credentials are for. Others are not reached through the broker.
    pub hosts: Vec<GitHost>,
    /// The rules.
    pub rules: PushRules,
}

/// One host of git repositories.
#[derive(Clone, Debug, PartialEq)]
pub struct GitHost {
    /// Its name, lower-case, and a port where it is not the protocol's own.
    pub name: String,
    /// Paths (prefixes of whole components) that may be reached; all, if empty.
    pub paths: Vec<String>,
    /// How it is reached.
    pub access: GitAccess,
}

/// How a host of repositories is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum GitAccess {
    /// `https://`, with a user name and a token as password.
    Https {
        /// The user name: `x-access-token` at GitHub, `oauth2` at GitLab.
        user: String,
        /// The name of the credential.
        credential: String,
        /// Certificates to trust instead of the system's, as PEM: for a host with a private authority.
        ca: Option<PathBuf>,
    },
    /// `ssh://` and `user@host:path`, with a private key.
    Ssh {
        /// The user to log in as: `git` at the public hosts. A key is never used for another one.
        user: String,
        /// The name of the credential: a private key as OpenSSH reads it, without a passphrase.
        credential: String,
        /// The host's public keys, in the form of `known_hosts` (sshd(8)).
        known_hosts: PathBuf,
    },
}

/// What may be pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushRules {
    /// Branches that nobody pushes: patterns in which `*` stands for any text, `/` included.
    pub blocked_branches: Vec<String>,
    /// Branches that may be pushed, likewise; none but these.
    pub allowed_branches: Vec<String>,
    /// Tags that may be made, likewise. A tag is never moved.
    pub allowed_tags: Vec<String>,
    /// Whether a branch may lose commits.
    pub force: bool,
    /// Whether branches (that may be pushed) may be deleted.
    pub delete: bool,
    /// Bytes of one push.
    pub pack_max: u64,
    /// What every new commit's message must match: a regular expression.
    pub message: Option<String>,
    /// What every new commit's author and committer must match, as `Name <address>`: a regular expression.
    pub author: Option<String>,
}

/// One upstream, with a header that the client has not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// `https://host[:port]`.
    pub upstream: String,
    /// The header's name.
    pub header: String,
    /// Its value, in which `{}` stands for the credential.
    pub value: String,
    /// The name of the credential.
    pub credential: String,
    /// What may be asked: a request matches one of these, and none of `blocked`.
    pub allowed: Vec<HttpRule>,
    /// What may not.
    pub blocked: Vec<HttpRule>,
    /// Bytes of one request's body.
    pub body_max: u64,
    /// Certificates to trust instead of the system's, as PEM: for an upstream with a private authority.
    pub ca: Option<PathBuf>,
    /// The port of a sandbox's own loopback that leads to the plugin as well: for clients that have no Unix sockets.
    pub port: Option<u16>,
}

/// Requests of some methods below a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// Upper-case; any, if empty.
    pub methods: BTreeSet<String>,
    /// A prefix of whole components of the path, which is compared without percent-encoding and dots.
    pub path: String,
}

/// A credential of a tool's, and how the tool gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name in the manifest.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Variable of the tool's environment that has it: kind `exec` alone.
    pub variable: Option<String>,
}

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A variable of the broker's environment at its start, which is removed there.
    Environment(String),
    /// A file that nobody but its owner, root or the broker's user, can read.
    File(PathBuf),
    /// A credential of the broker's unit (systemd.exec(5), `LoadCredential=`).
    Systemd(String),
    /// What a program prints, without a line feed at the end: its absolute path, and arguments.
    Command(Vec<String>),
}
