//! From a manifest to a sandbox and to what runs in it.

use super::call::Station;
use super::call::begin::{Credentials, Wanted};
use super::desk::Desk;
use super::forwarder;
use super::recorder::Recorder;
use super::streams::Theirs;
use crate::environment::PATH;
use crate::plugin::chamber::{Bind, BindAccess, CREDENTIALS, Command, Delivery, GeneratedFile, Spec};
use crate::plugin::credential::Secret;
use crate::plugin::event::Call;
use crate::plugin::git::remote::{self, Upstream};
use crate::plugin::git::task::{self, Access, Task};
use crate::plugin::manifest::environment::not_to_pass;
use crate::plugin::manifest::{Exec, Git, GitAccess, GitHost, Kind, Manifest, ProjectAccess};
use crate::plugin::wire::{Mode, Request, Service};
use crate::session;
use crate::settings::Limits;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// The name under which git looks for who speaks with `rcc::` remotes.
pub(super) const REMOTE_HELPER: &str = "git-remote-rcc";
/// Where the sandbox of a git plugin has the mirrors.
const MIRRORS: &str = "/run/rcc/mirrors";
/// Where it has rcc's program as a hook of git's: among the mirrors nothing can be executed.
const HOOKS: &str = "/run/rcc/hooks";
/// Where a sandbox has the files of its hosts that are no secrets.
pub(super) const HOSTS: &str = "/run/rcc/hosts";
/// The file of all tokens, in the form of git-credential-store(1).
const STORE: &str = "store";

/// Something to run.
pub(super) struct Prepared {
    pub command: Command,
    /// What the plugin tells of its decisions.
    pub recorder: Option<Recorder>,
}

/// The sandbox of a tool, and what it is given.
///
/// # Errors
/// If a file that the manifest names cannot be read, or a credential not be prepared.
pub(super) fn chamber(
    desk: &Desk,
    station: &Station,
    project: &Path,
    manifest: &Manifest,
    credentials: &Credentials,
) -> Result<(Spec, Vec<Delivery>), String> {
    let home = desk.place.home(&home_key(project, manifest), &manifest.tool);
    let base = Spec {
        session: station.session.clone(),
        tool: manifest.tool.clone(),
        root: project.to_owned(),
        project: ProjectAccess::None,
        profile: manifest.profile.clone(),
        program: own_program()?,
        executes: None,
        home,
        binds: Vec::new(),
        files: Vec::new(),
        credentials: false,
        limits: Limits::default(),
    };
    match &manifest.kind {
        Kind::Exec(exec) => {
            let deliver = |(name, secret): (&String, &Arc<Secret>)| Delivery {
                name: name.clone(),
                secret: secret.clone(),
                file: None,
            };
            let (program, executes) = (exec.program.clone(), exec.executes.clone());
            Ok((Spec { project: exec.project, program, executes, ..base }, credentials.iter().map(deliver).collect()))
        }
        Kind::Git(git) => {
            let mirrors = desk.place.mirrors();
            crate::sockets::directory(&mirrors, 0o700).map_err(|error| error.to_string())?;
            let hook = Path::new(HOOKS).join(task::HOOK);
            let binds = vec![
                Bind { source: mirrors, target: MIRRORS.into(), access: BindAccess::Inert },
                Bind { source: own_program()?, target: hook, access: BindAccess::Program },
            ];
            Ok((Spec { binds, files: host_files(git)?, credentials: true, ..base }, for_git(git, credentials)?))
        }
        Kind::Http(http) => {
            // Nothing but rcc itself is executed there.
            let spec =
                Spec { executes: Some(BTreeSet::new()), files: forwarder::files(http)?, credentials: true, ..base };
            Ok((spec, forwarder::deliveries(http, credentials)?))
        }
    }
}

/// What a tool's home is named by. What was written there by one that had no credential is not read by one that has.
fn home_key(project: &Path, manifest: &Manifest) -> String {
    let trust = if manifest.credentials.is_empty() { "plain" } else { "trusted" };
    format!("{}-{trust}", project_key(project))
}

/// A name for a project that is a plain file name: its own, and something of its path.
fn project_key(project: &Path) -> String {
    let digest = Sha256::digest(project.as_os_str().as_encoded_bytes());
    let mut key = session::project_name(project);
    key.push('-');
    for byte in digest.iter().take(8) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

pub(super) fn own_program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().and_then(std::fs::canonicalize);
    own.map_err(|error| format!("cannot find rcc's own program: {error}"))
}

/// What the plugin's program is to do.
///
/// # Errors
/// If it cannot be prepared.
pub(super) fn command(
    desk: &Rc<Desk>,
    station: &Station,
    manifest: &Manifest,
    wanted: &Wanted,
    call: &Call,
    streams: Theirs,
) -> Result<Prepared, String> {
    match (&manifest.kind, wanted) {
        (Kind::Exec(exec), Wanted::Exec { request, terminal }) => {
            let command = exec_command(desk, manifest, exec, request, terminal.is_some(), streams);
            Ok(Prepared { command, recorder: None })
        }
        (Kind::Git(git), Wanted::Connect { service, url, mode }) => {
            let (host, upstream) = remote::resolve(url, &git.hosts).map_err(|refusal| refusal.to_string())?;
            let failed = |error| format!("cannot prepare for what the plugin decides: {error}");
            let recorder = Recorder::start(&desk.place.mirrors(), desk, station, call.call).map_err(failed)?;
            let task = Task {
                service: *service,
                mode: *mode,
                upstream,
                access: access(git, host),
                rules: git.rules.clone(),
                mirrors: MIRRORS.into(),
                hooks: HOOKS.into(),
                decisions: Path::new(MIRRORS).join(recorder.name()),
            };
            Ok(Prepared { command: git_command(desk, &task, streams)?, recorder: Some(recorder) })
        }
        _ => Err(format!("{} cannot do that", manifest.tool)),
    }
}

fn exec_command(
    desk: &Desk,
    manifest: &Manifest,
    exec: &Exec,
    request: &Request,
    terminal: bool,
    streams: Theirs,
) -> Command {
    let passed = request.env.iter().filter(|(name, _)| takes(exec, name));
    let mut environment = base_environment(desk);
    environment.insert("PATH".to_owned(), search_path(exec.executes.as_ref()));
    environment.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    environment.extend(exec.set.clone());
    let named = manifest.credentials.iter().filter_map(|credential| Some((credential.variable.clone()?, credential)));
    Command {
        program: exec.program.clone(),
        argv: std::iter::once(exec.called.clone()).chain(request.args.iter().cloned()).collect(),
        environment,
        secret_environment: named.map(|(variable, credential)| (variable, credential.name.clone())).collect(),
        directory: (exec.project != ProjectAccess::None).then(|| PathBuf::from(&request.cwd)),
        terminal,
        streams,
    }
}

/// What every program expects to find.
pub(super) fn base_environment(desk: &Desk) -> BTreeMap<String, String> {
    let own = &desk.own;
    let base =
        [("HOME", &*own.home), ("LOGNAME", &own.user), ("PATH", PATH), ("SHELL", "/bin/sh"), ("USER", &own.user)];
    base.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Where the tool looks for other programs: first where those are that it may execute. Another one of the same name, in
/// a directory that is searched earlier, would be found and not be executed.
fn search_path(executes: Option<&BTreeSet<PathBuf>>) -> String {
    let mut directories: Vec<&str> = Vec::new();
    let own = executes.into_iter().flatten().filter_map(|program| program.parent()?.to_str());
    for directory in own.chain(PATH.split(':')) {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    directories.join(":")
}

/// Whether a client may give this variable: a name that ends in `*` stands for all that begin so, save those that are
/// nobody's to give.
fn takes(exec: &Exec, variable: &str) -> bool {
    exec.pass.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => variable.starts_with(beginning) && not_to_pass(variable).is_none(),
        None => variable == name,
    })
}

/// Whether the remote is reached in this form; an error is a refusal, `None` asks for the other form.
pub(super) fn remote(git: &Git, service: Service, url: &str, mode: Mode) -> Result<Option<Upstream>, String> {
    let (host, upstream) = remote::resolve(url, &git.hosts).map_err(|refusal| refusal.to_string())?;
    Ok((!task::falls_back(service, mode, &host.access)).then_some(upstream))
}

fn git_command(desk: &Desk, task: &Task, streams: Theirs) -> Result<Command, String> {
    let program = own_program()?;
    let mut argv = vec!["rcc".to_owned()];
    argv.extend(["guest", "git-serve"].map(str::to_owned));
    argv.push(serde_json::to_string(task).map_err(|error| error.to_string())?);
    Ok(Command {
        program,
        argv,
        environment: base_environment(desk),
        secret_environment: BTreeMap::new(),
        directory: None,
        terminal: false,
        streams,
    })
}

/// Where a host's files are in the sandbox.
fn access(git: &Git, host: &GitHost) -> Access {
    let index = git.hosts.iter().position(|known| known == host).unwrap_or(0);
    match &host.access {
        GitAccess::Https { ca, .. } => Access::Https {
            store: Path::new(CREDENTIALS).join(STORE),
            ca: ca.as_ref().map(|_| Path::new(HOSTS).join(format!("{index}.pem"))),
        },
        GitAccess::Ssh { credential, .. } => Access::Ssh {
            key: Path::new(CREDENTIALS).join(key_file(credential)),
            known_hosts: Path::new(HOSTS).join(format!("{index}.known_hosts")),
        },
    }
}

fn key_file(credential: &str) -> String {
    format!("key-{credential}")
}

fn host_files(git: &Git) -> Result<Vec<GeneratedFile>, String> {
    let mut files = Vec::new();
    for (index, host) in git.hosts.iter().enumerate() {
        let (source, suffix) = match &host.access {
            GitAccess::Https { ca: Some(ca), .. } => (ca, "pem"),
            GitAccess::Ssh { known_hosts, .. } => (known_hosts, "known_hosts"),
            GitAccess::Https { ca: None, .. } => continue,
        };
        let text = std::fs::read_to_string(source);
        let text = text.map_err(|error| format!("cannot read {} for {}: {error}", source.display(), host.name))?;
        files.push(GeneratedFile { path: Path::new(HOSTS).join(format!("{index}.{suffix}")), text });
    }
    Ok(files)
}

/// The tokens in one file, as git reads them, and each key in one of its own, as ssh does.
fn for_git(git: &Git, credentials: &Credentials) -> Result<Vec<Delivery>, String> {
    let known = |name: &str| credentials.get(name).ok_or_else(|| format!("there is no credential '{name}'"));
    let mut deliveries = Vec::new();
    // Overwritten where it grows out of: it is made with room for all.
    let mut store = Vec::with_capacity(git.hosts.len() * (4 * crate::plugin::credential::SECRET_MAX));
    for host in &git.hosts {
        match &host.access {
            GitAccess::Https { user, credential, .. } => {
                let mut line = task::stored(&host.name, user, known(credential)?.expose());
                store.extend_from_slice(&line);
                crate::plugin::credential::wipe(&mut line);
            }
            GitAccess::Ssh { credential, .. } => {
                // Its last line has an end.
                let mut key = Vec::with_capacity(crate::plugin::credential::SECRET_MAX + 1);
                key.extend_from_slice(known(credential)?.expose());
                key.push(b'\n');
                deliveries.push(delivery(credential, &mut key, key_file(credential))?);
            }
        }
    }
    if !store.is_empty() {
        deliveries.push(delivery(STORE, &mut store, STORE.to_owned())?);
    }
    Ok(deliveries)
}

fn delivery(name: &str, bytes: &mut Vec<u8>, file: String) -> Result<Delivery, String> {
    let secret = Secret::take(bytes).map_err(|error| format!("the credential '{name}' cannot be given on: {error}"))?;
    Ok(Delivery { name: name.to_owned(), secret: Arc::new(secret), file: Some(file) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest::{Credential, Origin, Source};
    use crate::policy::ProfileName;
    use std::time::Duration;

    fn exec(pass: &[&str]) -> Exec {
        Exec {
            program: "/usr/bin/tool".into(),
            called: "tool".to_owned(),
            executes: None,
            project: ProjectAccess::None,
            output_max: 1,
            pass: pass.iter().map(|name| (*name).to_owned()).collect(),
            set: BTreeMap::new(),
            grammar: Default::default(),
        }
    }

    #[test]
    fn a_pattern_of_variables_passes_none_that_runs_something() {
        let exec = exec(&["TERM", "LC_*"]);
        for variable in ["TERM", "LC_ALL", "LC_CTYPE", "LC_"] {
            assert!(takes(&exec, variable), "{variable}");
        }
        for variable in ["LC", "lc_all", "TERMINFO", "LC_PAGER", "LC_X_PRELOAD", "LD_PRELOAD", "XLC_ALL"] {
            assert!(!takes(&exec, variable), "{variable}");
        }
    }

    #[test]
    fn a_tool_with_a_credential_has_no_home_that_one_without_had() {
        let credential = Credential { name: "token".to_owned(), source: Source::File("/token".into()), variable: None };
        let manifest = |credentials| Manifest {
            tool: "gh".parse().unwrap(),
            origin: Origin::Admin,
            summary: String::new(),
            profile: ProfileName::new("public").unwrap(),
            timeout: Duration::from_secs(1),
            concurrency: 1,
            credentials,
            kind: Kind::Exec(Box::new(exec(&[]))),
        };
        let key = |project: &str, credentials| home_key(Path::new(project), &manifest(credentials));
        let (plain, trusted) = (key("/p/api", vec![]), key("/p/api", vec![credential.clone()]));
        assert!(plain.ends_with("-plain") && trusted.ends_with("-trusted"), "{plain} {trusted}");
        // Nor is it another project's of the same name.
        assert_ne!(trusted, key("/q/api", vec![credential]));
        assert!(!trusted.contains('/'));
    }

    #[test]
    fn a_tool_finds_first_what_it_may_execute() {
        let executes = BTreeSet::from(["/opt/git/bin/git".into(), "/usr/bin/git".into(), "/usr/bin/true".into()]);
        let path = search_path(Some(&executes));
        assert!(path.starts_with("/opt/git/bin:/usr/bin:/"), "{path}");
        assert_eq!(path.split(':').filter(|directory| *directory == "/usr/bin").count(), 1, "{path}");
        assert_eq!(search_path(None), PATH);
    }
}
