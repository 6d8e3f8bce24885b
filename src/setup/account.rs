//! Accounts of the host, by `/etc/passwd` alone.

use crate::facts::{Facts, User};
use std::path::PathBuf;

/// The account with this name, or with this number.
pub fn find(passwd: &str, name_or_uid: &str) -> Option<User> {
    let entries = || passwd.lines().filter_map(parse);
    let uid = name_or_uid.parse::<u32>().ok();
    entries().find(|user| user.name == name_or_uid).or_else(|| entries().find(|user| Some(user.uid) == uid))
}

/// passwd(5): `name:password:UID:GID:GECOS:directory:shell`.
fn parse(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(User { uid, gid, name: name.to_owned(), home: PathBuf::from(home) })
}

/// Whom a root process acts for: the user who called sudo, else root itself. Anybody else acts
/// for himself.
pub fn acting_for(facts: &Facts, passwd: &str) -> User {
    let caller = facts.variable("SUDO_UID").filter(|_| facts.user.uid == 0);
    let caller = caller.filter(|uid| uid.parse::<u32>().is_ok_and(|uid| uid != 0));
    caller.and_then(|uid| find(passwd, uid)).unwrap_or_else(|| facts.user.clone())
}

/// The facts as that user would gather them, as far as they can be known.
pub fn facts_of(user: &User, facts: &Facts) -> Facts {
    if user.uid == facts.user.uid {
        return facts.clone();
    }
    let mut theirs = facts.clone();
    theirs.environment.insert("HOME".into(), user.home.clone().into());
    theirs.config_dir = user.home.join(".config/rcc");
    theirs.data_dir = user.home.join(".local/share/rcc");
    theirs.user = user.clone();
    theirs
}

/// Who gets network identities: those named on the command line and in root's configuration;
/// where there are none, whom this process acts for.
pub fn targets(named: &[u32], configured: &[u32], acting_for: u32) -> Vec<u32> {
    let mut users = [named, configured].concat();
    if users.is_empty() {
        users.push(acting_for);
    }
    users.sort_unstable();
    users.dedup();
    users
}

#[cfg(test)]
mod tests {
    use super::super::agent::fixture;
    use super::*;
    use std::path::Path;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000:,,,:/home/alice:/bin/sh\n1000:x:7:7::/:\n";

    #[test]
    fn a_name_comes_before_a_number() {
        assert_eq!(find(PASSWD, "alice").unwrap().uid, 1000);
        assert_eq!(find(PASSWD, "1000").unwrap().uid, 7);
        assert_eq!(find(PASSWD, "0").unwrap().name, "root");
        assert!(find(PASSWD, "bob").is_none());
    }

    #[test]
    fn only_root_acts_for_another() {
        let act = |uid, sudo: &str| {
            let mut facts = fixture::facts(Path::new("/root"), &[("SUDO_UID", sudo)]);
            facts.user.uid = uid;
            acting_for(&facts, "alice:x:1000:1000::/home/alice:/bin/sh\n").uid
        };
        assert_eq!([act(0, "1000"), act(0, "0"), act(0, "x"), act(0, "55"), act(1001, "1000")], [1000, 0, 0, 0, 1001]);
    }

    #[test]
    fn roots_configuration_decides_who_gets_identities() {
        assert_eq!(targets(&[], &[], 0), [0]);
        assert_eq!(targets(&[], &[1001, 1000], 0), [1000, 1001]);
        assert_eq!(targets(&[1002], &[1001], 0), [1001, 1002]);
    }
}
