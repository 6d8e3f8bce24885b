//! `rcc image`.

mod build;
mod foreseen;
mod list;
mod prune;
mod pull;

use crate::cli::image::{EngineArguments, ImageCommand};
use crate::config::image::{self, Chosen};
use crate::facts::{self, Facts};
use crate::image::engine::{Engine, EngineError, EngineKind, Stored};
use crate::image::interrupt::unless_interrupted;
use crate::image::name;
use crate::image::progress::{Progress, Told};
use crate::output;
use crate::runtime::choice::ChoiceError;
use crate::runtime::engine::service::Service;
use crate::runtime::{Image, Runtime};
use crate::shown;
use futures_util::{Stream, StreamExt};
use miette::{IntoDiagnostic, WrapErr};
use rustix::process::{Pid, getpid, test_kill_process};
use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

pub(super) use foreseen::Foreseen;

/// As after SIGINT (bash(1), "EXIT STATUS").
const EXIT_INTERRUPTED: u8 = 130;

/// There is nothing that could have images.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum NoEngine {
    #[error("there is no container engine: podman is not installed, and Docker does not answer")]
    #[diagnostic(help("install podman by the system's package manager; `--runtime embedded` needs no image"))]
    Any,
    #[error("Docker does not answer at {}", .0.iter().map(|path| shown::terminal(path)).collect::<Vec<_>>().join(" or "))]
    #[diagnostic(help("`docker info` as the same user shows whether Docker works here"))]
    Docker(Vec<PathBuf>),
}

impl ImageCommand {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        match self {
            Self::Build(arguments) => arguments.run(),
            Self::List(arguments) => arguments.run(),
            Self::Pull(arguments) => arguments.run(),
            Self::Prune(arguments) => arguments.run(),
        }
    }
}

/// The user, what the user's configuration says, and an engine's socket.
struct Host {
    facts: Facts,
    chosen: Chosen,
    kind: EngineKind,
    socket: PathBuf,
    /// Podman's, where it was started for this command; before the directory that it uses.
    _service: Option<Service>,
    _directory: Option<Directory>,
}

impl Host {
    fn find(asked: &EngineArguments) -> miette::Result<Self> {
        let facts = Facts::gather().into_diagnostic()?;
        let chosen = image::chosen(&facts.config_dir, &facts.user.home, facts.user.uid)?;
        let configured = match chosen.runtime {
            Some(Runtime::Podman) => Some(EngineKind::Podman),
            Some(Runtime::Docker | Runtime::Orbstack) => Some(EngineKind::Docker),
            _ => None,
        };
        let installed = || facts::program("podman").map(|_| EngineKind::Podman);
        let answers = || docker_sockets(&facts).iter().any(|path| is_heard(path)).then_some(EngineKind::Docker);
        let kind = asked.engine.or(configured).or_else(installed).or_else(answers).ok_or(NoEngine::Any)?;
        match kind {
            EngineKind::Podman if facts.user.uid == 0 => Err(ChoiceError::Root { runtime: Runtime::Podman }.into()),
            EngineKind::Podman => {
                let directory = Directory::make(&super::ps::runtime_dir(&facts).into_diagnostic()?)?;
                let service = Service::find(&facts, &directory.0, chosen.start)?;
                let (socket, _service) = (service.socket.clone(), Some(service));
                Ok(Self { facts, chosen, kind, socket, _service, _directory: Some(directory) })
            }
            EngineKind::Docker => {
                let sockets = docker_sockets(&facts);
                let socket = sockets.iter().find(|path| is_heard(path)).cloned().ok_or(NoEngine::Docker(sockets))?;
                Ok(Self { facts, chosen, kind, socket, _service: None, _directory: None })
            }
        }
    }

    /// Runs this with the engine. A signal ends it and all that it has begun.
    fn run(self, work: impl AsyncFnOnce(&Self, &Engine) -> miette::Result<ExitCode>) -> miette::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
        let done = runtime.block_on(unless_interrupted(async {
            let engine = Engine::connect(self.kind, &self.socket).await?;
            work(&self, &engine).await
        }));
        // Connections, and what feeds them, end with it.
        drop(runtime);
        done.into_diagnostic()?.unwrap_or_else(|| {
            output::tell_line("interrupted: what was begun has been given up");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        })
    }

    /// What is in the user's configuration and in the engine.
    async fn configured(&self, engine: &Engine) -> Result<Option<(Image, Stored)>, EngineError> {
        let Some(image) = &self.chosen.image else { return Ok(None) };
        Ok(engine.find(image.as_str()).await?.map(|stored| (image.clone(), stored)))
    }

    /// Tells of a new image, and how it is used and pinned.
    fn introduce(&self, image: &Image, stored: &Stored, pin: bool, quiet: bool) -> miette::Result<()> {
        let pinned = name::pin(image, &stored.digests, &stored.id);
        let mut text = if quiet {
            format!("{}\n", stored.id)
        } else {
            format!("{} is there: {}, {}\n", image.as_str(), short(&stored.id), super::ps::bytes(stored.size))
        };
        match pinned {
            Some(pinned) if pin => {
                let (facts, uid) = (&self.facts, self.facts.user.uid);
                let path = image::pin(&facts.config_dir, &facts.user.home, uid, &pinned);
                let path = path.wrap_err("the image is there, but it could not be pinned")?;
                if !quiet {
                    text += &format!("{} says now: image = \"{}\"\n", shown::terminal(&path), pinned.as_str());
                }
            }
            Some(pinned) if !quiet => {
                let path = self.facts.config_dir.join(crate::config::USER_FILE);
                let (path, pinned) = (shown::terminal(&path), pinned.as_str());
                text += &format!("for all runs, in {path} (`--pin` writes it): image = \"{pinned}\"\n");
                text += &format!("for one run: rcc run --runtime {} --image {}\n", self.runtime(), image.as_str());
            }
            _ => {}
        }
        Ok(output::print(text)?)
    }

    fn runtime(&self) -> Runtime {
        match self.kind {
            EngineKind::Podman => Runtime::Podman,
            EngineKind::Docker => Runtime::Docker,
        }
    }
}

/// Where Docker may listen: where the caller says, without root, with root.
fn docker_sockets(facts: &Facts) -> Vec<PathBuf> {
    if let Some(said) = facts.variable("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")) {
        return vec![said.into()];
    }
    let own = facts.variable("XDG_RUNTIME_DIR").map(|dir| Path::new(dir).join("docker.sock"));
    own.into_iter().chain([PathBuf::from("/var/run/docker.sock")]).collect()
}

fn is_heard(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Files of one command, in the user's runtime directory.
struct Directory(PathBuf);

impl Directory {
    fn make(runtime_dir: &Path) -> miette::Result<Self> {
        let all = runtime_dir.join("images");
        // What a crash left.
        for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            if pid.is_none_or(|pid| test_kill_process(pid).is_err()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let own = all.join(getpid().as_raw_nonzero().to_string());
        std::fs::create_dir_all(&own).into_diagnostic().wrap_err("cannot make a directory for the engine's service")?;
        Ok(Self(own))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The first digits, as engines show them.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn progress(quiet: bool) -> Progress {
    Progress::new(quiet, std::io::stderr().is_terminal())
}

/// Shows what is said until it ends.
async fn follow(
    told: impl Stream<Item = Result<Told, EngineError>>,
    progress: &mut Progress,
) -> Result<(), EngineError> {
    let mut told = pin!(told);
    while let Some(told) = told.next().await {
        progress.tell(&told?);
    }
    Ok(())
}
