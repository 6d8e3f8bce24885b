//! What a host has of engines, as plain data.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A version of macOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MacosVersion {
    /// The year's number: 15, 26.
    pub major: u32,
    /// What came after it.
    pub minor: u32,
}

/// That is no version of macOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version of macOS is two or three numbers with dots between them")]
pub struct BadVersion;

impl FromStr for MacosVersion {
    type Err = BadVersion;

    /// As `sw_vers -productVersion` and `kern.osproductversion` have it: `26.0`, `15.6.1`.
    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let numbers: Result<Vec<u32>, _> = text.trim().split('.').map(str::parse).collect();
        match numbers.map_err(|_| BadVersion)?[..] {
            [major] => Ok(Self { major, minor: 0 }),
            [major, minor] | [major, minor, _] => Ok(Self { major, minor }),
            _ => Err(BadVersion),
        }
    }
}

impl fmt::Display for MacosVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A socket that an engine may answer at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Where it was looked for.
    pub path: PathBuf,
    /// Where that leads, without symbolic links.
    pub leads_to: PathBuf,
}

/// What was found. Only the user's environment and files say anything of it: never a project's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The version of macOS; `None` where it is not told.
    pub version: Option<MacosVersion>,
    /// The program `container`.
    pub container: Option<PathBuf>,
    /// OrbStack's socket.
    pub orbstack: Option<Socket>,
    /// Docker Desktop's socket, of the user or of the machine.
    pub docker_desktop: Option<Socket>,
    /// What `docker` itself would talk to, where the user says so.
    pub named: Option<Named>,
}

/// What the user's environment or `docker`'s own configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Who names it.
    pub by: By,
    /// The endpoint.
    pub endpoint: Endpoint,
}

/// Who names an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// `DOCKER_HOST`.
    Variable,
    /// A context of `docker`, `DOCKER_CONTEXT`'s or the current one.
    Context(String),
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => f.write_str("DOCKER_HOST"),
            Self::Context(name) => write!(f, "the docker context '{}'", crate::shown::text(name)),
        }
    }
}

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// At a socket of this machine.
    Socket(Socket),
    /// At a socket that is not there.
    Missing(PathBuf),
    /// Elsewhere, or by other means.
    Other(String),
    /// The context is not described.
    Unknown,
}

/// The path in `unix:///run/docker.sock`; `None` for what is no socket of this machine.
pub fn socket_of(endpoint: &str) -> Option<&Path> {
    endpoint.strip_prefix("unix://").map(Path::new).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let version = |text: &str| text.parse::<MacosVersion>();
        assert!(
            version("26.0").unwrap() > version("15.6.1\n").unwrap() && version("9.9").unwrap() < version("26").unwrap()
        );
        for bad in ["", "26.", "26.0.1.2", "Tahoe", "-1.0"] {
            assert_eq!(version(bad), Err(BadVersion), "{bad:?}");
        }
    }

    #[test]
    fn only_a_socket_with_a_whole_path_is_of_this_machine() {
        assert_eq!(socket_of("unix:///var/run/docker.sock"), Some(Path::new("/var/run/docker.sock")));
        for other in ["tcp://127.0.0.1:2375", "ssh://me@host", "unix://run/docker.sock", "/var/run/docker.sock", ""] {
            assert_eq!(socket_of(other), None, "{other}");
        }
    }
}
