//! Running sandboxes of all users, as root finds them. What their records claim is held against the
//! policy.

use crate::policy::Policy;
use crate::session::of_users;
use std::path::Path;

/// A running sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub uid: u32,
    /// Its network identity.
    pub identity: u32,
    /// The position of its profile.
    pub profile: usize,
}

/// Why there is no such session to give something to.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum NoSession {
    /// None of that name.
    #[error("no sandbox '{id}' with a network is running")]
    #[diagnostic(help("`rcc ps` lists yours"))]
    Unknown {
        /// The name.
        id: String,
    },
    /// Users name their projects alike.
    #[error("several users have a sandbox '{id}': uids {}", uids.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    #[diagnostic(help("call sudo as the user whose sandbox is meant"))]
    Several {
        /// The name.
        id: String,
        /// Whose.
        uids: Vec<u32>,
    },
}

/// The session of that name: the preferred user's if there is one.
///
/// # Errors
/// If there is none, or several users have one.
pub fn find(run: &Path, policy: &Policy, id: &str, preferred: Option<u32>) -> Result<Running, NoSession> {
    let mut found: Vec<Running> = all(run, policy).into_iter().filter(|running| running.id == id).collect();
    if let Some(own) = found.iter().position(|running| Some(running.uid) == preferred) {
        return Ok(found.swap_remove(own));
    }
    match found.len() {
        0 => Err(NoSession::Unknown { id: id.to_owned() }),
        1 => Ok(found.swap_remove(0)),
        _ => {
            let uids = found.iter().map(|running| running.uid).collect();
            Err(NoSession::Several { id: id.to_owned(), uids })
        }
    }
}

/// Every running sandbox with a network identity.
pub fn all(run: &Path, policy: &Policy) -> Vec<Running> {
    policy.users.iter().flat_map(|user| of_user(run, policy, user.uid)).collect()
}

fn of_user(run: &Path, policy: &Policy, uid: u32) -> Vec<Running> {
    let running = of_users::running(run, uid).into_iter().filter_map(|of_users::Running { id, identity }| {
        // What a record says of another user's identity is a lie.
        let (holder, profile, _) = policy.holder(identity)?;
        (holder == uid).then_some(Running { id, uid, identity, profile })
    });
    running.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
    use crate::policy::{Profile, ProfileName, Reach};
    use crate::session::{Record, Session};
    use std::path::PathBuf;

    fn policy(uids: &[u32]) -> Policy {
        let profile = |name: ProfileName| Profile { name, exceptions: vec![], reach: Reach::Public };
        let range = |(at, uid): (usize, &u32)| {
            UserRange::new(*uid, BLOCK_START + at as u32 * RANGE_LENGTH, RANGE_LENGTH).unwrap()
        };
        Policy {
            profiles: vec![profile(ProfileName::public()), profile(ProfileName::allowlist())],
            users: uids.iter().enumerate().map(range).collect(),
            private: vec![],
            vpn_interfaces: vec![],
            bridging: None,
        }
    }

    struct World(tempfile::TempDir);

    impl World {
        fn user(&self, uid: u32) -> PathBuf {
            let path = self.0.path().join(uid.to_string());
            std::fs::create_dir_all(&path).unwrap();
            path
        }

        fn start(&self, uid: u32, id: &str, identity: Option<u32>) -> Session {
            let profile = "public".to_owned();
            let record = Record { id: id.to_owned(), profile, identity, ..Record::default() };
            Session::register(&self.user(uid), &record).unwrap()
        }

        fn find(&self, id: &str, preferred: Option<u32>) -> Result<Running, String> {
            find(self.0.path(), &policy(&[1000, 1001]), id, preferred).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn a_running_session_is_found_with_its_profile() {
        let world = World(tempfile::tempdir().unwrap());
        let own = world.start(1000, "shop-ab12", Some(BLOCK_START + 32));
        let found = world.find("shop-ab12", None).unwrap();
        assert_eq!((found.uid, found.identity, found.profile), (1000, BLOCK_START + 32, 1));
        let _other = world.start(1001, "shop-ab12", Some(BLOCK_START + RANGE_LENGTH));
        assert_eq!(world.find("shop-ab12", Some(1001)).unwrap().uid, 1001);
        assert!(world.find("shop-ab12", None).unwrap_err().contains("uids 1000, 1001"));
        drop(own);
        assert_eq!(world.find("shop-ab12", None).unwrap().uid, 1001);
    }

    #[test]
    fn what_a_user_makes_up_gives_nothing_of_anybody_elses() {
        let world = World(tempfile::tempdir().unwrap());
        // Another user's identity, one of nobody's, none, and names that lead elsewhere.
        let _held = [
            world.start(1000, "a-1", Some(BLOCK_START + RANGE_LENGTH)),
            world.start(1000, "b-1", Some(1000)),
            world.start(1000, "c-1", None),
            world.start(1002, "d-1", Some(BLOCK_START)),
        ];
        let sessions = world.user(1000).join("sessions");
        std::fs::write(sessions.join("e-1.json"), "{}").unwrap();
        std::fs::copy(sessions.join("a-1.json"), sessions.join("f-1.json")).unwrap();
        let _real = world.start(1001, "g-1", Some(BLOCK_START + RANGE_LENGTH));
        std::os::unix::fs::symlink(world.user(1001).join("sessions/g-1.json"), sessions.join("h-1.json")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(sessions.join("i-1.json")).status().unwrap().success());
        for id in ["a-1", "b-1", "c-1", "d-1", "e-1", "f-1", "h-1", "i-1", "../1001/sessions/g-1", "", "*", "A-1"] {
            assert!(world.find(id, Some(1000)).unwrap_err().contains("no sandbox"), "{id}");
        }
        assert_eq!(all(world.0.path(), &policy(&[1000, 1001])).len(), 1);
    }
}
