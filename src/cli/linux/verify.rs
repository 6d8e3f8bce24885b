//! What `rcc firewall` needs of sandboxes: the battery in a throwaway one, and the unprivileged
//! look at the rules.

use crate::cli::firewall::VerifyArguments;
use crate::cli::table;
use crate::config::{self, Sources};
use crate::enforcement::{self, ProbeError};
use crate::facts::Facts;
use crate::firewall::battery::{self, Attempt, HostView, Listeners, Seen, Table};
use crate::firewall::{self, Status, onlink};
use crate::network::{pasta, proc_routes};
use crate::output;
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName, Reach};
use crate::project::Project;
use crate::run::{self, Body, Prepared, Task};
use miette::{IntoDiagnostic, WrapErr};
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{DirBuilder, File};
use std::io::{Read, Seek};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What is still on its way when the sandbox has ended. Everything is on this machine.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sockets of the host that would hand out its powers, where they usually are.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/nix/var/nix/daemon-socket/socket",
];

/// Exit status 0 only if everything holds.
pub(in crate::cli) fn verify(arguments: &VerifyArguments) -> miette::Result<ExitCode> {
    show_table(&try_all(arguments)?, arguments.json)
}

fn show_table(result: &Table, json: bool) -> miette::Result<ExitCode> {
    if json {
        output::print_json(result)?;
    } else {
        let rows = result.rows.iter().map(|row| {
            let seen = row.seen.as_deref().unwrap_or("not attempted");
            let seen = if row.arrived { format!("{seen}; arrived") } else { seen.to_owned() };
            let verdict = if row.holds { "holds" } else { "FAILS" };
            vec![row.attempt.description.clone(), row.attempt.expected.to_string(), verdict.to_owned(), seen]
        });
        let table = table::render(&["ATTEMPT", "EXPECTED", "VERDICT", "SEEN"], &rows.collect::<Vec<_>>());
        let failed = result.rows.iter().filter(|row| !row.holds).count();
        output::print(format!("{table}\n{} attempts, {failed} failed\n", result.rows.len()))?;
    }
    Ok(if result.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes all attempts in a sandbox of an empty project. It has no second layer of denials: the
/// firewall itself is tried.
fn try_all(arguments: &VerifyArguments) -> miette::Result<Table> {
    let mut facts = Facts::gather().into_diagnostic()?;
    let throwaway =
        Throwaway::make().into_diagnostic().wrap_err("cannot make a directory for the throwaway sandbox")?;
    facts.cwd = throwaway.project();
    facts.data_dir = throwaway.data();
    let secret = random()?;
    let listeners = Listeners::open(secret).into_diagnostic().wrap_err("cannot listen on this host")?;
    let attempts = battery::attempts(&host_view(&facts, &listeners, arguments)?);
    let project = Project::find(&facts).into_diagnostic()?;
    let loaded = config::load(&Sources::new(&facts, &project.root, Some(arguments.profile.clone())))?;
    let task = Task::plain(vec!["(rcc firewall verify)".into()]);
    let prepared = Prepared::new(facts, project, loaded, task)?.without_second_layer();
    let seen = attempt(&prepared, &attempts, secret)?;
    let arrived = listeners.arrivals(PATIENCE).into_diagnostic()?;
    Ok(battery::judge(attempts, &seen, &arrived))
}

/// What the sandbox saw.
fn attempt(prepared: &Prepared, attempts: &[Attempt], secret: u64) -> miette::Result<Vec<Seen>> {
    let out = memfd_create("rcc-verify", MemfdFlags::CLOEXEC).into_diagnostic()?;
    let mut out = File::from(out);
    let body = || {
        let made = out.try_clone().and_then(|out| battery::run_inside(attempts, secret, out.into()));
        u8::from(made.is_err())
    };
    run::execute(prepared, Body::Function(&body), &mut || ())?;
    let mut text = String::new();
    out.rewind().and_then(|()| out.read_to_string(&mut text)).into_diagnostic()?;
    text.lines().map(|line| serde_json::from_str(line).into_diagnostic()).collect()
}

fn host_view(facts: &Facts, listeners: &Listeners, arguments: &VerifyArguments) -> miette::Result<HostView> {
    let surroundings = firewall::gather().into_diagnostic()?;
    let routes = proc_routes::read().into_diagnostic().wrap_err("cannot read the routes of this host")?;
    let policy = enforcement::current()?;
    let listed = policy.profile(&arguments.profile).is_some_and(|(_, profile)| profile.reach != Reach::Public);
    let agent = facts.variable("SSH_AUTH_SOCK").map(PathBuf::from);
    Ok(HostView {
        links: onlink::read().into_diagnostic()?,
        gateways: routes
            .iter()
            .filter(|route| route.destination.prefix_len() == 0)
            .filter_map(|it| it.gateway)
            .collect(),
        resolvers: surroundings.resolvers.iter().map(SocketAddr::ip).collect(),
        port: listeners.port,
        abstract_socket: listeners.abstract_socket.clone(),
        sockets: SOCKETS.iter().map(PathBuf::from).chain(agent).collect(),
        dns: Some(IpAddr::V4(pasta::DNS)),
        public: arguments.public,
        listed,
    })
}

fn random() -> miette::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).into_diagnostic()?;
    Ok(u64::from_ne_bytes(bytes))
}

/// A directory for an empty project and its private home; dropping it removes both.
struct Throwaway(PathBuf);

impl Throwaway {
    fn make() -> std::io::Result<Self> {
        let random = random().map_err(std::io::Error::other)?;
        let path = std::fs::canonicalize(std::env::temp_dir())?.join(format!("rcc-verify-{random:016x}"));
        let create = |path: &PathBuf| DirBuilder::new().mode(0o700).create(path);
        create(&path)?;
        let made = Self(path);
        create(&made.project())?;
        create(&made.data())?;
        Ok(made)
    }

    fn project(&self) -> PathBuf {
        self.0.join("project")
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        // A few empty directories would stay behind.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Root reads the rules; anybody else asks under an identity of their own.
pub(in crate::cli) fn status(policy: &Policy) -> miette::Result<Status> {
    let (uid, ruleset) = (rustix::process::geteuid(), Ruleset::from(policy));
    if uid.is_root() {
        let status = firewall::status(&ruleset).into_diagnostic()?;
        return Ok(Status { resolver: enforcement::resolves(policy).into_diagnostic()?, ..status });
    }
    let (state, resolver) = match enforcement::probe(policy, &ProfileName::public(), uid.as_raw()) {
        Ok(()) => (firewall::State::InForce, Some(true)),
        Err(ProbeError::NotInForce(state, _)) => (state, None),
        Err(ProbeError::NoResolver(_)) => (firewall::State::InForce, Some(false)),
        Err(error) => return Err(miette::miette!("{error}")),
    };
    Ok(Status { state, version: firewall::nft::version(&ruleset), resolver, counters: Vec::new() })
}
