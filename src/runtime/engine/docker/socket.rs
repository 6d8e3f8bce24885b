//! Where the user's own Docker listens.

use crate::facts::Facts;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Where root's listens.
const OF_ROOT: &str = "/var/run/docker.sock";

/// Why there is no socket.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SocketError {
    /// It is somewhere else.
    #[error("DOCKER_HOST is {0}, and rcc speaks to Docker on this machine alone, by a unix socket")]
    #[diagnostic(help("unset it, or give unix:///PATH"))]
    Elsewhere(String),
    /// Only root's is there, or none.
    #[error("no Docker without root answers at {}", .0.display())]
    #[diagnostic(help(
        "`dockerd-rootless-setuptool.sh install` sets one up for this user, `systemctl --user start docker` starts it; \
         `--runtime embedded` works without"
    ))]
    Missing(PathBuf),
    /// Root's.
    #[error(
        "the Docker that answers at {} is root's, and rcc can use only one without root yet: root's needs a network with \
         rcc's rules, which is not there", .0.display()
    )]
    #[diagnostic(help(
        "`dockerd-rootless-setuptool.sh install` sets one without root up for this user; `--runtime embedded` and \
         `--runtime podman` work without Docker"
    ))]
    Rootful(PathBuf),
}

/// The socket that the user names, or else that of the user's own Docker.
pub fn socket(facts: &Facts) -> Result<PathBuf, SocketError> {
    let named = facts.variable("DOCKER_HOST").filter(|named| !named.is_empty());
    let path = match named {
        Some(named) => of_url(named)?,
        None => facts.variable("XDG_RUNTIME_DIR").map(Path::new).unwrap_or(Path::new("/run")).join("docker.sock"),
    };
    // A name of the same socket, as /run/docker.sock.
    let roots = std::fs::canonicalize(&path).is_ok_and(|path| path == Path::new("/run/docker.sock"));
    if roots {
        return Err(SocketError::Rootful(path));
    }
    if UnixStream::connect(&path).is_ok() {
        return Ok(path);
    }
    let roots = named.is_none() && Path::new(OF_ROOT).exists();
    Err(if roots { SocketError::Rootful(OF_ROOT.into()) } else { SocketError::Missing(path) })
}

fn of_url(named: impl AsRef<OsStr>) -> Result<PathBuf, SocketError> {
    let named = named.as_ref();
    let path = named.as_bytes().strip_prefix(b"unix://").map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let elsewhere = || SocketError::Elsewhere(crate::shown::text(&named.to_string_lossy()));
    path.filter(|path| path.is_absolute()).ok_or_else(elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unix_socket_of_this_machine_is_spoken_to() {
        assert_eq!(of_url("unix:///run/user/1000/docker.sock").unwrap(), Path::new("/run/user/1000/docker.sock"));
        for elsewhere in ["tcp://10.0.0.1:2375", "ssh://a@b", "unix://docker.sock", "npipe:////./pipe/x", "fd://"] {
            assert!(matches!(of_url(elsewhere), Err(SocketError::Elsewhere(_))), "{elsewhere}");
        }
    }
}
