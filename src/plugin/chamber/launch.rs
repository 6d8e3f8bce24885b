//! The chamber process: the launcher of a sandbox in which the executor runs.

use super::executor::{self, Place};
use super::frame::{self, FrameError, HEAD};
use super::spec::{Bind, BindAccess, CREDENTIALS, GeneratedFile, Spec};
use crate::config::{self, ConfigError, Sources};
use crate::facts::{Facts, FactsError};
use crate::output;
use crate::plugin::manifest::ProjectAccess;
use crate::project::{Project, ProjectError};
use crate::relay::seat::INSIDE_PROGRAM;
use crate::run::{self, PrepareError, Prepared, Room, RunError, Task};
use crate::settings::Limits;
use crate::terminal::Outcome;
use crate::terminal::stdio::replace_with_null;
use crate::view::{Access, Mount, What};
use miette::Diagnostic;
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// Directories of programs. Where only some may be executed, the others' code cannot be mapped from there either,
/// which is what a dynamic loader does that is executed by itself: Landlock cannot tell that from a program that
/// names its loader. Programs among libraries, or in a store that has both side by side, remain within its reach.
const PROGRAM_DIRECTORIES: [&str; 12] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/games",
    "/usr/libexec",
    "/usr/local/libexec",
    "/usr/lib/git-core",
    "/usr/lib/klibc",
    "/usr/lib/initramfs-tools",
    "/bin",
    "/sbin",
];

/// Longest name of a sandbox that the firewall believes.
const NAME_MAX: usize = 64;
/// Room in it for the session's.
const SESSION_MAX: usize = 37;

/// Why a chamber was not made, or how it failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum LaunchError {
    /// Started by hand.
    #[error("this command is the broker's: its standard input must be the broker's socket")]
    #[diagnostic(help("`rcc plugin start` starts the broker"))]
    NotTheBroker,
    /// The broker has ended.
    #[error("the broker has ended")]
    Orphan,
    /// A step before there is a sandbox.
    #[error("cannot {what}: {source}")]
    Host {
        /// What was attempted.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// What the chamber is to be cannot be read.
    #[error("cannot read what the chamber is to be: {0}")]
    Frame(String),
    /// A path that will not do.
    #[error("cannot make the chamber: {} {why}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// Who the user is.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The configuration.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// There is no plan.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Prepare(#[from] PrepareError),
    /// The sandbox.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Run(#[from] RunError),
}

fn host(what: &'static str) -> impl Fn(Errno) -> LaunchError {
    move |errno| LaunchError::Host { what, source: errno.into() }
}

impl From<FrameError> for LaunchError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error.to_string())
    }
}

/// Makes the chamber that the first frame on standard input asks for, and returns when it has ended. The process
/// has one thread, and lives no longer than the broker.
///
/// # Errors
/// It was not made, or could not be kept.
pub fn run(broker: u32) -> Result<(), LaunchError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(host("tie the chamber's life to the broker's"))?;
    if getppid().is_none_or(|parent| parent.as_raw_pid().cast_unsigned() != broker) {
        return Err(LaunchError::Orphan);
    }
    let socket = take_socket()?;
    let spec = read_spec(&socket)?;
    let (prepared, place) = prepare(spec)?;
    let ended = run::serve(&prepared, socket, &|| executor::run(&place))?;
    match ended.outcome {
        Outcome::Exited(0) => (),
        Outcome::Exited(_) => output::tell_line("rcc: the broker and what it talks to did not understand each other"),
        Outcome::Killed(_) | Outcome::Lost => output::tell_line(
            "rcc: the sandbox ended before the broker was done with it: something in it, a signal or a lack of memory \
             ended it",
        ),
    }
    for leftover in &ended.leftovers {
        output::tell_line(format_args!("rcc: {leftover}"));
    }
    Ok(())
}

/// From now on the socket is no standard stream, so that nothing that is executed has it.
fn take_socket() -> Result<OwnedFd, LaunchError> {
    let stdin = rustix::stdio::stdin();
    let kind = fstat(stdin).map(|status| FileType::from_raw_mode(status.st_mode));
    if kind != Ok(FileType::Socket) {
        return Err(LaunchError::NotTheBroker);
    }
    let stderr = fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).map_err(host("keep standard error"))?;
    let socket = fcntl_dupfd_cloexec(stdin, 3).map_err(host("keep the broker's socket"))?;
    replace_with_null()
        .map_err(|error| LaunchError::Host { what: "give up the standard streams", source: io::Error::other(error) })?;
    rustix::stdio::dup2_stderr(&stderr).map_err(host("keep standard error"))?;
    Ok(socket)
}

/// Reads no byte more: what follows is for the executor.
fn read_spec(socket: &OwnedFd) -> Result<Spec, LaunchError> {
    let copy = socket.try_clone().map_err(|source| LaunchError::Host { what: "read from the broker", source })?;
    let mut broker = File::from(copy);
    let mut read = |buffer: &mut [u8]| {
        broker.read_exact(buffer).map_err(|source| LaunchError::Host { what: "read from the broker", source })
    };
    let mut head = [0; HEAD];
    read(&mut head)?;
    let (json, _) = frame::lengths(head)?;
    let mut text = vec![0; json];
    read(&mut text)?;
    Ok(serde_json::from_slice(&text).map_err(FrameError::from)?)
}

/// As `rcc run` prepares, but for what differs in a [`Room`].
fn prepare(spec: Spec) -> Result<(Prepared, Place), LaunchError> {
    check(&spec)?;
    let mut facts = Facts::gather()?;
    facts.cwd = spec.root.clone();
    let project = Project::find(&facts)?;
    if project.root != spec.root {
        return Err(LaunchError::Path { path: spec.root, why: "is a part of a project, not its root" });
    }
    let mut loaded = config::load(&Sources::new(&facts, &project.root, None))?;
    // Root's policy says whether it exists, not the project's file: what holds the agent does not hold its tools.
    loaded.settings.profile = spec.profile.clone();
    loaded.settings.limits = limits(&spec.limits, &loaded.settings.limits);
    let access = access(&spec);
    let place = Place { project: access.map(|_| spec.root.clone()), home: facts.user.home.clone() };
    let programs: Vec<PathBuf> =
        std::iter::once(&spec.program).chain(spec.executes.iter().flatten()).cloned().collect();
    let task = Task {
        programs: programs.clone(),
        files: files(&spec)?,
        ..Task::plain(vec![format!("(plugin {} of {})", spec.tool, spec.session).into()])
    };
    let room = Room {
        name: name(&spec),
        project: access,
        home: spec.home.clone(),
        mounts: mounts(&spec, &programs),
        executes: spec.executes.as_ref().map(|_| programs.iter().cloned().chain([INSIDE_PROGRAM.into()]).collect()),
    };
    Ok((Prepared::for_plugin(facts, project, loaded, task, room)?, place))
}

fn check(spec: &Spec) -> Result<(), LaunchError> {
    let plain =
        |path: &Path| path.is_absolute() && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let refuse = |path: &Path, why| Err(LaunchError::Path { path: path.to_owned(), why });
    let targets = spec.binds.iter().map(|bind| &bind.target).chain(spec.files.iter().map(|file| &file.path));
    let paths =
        [&spec.root, &spec.program, &spec.home].into_iter().chain(spec.executes.iter().flatten()).chain(targets);
    for path in paths.chain(spec.binds.iter().map(|bind| &bind.source)) {
        if !plain(path) {
            return refuse(path, "is not an absolute path without '..'");
        }
    }
    if let Some(bind) = spec.binds.iter().find(|bind| bind.target.starts_with(&spec.root)) {
        return refuse(&bind.target, "lies in the project, where it would have to be made on the host");
    }
    let generated = |path: &Path| path.starts_with("/run/rcc") || path.starts_with("/etc");
    match spec.files.iter().find(|file| !generated(&file.path)) {
        Some(file) => refuse(&file.path, "is not below /run/rcc or /etc, where generated files are"),
        None => Ok(()),
    }
}

/// Unlike any session's own name: two of a user's sandboxes must not have the same.
fn name(spec: &Spec) -> String {
    let mut random = [0; 2];
    // Uniqueness only, as in `session::new_id`.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    let plain = |text: &str, length: usize| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        text.chars().map(plain).take(length).collect()
    };
    let suffix = format!("-{:02x}{:02x}", random[0], random[1]);
    let session = plain(&spec.session, SESSION_MAX);
    let tool = plain(spec.tool.as_str(), NAME_MAX - SESSION_MAX - "--".len() - suffix.len());
    format!("{session}--{tool}{suffix}")
}

fn limits(asked: &Limits, configured: &Limits) -> Limits {
    Limits {
        memory: asked.memory.or(configured.memory),
        pids: asked.pids.or(configured.pids),
        cpus: asked.cpus.or(configured.cpus),
    }
}

fn access(spec: &Spec) -> Option<Access> {
    match spec.project {
        ProjectAccess::None => None,
        ProjectAccess::ReadOnly => Some(Access::Inert),
        ProjectAccess::Writable if spec.executes.is_none() => Some(Access::Writable),
        // Where only some programs can be executed, none of the project's is among them.
        ProjectAccess::Writable | ProjectAccess::Inert => Some(Access::WritableNoexec),
    }
}

/// What is in the root itself, before the home and the project.
fn files(spec: &Spec) -> Result<Vec<Mount>, LaunchError> {
    let own = Path::new("/proc/self/exe");
    let program =
        std::fs::canonicalize(own).map_err(|source| LaunchError::Host { what: "find rcc's program", source })?;
    let generated =
        |file: &GeneratedFile| Mount { target: file.path.clone(), what: What::File { text: file.text.clone() } };
    let mut mounts: Vec<Mount> = spec.files.iter().map(generated).collect();
    mounts.push(bind(Path::new(INSIDE_PROGRAM), &program, Access::ReadOnly));
    if spec.credentials {
        mounts.push(Mount { target: CREDENTIALS.into(), what: What::Ramfs { mode: 0o700 } });
    }
    Ok(mounts)
}

/// What lies over all else.
fn mounts(spec: &Spec, programs: &[PathBuf]) -> Vec<Mount> {
    let binds = spec.binds.iter().map(|Bind { source, target, access }| {
        let access = match access {
            BindAccess::ReadOnly => Access::Inert,
            BindAccess::Program => Access::ReadOnly,
            BindAccess::Inert => Access::WritableNoexec,
        };
        bind(target, source, access)
    });
    let mut mounts: Vec<Mount> = binds.collect();
    if spec.executes.is_some() {
        let inert = PROGRAM_DIRECTORIES
            .iter()
            .map(Path::new)
            .filter(|path| std::fs::canonicalize(path).is_ok_and(|real| real == *path));
        let inert: Vec<&Path> = inert.collect();
        let covered = programs.iter().filter(|program| inert.iter().any(|directory| program.starts_with(directory)));
        mounts.extend(inert.iter().map(|directory| bind(directory, directory, Access::Inert)));
        mounts.extend(covered.map(|program| bind(program, program, Access::ReadOnly)));
    }
    mounts
}

fn bind(target: &Path, source: &Path, access: Access) -> Mount {
    Mount { target: target.to_owned(), what: What::Bind { source: source.to_owned(), access } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ProfileName;

    fn spec() -> Spec {
        Spec {
            session: "app-1a2b".into(),
            tool: "gh".parse().unwrap(),
            root: "/home/alice/app".into(),
            project: ProjectAccess::ReadOnly,
            profile: ProfileName::public(),
            program: "/usr/bin/gh".into(),
            executes: Some(["/usr/bin/git".into()].into()),
            home: "/home/alice/.local/share/rcc/plugins/gh".into(),
            binds: Vec::new(),
            files: Vec::new(),
            credentials: true,
            limits: Limits { pids: Some(64), ..Limits::default() },
        }
    }

    fn refused(change: impl FnOnce(&mut Spec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        check(&spec).unwrap_err().to_string()
    }

    #[test]
    fn a_spec_arrives_as_it_was_sent() {
        let json = serde_json::to_string(&spec()).unwrap();
        assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec());
        let wrong = json.replace("\"public\"", "\"no such name\"");
        assert!(serde_json::from_str::<Spec>(&wrong).is_err());
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        check(&spec()).unwrap();
        let file = |path: &str| GeneratedFile { path: path.into(), text: String::new() };
        let bind = |source: &str, target: &str| Bind {
            source: source.into(),
            target: target.into(),
            access: BindAccess::ReadOnly,
        };
        for refusal in [
            refused(|spec| spec.program = "gh".into()),
            refused(|spec| spec.root = "/home/alice/../bob".into()),
            refused(|spec| spec.executes = Some(["bin/git".into()].into())),
            refused(|spec| spec.binds = vec![bind("/srv/x", "x")]),
            refused(|spec| spec.binds = vec![bind("srv/x", "/run/rcc/x")]),
            refused(|spec| spec.files = vec![file("/run/rcc/../x")]),
        ] {
            assert!(refusal.contains("is not an absolute path"), "{refusal}");
        }
        let inside = refused(|spec| spec.binds = vec![bind("/srv/x", "/home/alice/app/x")]);
        assert!(inside.contains("lies in the project"), "{inside}");
        let elsewhere = refused(|spec| spec.files = vec![file("/usr/bin/git")]);
        assert!(elsewhere.contains("below /run/rcc or /etc"), "{elsewhere}");
    }

    #[test]
    fn its_name_is_one_that_the_firewall_believes_and_no_sessions_own() {
        let long = Spec { session: "x".repeat(99), tool: "a_tool.with-a-very-long-name-12".parse().unwrap(), ..spec() };
        for spec in [spec(), long] {
            let name = name(&spec);
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(name.len() <= NAME_MAX && name.bytes().all(plain) && name.contains("--"), "{name}");
        }
        assert!(name(&spec()).starts_with("app-1a2b--gh-"));
    }

    #[test]
    fn nothing_of_the_project_can_be_executed_where_programs_are_named() {
        let of = |project, executes| access(&Spec { project, executes, ..spec() });
        assert_eq!(of(ProjectAccess::Writable, None), Some(Access::Writable));
        assert_eq!(of(ProjectAccess::Writable, Some([].into())), Some(Access::WritableNoexec));
        assert_eq!(of(ProjectAccess::Inert, None), Some(Access::WritableNoexec));
        assert_eq!(of(ProjectAccess::ReadOnly, None), Some(Access::Inert));
        assert_eq!(of(ProjectAccess::None, None), None);
    }
}
