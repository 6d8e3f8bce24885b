//! `rcc image build`.

use super::{Host, follow, progress};
use crate::cli::image::{BuildArguments, Origin};
use crate::facts::{self, Facts};
use crate::image::built::Built;
use crate::image::containerfile::BASE;
use crate::image::contents;
use crate::image::debian::{self, Sources};
use crate::image::engine::Engine;
use crate::image::maker::{self, Workplace};
use crate::image::name::{self, Reference};
use crate::image::progress::{Progress, Told};
use crate::output;
use crate::runtime::Image;
use crate::shown;
use futures_util::StreamExt;
use miette::{IntoDiagnostic, WrapErr};
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Why no image can be built so.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
enum BuildError {
    #[error("the name of a new image has no digest, and '{}' has one", .0.as_str())]
    #[diagnostic(help("its digest comes of what is in it: leave '@...' out"))]
    Digest(Image),
    #[error("cannot build an image from this machine's packages: {0} is not installed")]
    #[diagnostic(help(
        "on Debian and Ubuntu: sudo apt install mmdebstrap uidmap; elsewhere `--from containerfile` takes a base image \
         from a registry, and the flake has an image of its own (docs: Images)"
    ))]
    NoProgram(&'static str),
    #[error("apt knows no packages of Debian or Ubuntu here")]
    #[diagnostic(help("`sudo apt update` fetches its lists; `--from containerfile` does without"))]
    NoLists,
    #[error("cannot ask apt where packages come from: {0}")]
    Apt(String),
    #[error("mmdebstrap could not make the image's files:\n{0}")]
    #[diagnostic(help(
        "it needs subordinate ids for you in /etc/subuid and /etc/subgid, newuidmap, and room for twice the image in \
         TMPDIR; no image was made"
    ))]
    Maker(String),
    #[error("an image of this machine's packages has no base image")]
    #[diagnostic(help("leave out `--base`, or say `--from containerfile`"))]
    Base,
    #[error("the engine does not have the image that it has made, {0}")]
    NotThere(String),
}

const TICK: Duration = Duration::from_millis(200);
/// Where mmdebstrap and apt look for programs: not where the caller does.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// What they see of the caller's environment beside.
const PASSED: [&str; 5] = ["http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"];

impl BuildArguments {
    pub(super) fn run(self) -> miette::Result<ExitCode> {
        let name = self.full_name()?;
        let packages = contents::packages(&self.with);
        let from = self.origin();
        if from == Origin::Host && self.base.is_some() {
            return Err(BuildError::Base.into());
        }
        let sources = if from == Origin::Host { Some(sources()?) } else { None };
        Host::find(&self.engine)?.run(async |host, engine| {
            let mut progress = progress(self.quiet);
            match &sources {
                Some(sources) => from_host(engine, &host.facts, sources, &packages, &name, &mut progress).await?,
                None => self.upon_base(engine, &packages, &name, &mut progress).await?,
            }
            drop(progress);
            let stored = engine.find(name.as_str()).await?;
            let stored = stored.ok_or_else(|| BuildError::NotThere(name.as_str().to_owned()))?;
            if let Err(error) = Built::new(&host.facts.data_dir).add(&stored.id) {
                output::tell_line(format_args!("`rcc image prune` will not know that rcc built this image: {error}"));
            }
            host.introduce(&name, &stored, self.pin, self.quiet)?;
            Ok(ExitCode::SUCCESS)
        })
    }

    /// With a tag, and of no registry that was not named.
    fn full_name(&self) -> Result<Image, BuildError> {
        let Some(given) = &self.name else {
            return name::default_name().parse().map_err(|_| BuildError::NotThere(name::default_name()));
        };
        let Reference { repository, tag, digest } = Reference::from(given);
        let local = if repository.contains('/') { "" } else { "localhost/" };
        let full = format!("{local}{repository}:{}", tag.as_deref().unwrap_or("latest"));
        match digest {
            Some(_) => Err(BuildError::Digest(given.clone())),
            None => full.parse().map_err(|_| BuildError::NotThere(full)),
        }
    }

    fn origin(&self) -> Origin {
        let needed = ["mmdebstrap", "apt-get", "newuidmap"];
        let possible = self.base.is_none() && needed.iter().all(|program| facts::program(program).is_some());
        self.from.unwrap_or(if possible { Origin::Host } else { Origin::Containerfile })
    }

    async fn upon_base(
        &self,
        engine: &Engine,
        packages: &[String],
        name: &Image,
        progress: &mut Progress,
    ) -> miette::Result<()> {
        let default = BASE.parse().map_err(|_| BuildError::NotThere(BASE.to_owned()))?;
        let base = self.base.as_ref().unwrap_or(&default);
        progress.say(&format!("building {} from {}", name.as_str(), base.as_str()));
        if !name::is_pinned(base) {
            progress.say("the base image has no digest: another day it may be another one");
        }
        let arguments = [("BASE", base.as_str().to_owned()), ("PACKAGES", packages.join(" "))];
        let arguments = arguments.map(|(name, value)| (name.to_owned(), value)).into();
        let told = engine.build(name.as_str(), arguments, contents::labels().into_iter().collect());
        let told = told.into_diagnostic().wrap_err("cannot make the engine's archive")?;
        Ok(follow(told, progress).await?)
    }
}

/// A program that sees little of the caller.
fn command(program: &Path, facts: &Facts) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").current_dir("/");
    let passed = PASSED.iter().filter_map(|name| Some((name, facts.environment.get(OsStr::new(name))?)));
    command.envs(passed);
    command
}

fn sources() -> miette::Result<Sources> {
    let facts = Facts::gather().into_diagnostic()?;
    for needed in ["mmdebstrap", "newuidmap"] {
        facts::program(needed).ok_or(BuildError::NoProgram(needed))?;
    }
    let apt = facts::program("apt-get").ok_or(BuildError::NoProgram("apt-get"))?;
    let asked = command(&apt, &facts).args(debian::TARGETS).output();
    let asked = asked.map_err(|error| BuildError::Apt(error.to_string()))?;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        return Err(BuildError::Apt(shown::text(said.lines().last().unwrap_or("it said nothing"))).into());
    }
    let targets = String::from_utf8_lossy(&asked.stdout);
    Ok(debian::sources(&targets, Path::is_file).ok_or(BuildError::NoLists)?)
}

async fn from_host(
    engine: &Engine,
    facts: &Facts,
    sources: &Sources,
    packages: &[String],
    name: &Image,
    progress: &mut Progress,
) -> miette::Result<()> {
    let program = facts::program("mmdebstrap").ok_or(BuildError::NoProgram("mmdebstrap"))?;
    progress.say(&format!("building {} from packages of {}", name.as_str(), sources.suite));
    let mut command = command(&program, facts);
    let directory = facts.variable("TMPDIR").map(Path::new).filter(|path| path.is_absolute());
    let place = Workplace::make(directory.unwrap_or(Path::new("/var/tmp")));
    let place = place.into_diagnostic().wrap_err("cannot make a directory for temporary files")?;
    let started = maker::start(command.args(debian::arguments(sources, packages)), place);
    let (mut maker, archive) = started.into_diagnostic().wrap_err("cannot start mmdebstrap")?;
    let mut answers = engine.import(archive, name.as_str(), contents::change());
    let (mut tick, mut speaks) = (tokio::time::interval(TICK), true);
    let imported = loop {
        tokio::select! {
            answer = answers.next() => match answer {
                Some(Ok(told)) => progress.tell(&told),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            },
            line = maker.line(), if speaks => match line {
                Some(line) => progress.tell(&Told { part: "mmdebstrap".into(), status: line, amount: None }),
                None => speaks = false,
            },
            _ = tick.tick(), if maker.sent() > 0 => {
                let amount = Some((maker.sent(), None));
                progress.tell(&Told { part: "image".into(), status: "written".into(), amount });
            }
        }
    };
    // Its reason comes before what the engine makes of an archive that is not whole.
    if let Some(failure) = maker.failure().await {
        return Err(BuildError::Maker(failure).into());
    }
    Ok(imported?)
}
