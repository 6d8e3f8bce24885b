//! Which sandbox has which identity at this moment, asked by root.

use crate::policy::Policy;
use crate::session::of_users;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a list counts as fresh: a flood of denials must not become a flood of listings. Far
/// below the time between two sandboxes in the same slot.
const FRESH: Duration = Duration::from_millis(5);
/// How long a denial is believed to be of the sandbox that held the identity last: names wait to be
/// written down together, and the sandbox may have ended by then.
const LATELY: Duration = Duration::from_secs(1);
/// The lists of users' running sandboxes.
#[derive(Debug)]
pub struct Sessions {
    run: PathBuf,
    lists: HashMap<u32, (Instant, HashMap<u32, String>)>,
    /// Who held an identity when it was last asked for.
    lately: HashMap<u32, (Instant, String)>,
}

impl Sessions {
    /// `run` holds the users' directories.
    pub fn new(run: &Path) -> Self {
        Self { run: run.to_owned(), lists: HashMap::new(), lately: HashMap::new() }
    }

    /// Who this identity belongs to, and the name of the sandbox that holds it.
    pub fn holder(&mut self, policy: &Policy, identity: u32) -> Option<(u32, Option<String>)> {
        let (uid, ..) = policy.holder(identity)?;
        let fresh = self.lists.get(&uid).is_some_and(|(when, _)| when.elapsed() < FRESH);
        if !fresh {
            self.lists.insert(
                uid,
                (
                    Instant::now(),
                    of_users::running(&self.run, uid)
                        .into_iter()
                        .map(|running| (running.identity, running.id))
                        .collect(),
                ),
            );
        }
        let running = self.lists.get(&uid).and_then(|(_, list)| list.get(&identity).cloned());
        match &running {
            Some(session) => drop(self.lately.insert(identity, (Instant::now(), session.clone()))),
            None => self.lately.retain(|_, (when, _)| when.elapsed() < LATELY),
        }
        // Whoever holds it next has a record before it sends anything.
        let session = running.or_else(|| self.lately.get(&identity).map(|(_, session)| session.clone()));
        Some((uid, session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
    use crate::policy::{Profile, ProfileName, Reach};
    use crate::session::{Record, Session};
    use rustix::fs::{CWD, FileType, Mode};

    fn policy() -> Policy {
        Policy {
            profiles: vec![Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public }],
            users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap()],
            private: vec![],
            vpn_interfaces: vec![],
            bridging: None,
        }
    }

    fn record(id: &str, identity: u32) -> Record {
        let (project, profile, command) = ("/p".into(), "public".into(), vec!["true".into()]);
        let identity = Some(identity);
        Record { id: id.into(), project, profile, identity, command, started: 1, ..Record::default() }
    }

    fn holder(run: &Path, identity: u32) -> Option<(u32, Option<String>)> {
        Sessions::new(run).holder(&policy(), identity)
    }

    #[test]
    fn an_identity_belongs_to_the_sandbox_that_runs() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, None)));
        assert_eq!(holder(run.path(), 1000), None);
        let user = run.path().join("1000");
        std::fs::create_dir(&user).unwrap();
        let session = Session::register(&user, &record("shop-1a2b", BLOCK_START)).unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, Some("shop-1a2b".into()))));
        assert_eq!(holder(run.path(), BLOCK_START + 1), Some((1000, None)));
        let copy = std::fs::read(user.join("sessions/shop-1a2b.json")).unwrap();
        drop(session);
        std::fs::write(user.join("sessions/stale-1.json"), copy).unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, None)), "nobody holds its lock");
    }

    #[test]
    fn what_is_told_just_after_the_end_is_still_of_the_sandbox_that_ended() {
        let run = tempfile::tempdir().unwrap();
        let user = run.path().join("1000");
        std::fs::create_dir(&user).unwrap();
        let mut sessions = Sessions::new(run.path());
        let session = Session::register(&user, &record("shop-1a2b", BLOCK_START)).unwrap();
        let ended = Some((1000, Some("shop-1a2b".to_owned())));
        assert_eq!(sessions.holder(&policy(), BLOCK_START), ended);
        drop(session);
        sessions.lists.clear();
        assert_eq!(sessions.holder(&policy(), BLOCK_START), ended);
        assert_eq!(sessions.holder(&policy(), BLOCK_START + 1), Some((1000, None)));
        let next = Session::register(&user, &record("next-3c4d", BLOCK_START)).unwrap();
        sessions.lists.clear();
        assert_eq!(sessions.holder(&policy(), BLOCK_START), Some((1000, Some("next-3c4d".to_owned()))));
        sessions.lists.clear();
        let (when, _) = sessions.lately.get_mut(&BLOCK_START).unwrap();
        *when -= LATELY;
        drop(next);
        assert_eq!(sessions.holder(&policy(), BLOCK_START), Some((1000, None)));
    }

    #[test]
    fn what_a_user_plants_is_neither_believed_nor_waited_for() {
        let run = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let user = run.path().join("1000");
        std::fs::create_dir(&user).unwrap();
        let _other = Session::register(elsewhere.path(), &record("other-1", BLOCK_START)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("sessions"), user.join("sessions")).unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, None)), "a link as the directory");
        std::fs::remove_file(user.join("sessions")).unwrap();
        std::fs::create_dir(user.join("sessions")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("sessions/other-1.json"), user.join("sessions/a.json"))
            .unwrap();
        rustix::fs::mknodat(CWD, user.join("sessions/b.json"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::os::unix::fs::symlink("/dev/tty", user.join("sessions/c.json")).unwrap();
        let _odd = Session::register(&user, &record("\u{1b}]52;", BLOCK_START)).unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, None)));
        let _real = Session::register(&user, &record("real-1", BLOCK_START)).unwrap();
        assert_eq!(holder(run.path(), BLOCK_START), Some((1000, Some("real-1".into()))));
    }
}
