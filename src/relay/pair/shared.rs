//! Where the ends of two users' pairs meet: made by root, for each end a directory that its user alone can write and the
//! group of those who may use the relay can pass through.
//!
//! ```text
//! /run/rcc/pairs/NAME     root        0755
//! /run/rcc/pairs/NAME/1   alice:rcc-agents 2750    in it alice's socket, 0660 and of the same group
//! ```

use super::super::place::SYSTEM_GROUP;
use super::super::policy::Pair;
use super::plan::shared_end;
use crate::facts;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// An end's directory: its files are of its group.
const MODE: u32 = 0o2750;

/// Why two users' pair has no place to meet. Other pairs have theirs.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// Nobody installed the system's relay.
    #[error(
        "the pair {pair} is two users', and there is no group {SYSTEM_GROUP} of those who may use it: `sudo rcc relay \
         install --system` makes it"
    )]
    NoGroup {
        /// Which.
        pair: String,
    },
    /// A user who is not there.
    #[error("the pair {pair} names the user {user}, whom /etc/passwd does not know")]
    NoUser {
        /// Which.
        pair: String,
        /// Whom.
        user: String,
    },
    /// A directory.
    #[error("cannot make {} for a pair of two users: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Makes what is missing, as root.
pub fn prepare(pairs: &[Pair]) -> Vec<SharedError> {
    let group = gid_in(&std::fs::read_to_string("/etc/group").unwrap_or_default(), SYSTEM_GROUP);
    prepare_in(Path::new(super::SHARED), pairs, group, facts::uid_of)
}

pub(super) fn prepare_in(
    shared: &Path,
    pairs: &[Pair],
    group: Option<u32>,
    uid_of: impl Fn(&str) -> Option<u32>,
) -> Vec<SharedError> {
    let mut errors = Vec::new();
    for pair in pairs.iter().filter(|pair| pair.joins_users()) {
        let name = pair.name.to_string();
        let Some(group) = group else {
            errors.push(SharedError::NoGroup { pair: name });
            continue;
        };
        for (end, user) in pair.ends.iter().enumerate().filter_map(|(at, end)| Some((at, end.user.as_ref()?))) {
            let Some(uid) = uid_of(user) else {
                errors.push(SharedError::NoUser { pair: name.clone(), user: user.clone() });
                continue;
            };
            let path = shared_end(shared, &pair.name, end);
            errors.extend(make(shared, &path, uid, group).err().map(|source| SharedError::Directory { path, source }));
        }
    }
    errors
}

fn make(shared: &Path, path: &Path, uid: u32, group: u32) -> io::Result<()> {
    let of_pair = path.parent().unwrap_or(shared);
    for directory in [shared, of_pair] {
        made(directory, 0o755)?;
    }
    made(path, 0o700)?;
    let meta = std::fs::symlink_metadata(path)?;
    if (meta.uid(), meta.gid(), meta.mode() & 0o7777) == (uid, group, MODE) {
        return Ok(());
    }
    // Root's again, for a moment: only the owner sets a mode where root has few capabilities.
    lchown(path, Some(rustix::process::geteuid().as_raw()), Some(rustix::process::getegid().as_raw()))?;
    std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    lchown(path, Some(uid), Some(group))
}

/// Nobody but root can put anything here, so what is there is a directory of root's.
fn made(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let is_directory = std::fs::symlink_metadata(path)?.is_dir();
    if is_directory { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// group(5): `name:password:GID:members`.
fn gid_in(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::policy::End;
    use crate::relay::wire::Kind;

    fn pair(users: [Option<&str>; 2]) -> Pair {
        let end =
            |user: Option<&str>, at: usize| End { project: format!("/srv/{at}").into(), user: user.map(Into::into) };
        let ends = [end(users[0], 0), end(users[1], 1)];
        Pair { name: "api-web".parse().unwrap(), ends, kinds: [Kind::Message].into() }
    }

    #[test]
    fn each_end_of_two_users_is_a_directory_of_its_user_and_their_group() {
        let dir = tempfile::tempdir().unwrap();
        let (shared, own) = (dir.path().join("pairs"), rustix::process::geteuid().as_raw());
        let group = rustix::process::getegid().as_raw();
        let (uid_of, two) = (|_: &str| Some(own), [pair([Some("alice"), Some("bob")])]);
        for _ in 0..2 {
            let errors = prepare_in(&shared, &two, Some(group), uid_of);
            assert!(errors.is_empty(), "{errors:?}");
            for end in ["1", "2"] {
                let meta = std::fs::metadata(shared.join("api-web").join(end)).unwrap();
                assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (own, group, MODE));
            }
        }
        std::fs::remove_dir(shared.join("api-web/1")).unwrap();
        std::os::unix::fs::symlink("/etc", shared.join("api-web/1")).unwrap();
        assert!(matches!(prepare_in(&shared, &two, Some(group), uid_of)[..], [SharedError::Directory { .. }]));
    }

    #[test]
    fn what_is_missing_is_told_and_one_users_pair_needs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let two = [pair([Some("alice"), Some("bob")])];
        let of = |group| prepare_in(dir.path(), &two, group, |name| (name == "alice").then_some(0));
        assert!(matches!(of(None)[..], [SharedError::NoGroup { .. }]));
        assert!(
            of(Some(rustix::process::getegid().as_raw())).iter().any(|error| error.to_string().contains("user bob"))
        );
        for one in [pair([None, None]), pair([Some("alice"), Some("alice")])] {
            assert!(prepare_in(dir.path(), &[one], None, |_| None).is_empty());
        }
    }

    #[test]
    fn a_group_is_found_by_its_name() {
        let text = "root:x:0:\nrcc-agents-old:x:7:\nrcc-agents:x:8:alice\nbroken\n";
        assert_eq!((gid_in(text, "rcc-agents"), gid_in(text, "broken"), gid_in(text, "rcc")), (Some(8), None, None));
    }
}
