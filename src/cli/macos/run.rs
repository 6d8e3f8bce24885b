//! `rcc run`, `rcc shell` and `rcc claude`: everything up to the sandbox itself. The engine is chosen and looked at, and
//! the rules are brought into force where its containers run; then the first process of the container is missing.

use super::engines;
use crate::cli::run::{ClaudeArguments, Options, RunArguments, ShellArguments};
use crate::config::{self, Loaded, Sources};
use crate::enforcement;
use crate::environment;
use crate::facts::Facts;
use crate::firewall;
use crate::firewall::machine::Rules;
use crate::output;
use crate::plan::HOSTNAME;
use crate::policy::ruleset::Ruleset;
use crate::project::{Project, handover, home, scan};
use crate::runtime::Image;
use crate::runtime::apple::laid;
use crate::runtime::machine::choice::{self, Choice};
use crate::runtime::machine::engine::Engine;
use crate::runtime::machine::found::Socket;
use crate::runtime::machine::judge;
use crate::settings::Limits;
use crate::statement;
use crate::view::host::Host;
use crate::view::{self, Access, View, ViewRequest};
use miette::IntoDiagnostic;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// The sandbox itself cannot be started.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(
    "nothing was started: the first process of a sandbox's container must be rcc's own program for Linux, and rcc for \
     macOS comes without one yet"
)]
#[diagnostic(help(
    "`--dry-run` shows the engine that was chosen and what the sandbox would see; sandboxes run on Linux"
))]
struct NoGuest;

/// A sandbox that goes on without a terminal has nobody to hold it.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("this version of rcc cannot keep sandboxes on macOS: --detach is for Linux")]
struct NoKeeper;

/// It vanished between two readings.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the network profile '{0}' does not exist any more")]
struct NoProfile(String);

/// What cannot be laid is not left out.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("Apple's `container` cannot lay {count} parts of what the sandbox must see, {first} among them: {why}")]
#[diagnostic(help("they belong to the first process of the container; `--dry-run` lists them under \"left\""))]
struct NotLaid {
    count: usize,
    first: String,
    why: &'static str,
}

/// What `--dry-run` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    runtime: &'a Choice,
    project: &'a Path,
    profile: String,
    command: Vec<String>,
    limits: Limits,
    view: &'a View,
    /// What the engine's own mounts cannot express, with the reasons.
    left: Vec<(String, &'static str)>,
    /// Why nothing would be started.
    missing: String,
}

impl RunArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let command = self.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        self.options.launch(command)
    }
}

impl ShellArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        self.options.launch(vec![environment::IMAGES_SHELL.to_owned()])
    }
}

impl ClaudeArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let arguments = self.arguments.iter().map(|word| word.to_string_lossy().into_owned());
        let command = std::iter::once("claude".to_owned()).chain(arguments).collect();
        self.options.launch(command)
    }
}

impl Options {
    fn launch(self, command: Vec<String>) -> miette::Result<ExitCode> {
        if self.detach {
            return Err(NoKeeper.into());
        }
        let facts = Facts::gather().into_diagnostic()?;
        let project = Project::find(&facts).into_diagnostic()?;
        let mut loaded = config::load(&Sources::new(&facts, &project.root, self.profile))?;
        for warning in &loaded.warnings {
            output::tell_line(format_args!("{:?}", miette::Report::new(warning.clone())));
        }
        loaded.settings.runtime = self.runtime.unwrap_or(loaded.settings.runtime);
        loaded.settings.image = self.image.or(loaded.settings.image);
        let found = engines::find(&facts);
        let settings = &loaded.settings;
        let choice = choice::choose(settings.runtime, settings.image.as_ref(), &found, self.i_know)?;
        let view = view(&facts, &project, &loaded)?;
        let left = left(&choice, &view);
        if self.dry_run {
            output::print_json(&Shown {
                runtime: &choice,
                project: &project.root,
                profile: settings.profile.to_string(),
                command,
                limits: settings.limits,
                view: &view,
                left: left.iter().map(|left| (crate::shown::terminal(&left.target), left.why)).collect(),
                missing: NoGuest.to_string(),
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        match &choice {
            Choice::Apple { program, .. } => {
                engines::check_apple(program, &facts)?;
                if let [first, ..] = &left[..] {
                    let (count, why) = (left.len(), first.why);
                    return Err(NotLaid { count, first: crate::shown::terminal(&first.target), why }.into());
                }
            }
            Choice::Orbstack { socket, image, .. } => guard(socket, None, image, &loaded, self.i_know)?,
            Choice::Docker { socket, context, image, .. } => {
                guard(socket, context.as_deref(), image, &loaded, self.i_know)?;
            }
        }
        Err(NoGuest.into())
    }
}

fn left(choice: &Choice, view: &View) -> Vec<laid::Left> {
    match choice {
        Choice::Apple { .. } => laid::divide(view, &Path::is_dir).1,
        Choice::Orbstack { .. } | Choice::Docker { .. } => Vec::new(),
    }
}

/// Brings the rules into force in the engine's machine, if they can be entrusted to it.
fn guard(socket: &Path, context: Option<&str>, image: &Image, loaded: &Loaded, i_know: bool) -> miette::Result<()> {
    let engine = Engine::new(socket.to_owned()).into_diagnostic()?;
    let info = engine.info()?;
    let place = Socket { path: socket.to_owned(), leads_to: socket.to_owned() };
    judge::entrust(judge::judge(&place, context, &info), &info, i_know)?;
    if loaded.settings.profile.is_offline() {
        return Ok(());
    }
    let policy = enforcement::policy(&loaded.admin).into_diagnostic()?;
    let profile = &loaded.settings.profile;
    let (position, _) = policy.profile(profile).ok_or_else(|| NoProfile(profile.to_string()))?;
    let ruleset = Ruleset::from(&policy);
    let vpn = firewall::macos::behind_vpns(&ruleset).into_diagnostic()?;
    let rules = Rules::new(ruleset, &firewall::gather().into_diagnostic()?, &vpn);
    // Before there is a bridge that a container could be on.
    let before = engine.guard(&rules, image)?;
    engine.network(profile, position)?;
    tracing::info!("the rules in the machine of the engine were {before:?} and are in force");
    Ok(())
}

/// What a sandbox would see of this Mac, over the image.
fn view(facts: &Facts, project: &Project, loaded: &Loaded) -> miette::Result<View> {
    let settings = &loaded.settings;
    let scan = scan::read(project, &settings.exclude).into_diagnostic()?;
    let guards = handover::plan(project, &scan, &settings.writable).into_diagnostic()?;
    let profile = loaded.admin.profile(&settings.profile);
    let request = ViewRequest {
        facts,
        host: &Host::default(),
        project,
        guards: &guards,
        access: Access::Writable,
        masks: &scan.masks,
        mounts: &settings.mounts,
        programs: &[],
        home: &home::path(project, &facts.data_dir),
        // Whoever answers on that network is not known before there is one.
        nameserver: None,
        own: &[],
        statement: &statement::document(profile),
        noexec: false,
        hostname: HOSTNAME,
    };
    view::plan(request).into_diagnostic()
}
