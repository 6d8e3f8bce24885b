//! A run's ends of the pairs that root made of its project and others: held by a process of its own, outside of the
//! sandbox, for as long as the launcher lives.

use super::membership::Joining;
use crate::config::{self, Loaded};
use crate::facts::{self, Facts};
use crate::output;
use crate::project::Project;
use crate::relay::client;
use crate::relay::name::PairName;
use crate::relay::name::SessionName;
use crate::relay::pair::{Held, LeftOut, Limits, Paired, Plan, SHARED, own_end, shared_end};
use crate::relay::policy::Pair;
use crate::relay::seat::{Direct, Seat};
use crate::runtime::embedded::process;
use crate::session;
use crate::shown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::DirBuilder;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the process may take to listen: it opens a few files, and waits for the disk once for each pair.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// How long it may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a run has none of its pairs. It starts all the same.
#[derive(Debug, thiserror::Error)]
enum PairingError {
    #[error("cannot {attempt}: {source}")]
    Host { attempt: &'static str, source: io::Error },
    #[error(transparent)]
    Session(#[from] session::SessionError),
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("the process that would hold its ends has ended")]
    Ended,
}

fn host(attempt: &'static str) -> impl Fn(io::Error) -> PairingError {
    move |source| PairingError::Host { attempt, source }
}

/// The ends of a run. Dropping it lets go of them.
#[derive(Debug)]
pub struct Pairing {
    /// What the sandbox sees of it.
    pub direct: Direct,
    /// Absent where it was only foreseen.
    _process: Option<Process>,
}

/// Takes the ends of a run of the project, if root paired it and the run joins the relay if one runs. What cannot be
/// had is told, and the run does without.
pub fn join(
    how: Joining,
    facts: &Facts,
    project: &Project,
    loaded: &Loaded,
    seat: Option<&Seat>,
    session: &SessionName,
) -> Option<Pairing> {
    let pairs = pairs_of(how, facts, project, loaded)?;
    if facts.user.uid == 0 {
        pairs.iter().for_each(|(pair, _)| left_out(&pair.name, "no process of root's listens to what an agent writes"));
        return None;
    }
    let taken = attempt(&pairs, facts, project, loaded, seat, session);
    taken.unwrap_or_else(|error| {
        let error = shown::text(&error.to_string());
        output::tell_line(format_args!("rcc: this session starts without its pairs: {error}"));
        None
    })
}

/// The same for a plan that is only shown: nothing is taken.
pub fn foresee(
    how: Joining,
    facts: &Facts,
    project: &Project,
    loaded: &Loaded,
    session: &SessionName,
) -> Option<Pairing> {
    let pairs = pairs_of(how, facts, project, loaded)?;
    let run = session::runtime_path(facts.user.uid, facts.variable("XDG_RUNTIME_DIR").map(Path::new), &facts.data_dir);
    let session = session.clone();
    let directory = run.join("direct").join(session.as_str());
    let pairs = pairs.into_iter().map(|(pair, _)| pair.name.clone()).collect();
    let direct = Direct { session, directory, pairs };
    Some(Pairing { direct, _process: None })
}

/// The pairs that this project is one end of, with the number of that; none where the run stays away.
fn pairs_of<'a>(how: Joining, facts: &Facts, project: &Project, loaded: &'a Loaded) -> Option<Vec<(&'a Pair, usize)>> {
    if how == Joining::No || client::find(facts).inside {
        return None;
    }
    let end = |pair: &'a Pair| Some((pair, pair.end_of(&project.root, &facts.user.name)?));
    let pairs: Vec<_> = loaded.admin.pairs().iter().filter_map(end).collect();
    (!pairs.is_empty()).then_some(pairs)
}

fn attempt(
    pairs: &[(&Pair, usize)],
    facts: &Facts,
    project: &Project,
    loaded: &Loaded,
    seat: Option<&Seat>,
    session: &SessionName,
) -> Result<Option<Pairing>, PairingError> {
    let user = &facts.user;
    let run = session::runtime_dir(user.uid, facts.variable("XDG_RUNTIME_DIR").map(Path::new), &facts.data_dir)?;
    let audits = client::own_place(facts).pairs();
    let mut paired = Vec::new();
    for (pair, end) in pairs {
        match self::paired(pair, *end, facts, (&run, &audits)) {
            Some(one) => paired.push(one),
            None => left_out(&pair.name, "/etc/passwd does not know the user of its other end"),
        }
    }
    let own = config::load_relay_user(&facts.config_dir, &user.home, user.uid)?;
    let session = session.clone();
    let directory = directory(&run, session.as_str())?;
    let plan = Plan {
        session: session.clone(),
        project: session::project_name(&project.root).parse().expect("letters, digits and '-' make a name"),
        root: project.root.clone(),
        home: user.home.clone(),
        user: user.name.clone(),
        uid: user.uid,
        directory: directory.clone(),
        relay: seat.map(|seat| seat.socket.clone()),
        limits: Limits::of(loaded.admin.relay_policy(), &own.policy),
        pairs: paired,
    };
    let started = Process::start(&plan, &directory);
    let (process, Held { pairs, left_out: without }) = started?;
    for LeftOut { pair, why } in &without {
        left_out(pair, why);
    }
    if pairs.is_empty() {
        return Ok(None);
    }
    let directory = std::fs::canonicalize(&directory).map_err(host("find the directory of a socket"))?;
    Ok(Some(Pairing { direct: Direct { session, directory, pairs }, _process: Some(process) }))
}

fn left_out(pair: &PairName, why: &str) {
    output::tell_line(format_args!("rcc: this session starts without the pair {pair}: {}", shown::text(why)));
}

/// One pair as this end has it; `None` if the other one is a user's whom the host does not know.
fn paired(pair: &Pair, end: usize, facts: &Facts, (run, audits): (&Path, &Path)) -> Option<Paired> {
    let peer = &pair.ends[1 - end];
    let peer_user = peer.user.as_ref().unwrap_or(&facts.user.name);
    let own = *peer_user == facts.user.name;
    let peer_uid = if own { facts.user.uid } else { facts::uid_of(peer_user)? };
    let place = |end| match pair.joins_users() {
        true => shared_end(Path::new(SHARED), &pair.name, end),
        false => own_end(run, &pair.name, end),
    };
    Some(Paired {
        name: pair.name.clone(),
        kinds: pair.kinds.clone(),
        own: place(end),
        peer: place(1 - end),
        audit: audits.join(pair.name.as_str()).join((end + 1).to_string()),
        peer_project: session::project_name(&peer.project).parse().expect("letters, digits and '-' make a name"),
        peer_user: peer_user.clone(),
        peer_uid,
    })
}

/// A new directory for the socket of this session alone.
fn directory(run: &Path, session: &str) -> Result<PathBuf, PairingError> {
    let mut random = [0; 8];
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    let path = run.join("direct").join(format!("{session}.{:016x}", u64::from_ne_bytes(random)));
    let make = |path: &Path, recursive| DirBuilder::new().recursive(recursive).mode(0o700).create(path);
    let made = make(&run.join("direct"), true).and_then(|()| make(&path, false));
    made.map(|()| path).map_err(host("make a directory for a socket"))
}

/// The process that holds the ends. It ends with the pipe to it, whatever happens to the launcher.
#[derive(Debug)]
struct Process {
    child: Child,
    life: Option<ChildStdin>,
    directory: PathBuf,
}

impl Process {
    fn start(plan: &Plan, directory: &Path) -> Result<(Self, Held), PairingError> {
        process::keep_descriptors().map_err(|errno| host("keep the caller's open files")(errno.into()))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("rcc").args(["relay", "ends"]).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(host("start the process that holds its ends"))?;
        let (life, said) = (child.stdin.take(), child.stdout.take());
        let mut process = Self { child, life, directory: directory.to_owned() };
        let mut line = serde_json::to_vec(plan).map_err(|error| host("write the plan")(error.into()))?;
        line.push(b'\n');
        let (Some(life), Some(said)) = (&mut process.life, said) else { return Err(PairingError::Ended) };
        life.write_all(&line).map_err(host("tell the process that holds its ends"))?;
        let mut answer = String::new();
        match poll(&mut [PollFd::new(&said, PollFlags::IN)], Some(&PATIENCE)) {
            Ok(1..) => {
                BufReader::new(said).read_line(&mut answer).map_err(host("hear the process that holds its ends"))?
            }
            _ => return Err(host("hear the process that holds its ends")(ErrorKind::TimedOut.into())),
        };
        let held = serde_json::from_str(&answer).map_err(|_| PairingError::Ended)?;
        Ok((process, held))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The sandbox's supervisor may have the pipe a moment longer: a word is an end, too.
        if let Some(mut life) = self.life.take() {
            let _ = life.write_all(b"\n");
        }
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Left where it held nothing, or was killed.
        let _ = std::fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::setup::agent::fixture;
    use crate::view::What;

    const PAIR: &str = "[[relay.pair]]\nname = \"api-web\"\none.project = \"ROOT/api\"\nother.project = \"ROOT/web\"\n";

    /// A project in a directory of root's configuration.
    struct Host {
        _dir: tempfile::TempDir,
        facts: Facts,
        project: Project,
        loaded: Loaded,
    }

    impl Host {
        fn new(project: &str, admin: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = std::fs::canonicalize(dir.path()).unwrap();
            for name in ["home", "api", "web", "other", "config", "data"] {
                std::fs::create_dir_all(root.join(name)).unwrap();
            }
            let file = root.join("config/admin.toml");
            std::fs::write(&file, admin.replace("ROOT", root.to_str().unwrap())).unwrap();
            let mut facts = fixture::facts(&root.join("home"), &[]);
            (facts.cwd, facts.config_dir, facts.data_dir) =
                (root.join(project), root.join("config"), root.join("data"));
            let project = Project::find(&facts).unwrap();
            let owner = rustix::process::geteuid().as_raw();
            let sources =
                Sources { admin: file, admin_owner: owner, uid: owner, ..Sources::new(&facts, &project.root, None) };
            let loaded = config::load(&sources).unwrap();
            Self { _dir: dir, facts, project, loaded }
        }

        fn foreseen(&self, how: Joining) -> Option<Direct> {
            foresee(how, &self.facts, &self.project, &self.loaded, &"web-1".parse().unwrap())
                .map(|pairing| pairing.direct)
        }
    }

    #[test]
    fn a_paired_project_has_the_directory_of_its_own_socket_and_no_other() {
        let host = Host::new("web", PAIR);
        let direct = host.foreseen(Joining::IfRunning).unwrap();
        assert!(direct.session.as_str().starts_with("web-") && direct.pairs[0].as_str() == "api-web");
        let bound: Vec<_> = direct.mounts().into_iter().map(|mount| mount.what).collect();
        assert!(
            matches!(&bound[0], What::Bind { source, .. } if source.ends_with(format!("direct/{}", direct.session)))
        );
        assert_eq!(bound.len(), 1);
        assert!(!host.facts.data_dir.join("run").exists(), "nothing is made for what is only shown");
    }

    #[test]
    fn who_is_not_paired_or_stays_away_has_none() {
        assert!(Host::new("other", PAIR).foreseen(Joining::Required).is_none());
        assert!(Host::new("web", PAIR).foreseen(Joining::No).is_none());
        assert!(Host::new("web", "").foreseen(Joining::IfRunning).is_none());
        let theirs = PAIR.replace("one.project", "one.user = \"somebody.else\"\none.project");
        assert!(Host::new("web", &theirs).foreseen(Joining::IfRunning).is_none(), "another user's");
    }

    #[test]
    fn one_users_ends_meet_in_the_users_directory_and_two_users_in_roots() {
        let host = Host::new("web", PAIR);
        let (run, audits) = (Path::new("/run/rcc/7"), Path::new("/data/pairs"));
        let one = paired(&host.loaded.admin.pairs()[0], 1, &host.facts, (run, audits)).unwrap();
        assert_eq!(
            (one.own.as_path(), one.peer.as_path()),
            (&*run.join("pairs/api-web/2"), &*run.join("pairs/api-web/1"))
        );
        assert_eq!((one.peer_project.as_str(), one.peer_uid), ("api", host.facts.user.uid));
        assert_eq!(one.audit, audits.join("api-web/2"));

        let mut pair = host.loaded.admin.pairs()[0].clone();
        pair.ends[1].user = Some(host.facts.user.name.clone());
        pair.ends[0].user = Some("root".into());
        let two = paired(&pair, 1, &host.facts, (run, audits)).unwrap();
        assert_eq!((two.own.to_str(), two.peer_uid), (Some("/run/rcc/pairs/api-web/2"), 0));
        pair.ends[0].user = Some("nobody.by.this.name".into());
        assert!(paired(&pair, 1, &host.facts, (run, audits)).is_none());
    }
}
