//! `rcc run`, `rcc shell` and `rcc claude`.

use super::image::Foreseen;
use super::{denials, engines, kept};
use crate::cli::run::{ClaudeArguments, Options, RunArguments, ShellArguments};
use crate::cli::setup::{AgentName, SetupArgs};
use crate::config::{self, Loaded, Sources};
use crate::environment;
use crate::facts::Facts;
use crate::output;
use crate::plugin::manifest::places::Places;
use crate::project::{Project, report};
use crate::relay::name::SessionName;
use crate::run::membership::{self, Joining};
use crate::run::pairing;
use crate::run::plugins::{self, Plugins};
use crate::run::{self, Body, Ended, Prepared, Task};
use crate::runtime::Runtime;
use crate::session;
use crate::setup::agent;
use crate::shown;
use crate::statement;
use crate::terminal::Outcome;
use miette::{IntoDiagnostic, WrapErr};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

impl ClaudeArguments {
    /// The run itself begins with a fresh process: set-up may have started threads, and a
    /// launcher must have one.
    fn set_up_and_run(self) -> miette::Result<ExitCode> {
        let facts = Facts::gather().into_diagnostic()?;
        // An agent that is named need not be fetched.
        let agent = self.program.is_none().then_some(AgentName::Claude);
        let setup = SetupArgs { yes: self.yes, agent, ..SetupArgs::default() };
        let ready = setup.run(&facts)?;
        if ready != ExitCode::SUCCESS {
            return Ok(ready);
        }
        let mut again = Command::new("/proc/self/exe");
        again.arg0("rcc").arg("claude");
        again.args(self.options.profile.iter().flat_map(|profile| ["--profile", profile.as_str()]));
        let runtime = self.options.runtime.map(|runtime| format!("--runtime={runtime}"));
        again.args(runtime.into_iter().chain(self.options.image.map(|image| format!("--image={}", image.as_str()))));
        again.args(self.program.iter().flat_map(|program| [OsStr::new("--program"), program.as_os_str()]));
        again.args(self.options.i_know.then_some("--i-know"));
        again.args(self.options.dry_run.then_some("--dry-run")).args(self.options.detach.then_some("--detach"));
        again.args(self.options.name.iter().flat_map(|name| ["--name", name.as_str()]));
        again.args(self.options.no_plugins.then_some("--no-plugins"));
        again.args(self.options.relay.then_some("--relay")).args(self.options.no_relay.then_some("--no-relay"));
        again.args(self.arguments);
        Err(again.exec()).into_diagnostic().wrap_err("cannot start the launcher after set-up")
    }
}

/// There is no agent to run.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("Claude Code is not installed where a sandbox could use it")]
#[diagnostic(help("`rcc setup --agent claude` installs it"))]
struct NoClaude;

/// The agent that was named will not do.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot use {} as Claude Code", shown::terminal(.0))]
#[diagnostic(help(
    "it must be a native program, or in the Nix store, outside of the project, and nobody but root and you may be \
     able to change it"
))]
struct NotAnAgent(PathBuf);

impl RunArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        let Self { options, command } = self;
        options.launch(false, |_, _, _, _| Ok(Task::plain(command)))
    }
}

impl ShellArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        self.options.launch(false, |facts, _, loaded, _| {
            let shell = match loaded.settings.runtime {
                Runtime::Auto | Runtime::Embedded => environment::shell(facts),
                _ => environment::IMAGES_SHELL.as_ref(),
            };
            Ok(Task::plain(vec![shell.to_owned()]))
        })
    }
}

impl ClaudeArguments {
    pub(in crate::cli) fn run(self) -> miette::Result<ExitCode> {
        if self.setup {
            return self.set_up_and_run();
        }
        let Self { options, arguments, program, .. } = self;
        options.launch(true, |facts, project, loaded, joined| {
            let claude = match program {
                Some(program) => agent::named(&program, facts, &project.root).ok_or(NotAnAgent(program))?,
                None => agent::find(facts, &project.root).ok_or(NoClaude)?,
            };
            let profile = loaded.admin.profile(&loaded.settings.profile);
            let note = statement::note(profile);
            let wiring = joined.then(|| agent::wire(&arguments)).flatten();
            let arguments = match &wiring {
                Some(wiring) => wiring.arguments(&note),
                None => agent::arguments(&arguments, &note),
            };
            Ok(Task {
                command: std::iter::once(claude.program.into_os_string()).chain(arguments).collect(),
                programs: claude.read_only_paths,
                files: wiring.map(|wiring| wiring.files).unwrap_or_default(),
                environment: agent::environment(facts),
                seed: |home, project, facts| agent::seed_home(home, project, facts).map_err(Into::into),
            })
        })
    }
}

impl Options {
    /// From what was typed to the end of the run. The task is told whether it runs at the relay, or paired.
    fn launch(
        self,
        agent: bool,
        task: impl FnOnce(&Facts, &Project, &Loaded, bool) -> miette::Result<Task>,
    ) -> miette::Result<ExitCode> {
        let mut facts = Facts::gather().into_diagnostic()?;
        if self.detach && !self.dry_run {
            return kept::start(&facts, self.name);
        }
        // Before anything is made of the caller's environment.
        let manifests = Places::new(&facts).admin;
        let without_key = agent && !self.no_plugins && agent::keep_key_outside(&mut facts, &manifests);
        let project = Project::find(&facts).into_diagnostic()?;
        let mut loaded = config::load(&Sources::new(&facts, &project.root, self.profile))?;
        loaded.settings.runtime = self.runtime.unwrap_or(loaded.settings.runtime);
        loaded.settings.image = self.image.or(loaded.settings.image);
        if loaded.settings.runtime == Runtime::Docker {
            engines::refuse_open(&facts, self.i_know)?;
        }
        for warning in &loaded.warnings {
            output::tell_line(format_args!("{:?}", miette::Report::new(warning.clone())));
        }
        let given = self.name;
        let session = given.clone().unwrap_or_else(|| new_name(&project));
        let typed = (self.relay || self.no_relay).then_some(self.relay);
        let how = Joining::of(typed, loaded.settings.relay, agent)?;
        let member = if self.dry_run {
            membership::foresee(how, &facts, &session)?
        } else {
            membership::join(how, &facts, &project, &session)?
        };
        let seat = member.as_ref().map(|member| member.seat.clone());
        let session = seat.as_ref().map_or(session, |seat| seat.session.clone());
        if given.as_ref().is_some_and(|given| *given != session) {
            output::tell_line(format_args!(
                "rcc: at the relay this session is '{session}': the name it was given has been another's there"
            ));
        }
        let pairing = if self.dry_run {
            pairing::foresee(how, &facts, &project, &loaded, &session)
        } else {
            pairing::join(how, &facts, &project, &loaded, seat.as_ref(), &session)
        };
        let direct = pairing.as_ref().map(|pairing| pairing.direct.clone());
        let tools = loaded.settings.plugins.clone();
        let task = task(&facts, &project, &loaded, seat.is_some() || direct.is_some())?;
        let prepared = Prepared::new(facts, project, loaded, task)?
            .with_seat(seat)
            .with_direct(direct)
            .named(given.as_ref().unwrap_or(&session));
        // Only a run opens a session there, and a plan that is shown has none to show.
        let plugins = (!self.dry_run && !self.no_plugins)
            .then(|| plugins::open(&prepared.facts, &prepared.project, prepared.session(), tools.as_ref()))
            .flatten();
        let kit = plugins.as_ref().map(|plugins| plugins.kit.clone());
        if without_key && !self.dry_run && !kit.as_ref().is_some_and(agent::brings_key) {
            output::tell_line(
                "rcc: Claude Code has no key in this session: the plugin 'anthropic' keeps it outside, and the session \
                 does not have that plugin; `rcc plugin status` and the `plugins` of the configuration tell why",
            );
        }
        let prepared = prepared.with_kit(kit);
        if self.dry_run {
            let mut plan = prepared.plan(&prepared.guards()?, &prepared.home())?;
            plan.enforced = Some(run::explain(&plan).unwrap_or_else(|missing| missing.to_string()));
            output::print_json(&Foreseen::new(&plan))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (mut plugins, mut held) = (plugins, None);
        let ended = run::execute(&prepared, Body::Command, &mut || held = plugins.take().map(Plugins::hold))?;
        if let Some(Err(error)) = &held {
            output::tell_line(format_args!("rcc: cannot start the thread that holds the session of plugins: {error}"));
        }
        if ended.outcome == Outcome::Lost {
            output::tell_line(
                "rcc: the sandbox ended before its command did: a signal or a lack of memory ended its processes",
            );
        }
        show_changes(&prepared, &ended);
        denials::at_the_end(prepared.policy.as_ref(), prepared.facts.user.uid, &ended.session);
        Ok(ExitCode::from(ended.outcome.status()))
    }
}

/// The name of a session that was not given one.
pub(super) fn new_name(project: &Project) -> SessionName {
    session::new_id(&project.root).parse().expect("letters, digits and '-' make a name")
}

/// What the agent changed among the things that the host executes or loads by itself.
fn show_changes(prepared: &Prepared, ended: &Ended) {
    for leftover in &ended.leftovers {
        output::tell_line(format_args!("rcc: {leftover}"));
    }
    let mut report = report::changes(&prepared.project, ended.started);
    report.changes.retain(|change| {
        let path = prepared.project.root.join(&change.path);
        // What has another content now is no placeholder any more.
        !ended.placeholders.iter().any(|placeholder| placeholder.path == path && placeholder.untouched())
    });
    if !report.changes.is_empty() {
        output::tell_line("rcc: look at these before you use the project; this machine would execute or load them:");
    }
    for change in &report.changes {
        output::tell_line(format_args!("  {}  {}", shown::terminal(&change.path), change.why));
    }
    if report.incomplete {
        output::tell_line("rcc: the list is not complete: the project is too large to search it all");
    }
}
