//! Which engine a run takes on macOS, and why. Pure.

use super::found::{By, Endpoint, Found, MacosVersion, Named, Socket};
use super::judge::{self, Open, Untrusted};
use crate::runtime::{Image, Runtime};
use serde::Serialize;
use std::path::PathBuf;

/// The first macOS on which Apple's `container` has networks that are apart from each other (its README and
/// `docs/technical-overview.md`).
pub const APPLE_SINCE: MacosVersion = MacosVersion { major: 26, minor: 0 };

/// What makes the sandbox of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Choice {
    /// Apple's `container`: a virtual machine for each sandbox, behind a bridge of the host's.
    Apple {
        /// The program.
        program: PathBuf,
        /// The image.
        image: Image,
        /// Why this one.
        why: String,
    },
    /// OrbStack's Docker.
    Orbstack {
        /// Its socket.
        socket: PathBuf,
        /// The image.
        image: Image,
        /// Why this one.
        why: String,
    },
    /// Another Docker: Docker Desktop's, unless the user's environment names one.
    Docker {
        /// Its socket.
        socket: PathBuf,
        /// The context that names it.
        #[serde(skip_serializing_if = "Option::is_none")]
        context: Option<String>,
        /// The image.
        image: Image,
        /// Why this one.
        why: String,
    },
}

/// Why no engine can be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum ChoiceError {
    /// One that runs on Linux alone.
    #[error("the runtime '{runtime}' is for Linux: on macOS sandboxes need a virtual machine")]
    #[diagnostic(help("`--runtime auto` takes Apple's `container`, OrbStack or Docker Desktop, whichever is there"))]
    LinuxOnly {
        /// Which.
        runtime: Runtime,
    },
    /// An engine without an image.
    #[error("the runtime '{runtime}' needs an image")]
    #[diagnostic(help("name one with --image or, for all runs, `image` in the user's configuration"))]
    NoImage {
        /// Which.
        runtime: &'static str,
    },
    /// `container` is not usable here.
    #[error("Apple's `container` needs macOS {APPLE_SINCE} or newer, and this is {version}")]
    #[diagnostic(help(
        "before that all its containers share one network; update macOS, or use OrbStack or Docker Desktop"
    ))]
    TooOld {
        /// The version, in words.
        version: String,
    },
    /// `container` is not there.
    #[error("Apple's `container` is not installed")]
    #[diagnostic(help(
        "install the signed package from https://github.com/apple/container/releases, then `container system start`"
    ))]
    NoContainer,
    /// OrbStack does not run.
    #[error("OrbStack is not running: there is no socket at ~/.orbstack/run/docker.sock")]
    #[diagnostic(help("start it (`orb start`), or install it from https://orbstack.dev"))]
    NoOrbstack,
    /// No Docker.
    #[error("no Docker is running: there is no socket at ~/.docker/run/docker.sock or /var/run/docker.sock")]
    #[diagnostic(help("start Docker Desktop, or let DOCKER_HOST or a docker context name the socket of another"))]
    NoDocker,
    /// A named socket is not there.
    #[error("{by} names the socket {}, and there is none", path.display())]
    #[diagnostic(help("start that engine, or take the name away: `unset DOCKER_HOST`, `docker context use default`"))]
    NoSocket {
        /// Who names it.
        by: String,
        /// The socket.
        path: PathBuf,
    },
    /// An engine elsewhere.
    #[error("{by} names the engine at '{endpoint}', which is no socket of this machine")]
    #[diagnostic(help(
        "rcc speaks to engines on this machine alone; take the name away: `unset DOCKER_HOST`, `docker context use \
         default`"
    ))]
    Elsewhere {
        /// Who names it.
        by: String,
        /// Where.
        endpoint: String,
    },
    /// A context without a description.
    #[error("{by} is not described in ~/.docker/contexts")]
    #[diagnostic(help("`docker context ls` lists those that are, and `docker context use` takes one"))]
    NoContext {
        /// Which.
        by: String,
    },
    /// A machine that cannot hold rules.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Untrusted(#[from] Untrusted),
    /// Nothing that could be taken.
    #[error("no engine is here that a sandbox could run on: {}", seen.join("; "))]
    #[diagnostic(help(
        "install Apple's `container` on macOS {APPLE_SINCE} or newer, or start OrbStack or Docker Desktop"
    ))]
    Nothing {
        /// Why not, one for each engine.
        seen: Vec<String>,
    },
}

/// The engine for a run. `i_know` says that an open virtual machine may be taken if it is asked for; `auto` never
/// takes one.
pub fn choose(runtime: Runtime, image: Option<&Image>, found: &Found, i_know: bool) -> Result<Choice, ChoiceError> {
    let asked = || "it was asked for".to_owned();
    match runtime {
        Runtime::Embedded | Runtime::Podman => Err(ChoiceError::LinuxOnly { runtime }),
        Runtime::Auto => auto(image, found),
        Runtime::Apple => apple(image, found, asked()),
        Runtime::Orbstack => {
            let socket = found.orbstack.as_ref().ok_or(ChoiceError::NoOrbstack)?;
            Ok(Choice::Orbstack { socket: socket.leads_to.clone(), image: with(image, "orbstack")?, why: asked() })
        }
        Runtime::Docker => docker(image, found, i_know),
    }
}

fn with(image: Option<&Image>, runtime: &'static str) -> Result<Image, ChoiceError> {
    image.cloned().ok_or(ChoiceError::NoImage { runtime })
}

fn apple(image: Option<&Image>, found: &Found, why: String) -> Result<Choice, ChoiceError> {
    if found.version.is_none_or(|version| version < APPLE_SINCE) {
        let version = found.version.map_or("a macOS that tells no version".to_owned(), |version| version.to_string());
        return Err(ChoiceError::TooOld { version });
    }
    let program = found.container.clone().ok_or(ChoiceError::NoContainer)?;
    Ok(Choice::Apple { program, image: with(image, "apple")?, why })
}

/// Apple's, OrbStack's, Docker Desktop's, in this order, with what speaks against those that come before.
fn auto(image: Option<&Image>, found: &Found) -> Result<Choice, ChoiceError> {
    let mut seen = Vec::new();
    let best = "auto: the first choice, a virtual machine for each sandbox behind the host's own packet filter";
    match apple(image, found, best.to_owned()) {
        Ok(choice) => return Ok(choice),
        Err(error @ ChoiceError::NoImage { .. }) => return Err(error),
        Err(error) => seen.push(error.to_string()),
    }
    let why = |name: &str, seen: &[String]| format!("auto: {name} is running; {}", seen.join("; "));
    match &found.orbstack {
        Some(socket) => match judge::by_place(socket, None) {
            None => {
                let (socket, image) = (socket.leads_to.clone(), with(image, "orbstack")?);
                return Ok(Choice::Orbstack { socket, image, why: why("OrbStack", &seen) });
            }
            Some(machine) => seen.push(leads_to(socket, machine)),
        },
        None => seen.push(ChoiceError::NoOrbstack.to_string()),
    }
    match &found.docker_desktop {
        Some(socket) => match judge::by_place(socket, None) {
            None => {
                let (socket, image) = (socket.leads_to.clone(), with(image, "docker")?);
                return Ok(Choice::Docker { socket, context: None, image, why: why("Docker Desktop", &seen) });
            }
            Some(machine) => seen.push(leads_to(socket, machine)),
        },
        None => seen.push(ChoiceError::NoDocker.to_string()),
    }
    Err(ChoiceError::Nothing { seen })
}

fn leads_to(socket: &Socket, machine: Open) -> String {
    format!("{} leads to {machine}, where rules do not hold", crate::shown::terminal(&socket.path))
}

/// What `docker` itself would take.
fn docker(image: Option<&Image>, found: &Found, i_know: bool) -> Result<Choice, ChoiceError> {
    let (socket, context, why) = match &found.named {
        None => (found.docker_desktop.as_ref().ok_or(ChoiceError::NoDocker)?, None, "it was asked for".to_owned()),
        Some(Named { by, endpoint }) => {
            let context = if let By::Context(name) = by { Some(name.clone()) } else { None };
            (named(by, endpoint)?, context, format!("it was asked for, and {by} names this socket"))
        }
    };
    if let Some(machine) = judge::by_place(socket, context.as_deref()).filter(|_| !i_know) {
        return Err(Untrusted::Open { machine }.into());
    }
    Ok(Choice::Docker { socket: socket.leads_to.clone(), context, image: with(image, "docker")?, why })
}

fn named<'a>(by: &By, endpoint: &'a Endpoint) -> Result<&'a Socket, ChoiceError> {
    let by = by.to_string();
    match endpoint {
        Endpoint::Socket(socket) => Ok(socket),
        Endpoint::Missing(path) => Err(ChoiceError::NoSocket { by, path: path.clone() }),
        Endpoint::Other(endpoint) => Err(ChoiceError::Elsewhere { by, endpoint: crate::shown::text(endpoint) }),
        Endpoint::Unknown => Err(ChoiceError::NoContext { by }),
    }
}

#[cfg(test)]
mod tests;
