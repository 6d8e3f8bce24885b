//! A run's session at the relay: opened before anything else, so that what runs knows of it, and closed at the
//! end. While the launcher lives, its lock on the lease says so.

use crate::config::PROJECT_FILE;
use crate::facts::Facts;
use crate::output;
use crate::project::Project;
use crate::relay::client::{self, Client, ClientError};
use crate::relay::name::SessionName;
use crate::relay::place::Place;
use crate::relay::seat::Seat;
use crate::relay::wire::answer::{Nothing, Opened, Worktable};
use crate::relay::wire::{Close, Open, Reason, Request};
use crate::session;
use crate::settings::Join;
use miette::Diagnostic;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Whether a run joins the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It does, and without a relay nothing starts.
    Required,
    /// If a relay runs and takes it.
    IfRunning,
    /// It does not.
    No,
}

impl Joining {
    /// What was typed, else what the configuration says; `agent` tells whether it is an agent that runs.
    ///
    /// # Errors
    /// If it was asked for, and the project stays away.
    pub fn of(typed: Option<bool>, configured: Join, agent: bool) -> Result<Self, JoinError> {
        match (typed, configured) {
            (Some(true), Join::Refused) => Err(JoinError::Refused),
            (Some(true), _) => Ok(Self::Required),
            (None, Join::Always) => Ok(Self::IfRunning),
            (None, Join::Claude) if agent => Ok(Self::IfRunning),
            (Some(false) | None, _) => Ok(Self::No),
        }
    }
}

/// Why a run could not join.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum JoinError {
    /// The relay, or that there is none.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Relay(#[from] ClientError),
    /// What it answered cannot be used.
    #[error("cannot {action} {} for the relay's session: {source}", path.display())]
    #[diagnostic(help("`--no-relay` starts without it"))]
    File {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The project's file says so.
    #[error("this project stays away from the relay: its {PROJECT_FILE} says `relay = false`")]
    #[diagnostic(help("run it without `--relay`, or remove that line"))]
    Refused,
    /// Sandboxes are not nested.
    #[error("a sandbox has the session that it was started with, and cannot open another")]
    #[diagnostic(help("start this one from the host, or with `--no-relay`"))]
    Inside,
}

impl JoinError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Whether there is simply nothing to join: nobody listens, or not for this user.
    fn is_absence(&self) -> bool {
        match self {
            Self::Inside => true,
            Self::Relay(ClientError::NotRunning { .. } | ClientError::NotPermitted { .. }) => true,
            Self::Relay(error) => error.reason() == Some(Reason::Closing),
            Self::File { .. } | Self::Refused => false,
        }
    }
}

/// A session at the relay. Dropping it ends the session.
#[derive(Debug)]
pub struct Membership {
    /// What the sandbox sees of it.
    pub seat: Seat,
    /// Absent where the session was only foreseen.
    _lease: Option<Lease>,
}

/// Opens a session for a run of the project. Where it joins if a relay runs, one that does not take it is told
/// of and does without.
///
/// # Errors
/// If the run must join and cannot.
pub fn join(
    how: Joining,
    facts: &Facts,
    project: &Project,
    session: &SessionName,
) -> Result<Option<Membership>, JoinError> {
    attempt(how, || {
        let request = request(facts, project, session);
        let (mut client, socket) = connect(facts)?;
        let opened = client.ask(&Request::Open(request))?;
        Membership::take(opened, socket)
    })
}

/// The same for a plan that is only shown: nothing is opened, and the names are those that a run would ask for.
///
/// # Errors
/// If the run must join and cannot.
pub fn foresee(how: Joining, facts: &Facts, session: &SessionName) -> Result<Option<Membership>, JoinError> {
    attempt(how, || {
        let session = session.clone();
        let (_, socket) = connect(facts)?;
        let run = socket.parent().unwrap_or(Path::new("/")).to_owned();
        let directory = Place { state: run.clone(), run }.sessions().join(session.as_str());
        let seat = Seat { session, socket, directory, worktables: Vec::new() };
        Ok(Membership { seat, _lease: None })
    })
}

fn attempt(
    how: Joining,
    open: impl FnOnce() -> Result<Membership, JoinError>,
) -> Result<Option<Membership>, JoinError> {
    match how {
        Joining::No => Ok(None),
        Joining::Required => open().map(Some),
        Joining::IfRunning => Ok(open().map_or_else(
            |error| {
                if !error.is_absence() {
                    output::tell_line(format_args!("rcc: this session starts without the relay: {error}"));
                }
                None
            },
            Some,
        )),
    }
}

fn connect(facts: &Facts) -> Result<(Client, PathBuf), JoinError> {
    let candidates = client::find(facts);
    if candidates.inside {
        return Err(JoinError::Inside);
    }
    let (client, socket) = candidates.connect()?;
    Ok((client, socket.to_owned()))
}

fn request(facts: &Facts, project: &Project, session: &SessionName) -> Open {
    let valid = "letters, digits and '-' make a name";
    Open {
        session: session.clone(),
        project: session::project_name(&project.root).parse().expect(valid),
        root: project.root.clone(),
        home: facts.user.home.clone(),
    }
}

impl Membership {
    fn take(opened: Opened, socket: PathBuf) -> Result<Self, JoinError> {
        let Opened { session, directory, lease, groups } = opened;
        // From here on an error closes the session.
        let lease = Lease::take(&lease, &socket, &session)?;
        let real = |path: &Path| {
            // The current directory is the agent's.
            let real =
                if path.is_absolute() { std::fs::canonicalize(path) } else { Err(ErrorKind::InvalidInput.into()) };
            real.map_err(JoinError::file("find", path))
        };
        let worktables = groups.into_iter().map(|table| Ok(Worktable { directory: real(&table.directory)?, ..table }));
        let worktables = worktables.collect::<Result<_, JoinError>>()?;
        let seat = Seat { session, socket, directory: real(&directory)?, worktables };
        Ok(Self { seat, _lease: Some(lease) })
    }
}

/// Says that the launcher lives. Dropping it ends the session.
#[derive(Debug)]
struct Lease {
    /// Locked (shared) as long as it is open. The sandbox's supervisor has it too, and ends with the launcher.
    _file: File,
    socket: PathBuf,
    session: SessionName,
}

impl Lease {
    fn take(path: &Path, socket: &Path, session: &SessionName) -> Result<Self, JoinError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let open = || {
            let file = rustix::fs::open(path, flags, Mode::empty())?;
            flock(&file, FlockOperation::NonBlockingLockShared)?;
            Ok(file)
        };
        let taken: Result<_, rustix::io::Errno> = open();
        let lease = |file: File| Self { _file: file, socket: socket.to_owned(), session: session.clone() };
        match taken {
            Ok(file) => Ok(lease(file.into())),
            Err(errno) => {
                close(socket, session);
                Err(JoinError::file("lock", path)(errno.into()))
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        close(&self.socket, &self.session);
    }
}

/// The relay notices by itself that nobody holds the lease, a moment later.
fn close(socket: &Path, session: &SessionName) {
    if let Ok(mut client) = Client::connect(socket) {
        let _ = client.ask::<Nothing>(&Request::Close(Close { session: session.clone() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::agent::fixture;
    use rustix::fs::FlockOperation::NonBlockingLockExclusive;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc::{Receiver, channel};

    /// A relay that opens every session, and a project.
    struct Host {
        dir: tempfile::TempDir,
        facts: Facts,
        asked: Receiver<String>,
    }

    impl Host {
        fn new(relay: &'static str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = std::fs::canonicalize(dir.path()).unwrap();
            for name in ["sessions/api-1", "home/api"] {
                std::fs::create_dir_all(root.join(name)).unwrap();
            }
            std::fs::write(root.join("lease"), "").unwrap();
            let socket = root.join("relay.sock");
            let (tell, asked) = channel();
            let listener = UnixListener::bind(&socket).unwrap();
            let answer = relay.replace("ROOT", &root.to_string_lossy());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut stream = BufReader::new(stream.unwrap());
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|count| count > 0) {
                        let tag = serde_json::from_str::<serde_json::Value>(&line).unwrap()["request"].clone();
                        let _ = tell.send(std::mem::take(&mut line));
                        let answer = answer.replace("TAG", &tag.to_string());
                        stream.get_mut().write_all(answer.as_bytes()).unwrap();
                    }
                }
            });
            let mut facts = fixture::facts(&root.join("home"), &[("RCC_RELAY_SOCKET", socket.to_str().unwrap())]);
            facts.cwd = root.join("home/api");
            Self { dir, facts, asked }
        }

        fn join(&self, how: Joining) -> Result<Option<Membership>, JoinError> {
            join(how, &self.facts, &Project::find(&self.facts).unwrap(), &"api-1".parse().unwrap())
        }

        fn asked(&self) -> String {
            self.asked.recv_timeout(std::time::Duration::from_secs(5)).unwrap()
        }

        fn lease_is_held(&self) -> bool {
            let lease = File::open(self.dir.path().join("lease")).unwrap();
            flock(&lease, NonBlockingLockExclusive).is_err()
        }
    }

    const OPENS: &str = concat!(
        r#"{"type":"response","query":"open","request":TAG,"timestamp":1,"data":{"session":"api-1","#,
        r#""directory":"ROOT/sessions/api-1","lease":"ROOT/lease","groups":[]}}"#,
        "\n"
    );
    const REFUSES: &str = concat!(
        r#"{"type":"response","query":"open","request":TAG,"timestamp":1,"error":"too many","reason":"quota"}"#,
        "\n"
    );

    #[test]
    fn a_session_lives_as_long_as_its_membership() {
        let host = Host::new(OPENS);
        let member = host.join(Joining::IfRunning).unwrap().unwrap();
        assert_eq!(member.seat.session.as_str(), "api-1");
        assert!(host.asked().contains(r#""project":"api""#));
        assert!(host.lease_is_held());
        drop(member);
        assert!(host.asked().contains(r#""type":"close","session":"api-1""#));
        assert!(!host.lease_is_held());
    }

    #[test]
    fn a_relay_that_refuses_is_an_error_only_where_one_was_asked_for() {
        let host = Host::new(REFUSES);
        assert!(host.join(Joining::IfRunning).unwrap().is_none());
        let error = host.join(Joining::Required).unwrap_err();
        assert_eq!(error.to_string(), "too many");
    }

    #[test]
    fn without_a_relay_nothing_is_opened_and_the_remedy_is_named() {
        let mut host = Host::new(OPENS);
        host.facts.environment.insert("RCC_RELAY_SOCKET".into(), host.dir.path().join("absent").into());
        assert!(host.join(Joining::IfRunning).unwrap().is_none());
        let error = host.join(Joining::Required).unwrap_err();
        assert!(error.help().unwrap().to_string().contains("rcc relay start"));
        assert!(host.asked.try_recv().is_err());
    }

    #[test]
    fn what_is_only_shown_opens_nothing() {
        let host = Host::new(OPENS);
        let session = "api-1".parse().unwrap();
        let member = foresee(Joining::Required, &host.facts, &session).unwrap().unwrap();
        assert!(member.seat.directory.ends_with("sessions/api-1"));
        drop(member);
        assert!(host.asked.try_recv().is_err());
        assert!(foresee(Joining::No, &host.facts, &session).unwrap().is_none());
    }

    #[test]
    fn a_directory_that_depends_on_where_one_is_is_refused_and_the_session_closed() {
        let host = Host::new(concat!(
            r#"{"type":"response","query":"open","request":TAG,"timestamp":1,"data":{"session":"api-1","#,
            r#""directory":"sessions/api-1","lease":"ROOT/lease","groups":[]}}"#,
            "\n"
        ));
        assert!(matches!(host.join(Joining::Required), Err(JoinError::File { action: "find", .. })));
        assert!(host.asked().contains(r#""type":"open""#));
        assert!(host.asked().contains(r#""type":"close""#));
    }

    #[test]
    fn who_joins_is_typed_else_configured_and_a_project_that_stays_away_does() {
        let of = |typed, configured, agent| Joining::of(typed, configured, agent).ok();
        assert_eq!(of(None, Join::Claude, true), Some(Joining::IfRunning));
        assert_eq!(of(None, Join::Claude, false), Some(Joining::No));
        assert_eq!(of(None, Join::Always, false), Some(Joining::IfRunning));
        assert_eq!(of(None, Join::Never, true), Some(Joining::No));
        assert_eq!(of(Some(true), Join::Never, false), Some(Joining::Required));
        assert_eq!(of(Some(false), Join::Always, true), Some(Joining::No));
        assert_eq!(of(Some(true), Join::Refused, true), None);
        assert_eq!(of(None, Join::Refused, true), Some(Joining::No));
    }
}
