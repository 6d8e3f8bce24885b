//! The words that the tool is called with.

use super::laid::Laid;
use super::{LABEL, PLACE, PROFILE};
use crate::policy::ProfileName;
use crate::runtime::Image;
use crate::settings::Limits;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The tool counts memory in MiB (`memoryStringAsMiB`).
const MIB: u64 = 1 << 20;

/// What cannot be said in the tool's words. It is refused, since the tool would understand something else.
#[derive(Clone, Debug, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum ArgumentError {
    /// A path.
    #[error(
        "Apple's `container` cannot be told the path {}: its mounts are written with ',' and '=' between them",
        crate::shown::terminal(path)
    )]
    #[diagnostic(help("rename the directory, so that there is no ',', '=' or control character in its path"))]
    Path {
        /// Which.
        path: PathBuf,
    },
    /// A variable.
    #[error("Apple's `container` cannot be told the variable {name}: it is not UTF-8")]
    Variable {
        /// Its name.
        name: String,
    },
    /// Parts of a processor.
    #[error("Apple's `container` gives whole processors, and the limit is {cpus}")]
    #[diagnostic(help("set `cpus` to a whole number"))]
    Cpus {
        /// The limit.
        cpus: f64,
    },
    /// Too little memory.
    #[error("Apple's `container` counts memory in MiB, and the limit is {bytes} bytes")]
    Memory {
        /// The limit.
        bytes: u64,
    },
}

/// What a container is made from.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// The session's name.
    pub session: &'a str,
    /// Where the launcher keeps its sessions.
    pub runtime_dir: &'a Path,
    /// The image.
    pub image: &'a Image,
    /// Uid and gid of the user, on the host and inside.
    pub user: (u32, u32),
    /// The name of its own network; none without.
    pub network: Option<&'a str>,
    /// Ceilings. Without one of memory the virtual machine has the tool's default, 1 GiB.
    pub limits: Limits,
    /// What is mounted.
    pub mounts: &'a [Laid],
    /// The environment inside, beside the image's own.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The first process and its arguments.
    pub command: &'a [&'a str],
    /// Whether it has a terminal.
    pub terminal: bool,
}

/// `container create ...`.
///
/// # Errors
/// Something cannot be said.
pub fn create(spec: &Spec<'_>) -> Result<Vec<OsString>, ArgumentError> {
    let mut words: Vec<OsString> = vec!["create".into(), "--name".into(), super::name(spec.session).into()];
    let mut option = |name: &str, value: String| words.extend([name.into(), OsString::from(value)]);
    option("--label", format!("{LABEL}={}", spec.session));
    option("--label", format!("{PLACE}={}", plain(spec.runtime_dir)?));
    option("--user", format!("{}:{}", spec.user.0, spec.user.1));
    option("--workdir", "/".to_owned());
    option("--cap-drop", "ALL".to_owned());
    option("--network", spec.network.unwrap_or("none").to_owned());
    limits(&spec.limits, &mut option)?;
    for (name, value) in spec.environment {
        option("--env", variable(name, value)?);
    }
    for mount in spec.mounts {
        option("--mount", text(mount)?);
    }
    if let [program, ..] = spec.command {
        option("--entrypoint", (*program).to_owned());
    }
    // Queries go where the rules let them, and the names of servers are in a file of the view.
    words.extend(["--no-dns", "--read-only", "--interactive"].map(Into::into));
    words.extend(spec.terminal.then(|| "--tty".into()));
    words.push(spec.image.as_str().into());
    words.extend(spec.command.iter().skip(1).map(OsString::from));
    Ok(words)
}

fn limits(limits: &Limits, option: &mut impl FnMut(&str, String)) -> Result<(), ArgumentError> {
    if let Some(bytes) = limits.memory {
        // Downwards: it is a ceiling.
        let mebibytes = Some(bytes / MIB).filter(|count| *count > 0).ok_or(ArgumentError::Memory { bytes })?;
        option("--memory", format!("{mebibytes}m"));
    }
    if let Some(cpus) = limits.cpus {
        if cpus.fract() != 0.0 || !(1.0..=1024.0).contains(&cpus) {
            return Err(ArgumentError::Cpus { cpus });
        }
        option("--cpus", format!("{cpus:.0}"));
    }
    if let Some(pids) = limits.pids {
        // Counted for each user of a kernel, and this kernel is the sandbox's own.
        option("--ulimit", format!("nproc={pids}:{pids}"));
    }
    Ok(())
}

/// A name without a value would be taken from the environment of the tool.
fn variable(name: &OsStr, value: &OsStr) -> Result<String, ArgumentError> {
    let refused = || ArgumentError::Variable { name: crate::shown::text(&name.to_string_lossy()) };
    Ok(format!("{}={}", name.to_str().ok_or_else(refused)?, value.to_str().ok_or_else(refused)?))
}

fn text(mount: &Laid) -> Result<String, ArgumentError> {
    Ok(match mount {
        Laid::Directory { source, target, read_only } => {
            let read_only = if *read_only { ",readonly" } else { "" };
            format!("type=bind,source={},target={}{read_only}", plain(source)?, plain(target)?)
        }
        Laid::Tmpfs { target, mode } => format!("type=tmpfs,target={},mode={mode:o}", plain(target)?),
    })
}

/// The tool splits at ',' and '=' and knows no way to escape them.
fn plain(path: &Path) -> Result<&str, ArgumentError> {
    let good = |text: &&str| path.is_absolute() && !text.chars().any(|c| matches!(c, ',' | '=') || c.is_control());
    path.to_str().filter(good).ok_or_else(|| ArgumentError::Path { path: path.to_owned() })
}

/// `container network create ...`: the network of one session. Sandboxes never share one: what virtual machines on one
/// bridge send each other does not pass pf.
pub fn create_network(session: &str, profile: &ProfileName) -> Vec<OsString> {
    let labels = [format!("{LABEL}={session}"), format!("{PROFILE}={profile}")];
    let labels = labels.into_iter().flat_map(|label| ["--label".to_owned(), label]);
    let words = ["network", "create"].map(str::to_owned).into_iter().chain(labels).chain([super::name(session)]);
    words.map(OsString::from).collect()
}

/// Starts what was created, with the caller's standard streams.
pub fn start(session: &str) -> Vec<OsString> {
    with_name(&["start", "--attach", "--interactive"], session)
}

/// Ends it at once.
pub fn kill(session: &str) -> Vec<OsString> {
    with_name(&["kill", "--signal", "KILL"], session)
}

/// Removes it, whatever it is doing.
pub fn delete(session: &str) -> Vec<OsString> {
    with_name(&["delete", "--force"], session)
}

/// Removes its network. It must not have a container any more.
pub fn delete_network(session: &str) -> Vec<OsString> {
    with_name(&["network", "delete"], session)
}

fn with_name(words: &[&str], session: &str) -> Vec<OsString> {
    words.iter().map(OsString::from).chain([super::name(session).into()]).collect()
}

/// Questions, with answers for [`super::answers`].
pub const VERSION: [&str; 4] = ["system", "version", "--format", "json"];
/// See [`super::answers::networks`].
pub const NETWORKS: [&str; 4] = ["network", "list", "--format", "json"];
/// See [`super::answers::containers`].
pub const CONTAINERS: [&str; 4] = ["list", "--all", "--format", "json"];
