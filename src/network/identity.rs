//! Reads who owns which network identities from `/etc/subuid` and `/etc/subgid`.

use super::owner::Accounts;
use crate::policy::identity::UserRange;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Where subordinate uids are declared, subuid(5).
pub const SUBUID: &str = "/etc/subuid";
/// Where subordinate gids are declared, subgid(5).
pub const SUBGID: &str = "/etc/subgid";
/// Where login names are declared, passwd(5).
pub const PASSWD: &str = "/etc/passwd";

/// What a network identity is called in the calling process's user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The number of its uid there.
    pub uid: u32,
    /// The number of its gid there.
    pub gid: u32,
}

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; `sudo rcc init` writes the network identities there", path.display())]
pub struct IdentityError {
    path: PathBuf,
    source: io::Error,
}

/// The ranges of all users, ordered by uid: those that stand in both files with the same start.
pub fn ranges() -> Result<Vec<UserRange>, IdentityError> {
    ranges_in(Path::new(SUBUID), Path::new(SUBGID), Path::new(PASSWD))
}

/// [`ranges`] of other files. A missing file declares nothing.
pub fn ranges_in(subuid: &Path, subgid: &Path, passwd: &Path) -> Result<Vec<UserRange>, IdentityError> {
    let read = |path: &Path| match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(IdentityError { path: path.to_owned(), source }),
    };
    let accounts = Accounts::parse(&read(passwd)?);
    let (uids, gids) = (parse(&read(subuid)?, &accounts), parse(&read(subgid)?, &accounts));
    let mut owned: Vec<UserRange> = uids.intersection(&gids).copied().collect();
    // A second range of the same user would be dead weight, a second owner of a range a breach.
    owned.dedup_by_key(|range| range.uid);
    let shared = |range: &UserRange| uids.union(&gids).filter(|other| other.start == range.start).count() > 1;
    let foreign: Vec<UserRange> = owned.iter().filter(|range| shared(range)).copied().collect();
    owned.retain(|range| !foreign.contains(range));
    Ok(owned)
}

/// The lines that are exactly one of our ranges, `owner:start:length`.
fn parse(text: &str, accounts: &Accounts) -> BTreeSet<UserRange> {
    let number = |field: &str| field.trim().parse::<u32>().ok();
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [owner, start, length] = fields[..] else { return None };
            UserRange::new(accounts.owner(owner)?, number(start)?, number(length)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::{BLOCK_START, RANGE_LENGTH};

    fn owners(subuid: &str, subgid: &str) -> Vec<u32> {
        let dir = tempfile::tempdir().unwrap();
        let [uids, gids, passwd] = ["subuid", "subgid", "passwd"].map(|name| dir.path().join(name));
        std::fs::write(&uids, subuid).unwrap();
        std::fs::write(&gids, subgid).unwrap();
        std::fs::write(&passwd, "alice:x:1000:100::/home/alice:/bin/sh\neve:x:1001:100::/:/bin/sh\n").unwrap();
        ranges_in(&uids, &gids, &passwd).unwrap().iter().map(|range| range.uid).collect()
    }

    #[test]
    fn a_range_counts_only_where_both_files_agree() {
        let ours = format!("alice:100000:65536\n1000:{BLOCK_START}:{RANGE_LENGTH}\n");
        assert_eq!(owners(&ours, &ours), [1000]);
        assert_eq!(owners(&ours, "alice:100000:65536\n"), [0u32; 0]);
    }

    #[test]
    fn a_range_with_two_owners_belongs_to_none() {
        let shared = format!("1000:{BLOCK_START}:{RANGE_LENGTH}\n1001:{BLOCK_START}:{RANGE_LENGTH}\n");
        assert_eq!(owners(&shared, &shared), [0u32; 0]);
    }

    #[test]
    fn an_owner_may_be_named_and_a_name_is_no_second_owner() {
        let named = format!("alice:{BLOCK_START}:{RANGE_LENGTH}\n");
        let numbered = format!("1000:{BLOCK_START}:{RANGE_LENGTH}\n");
        assert_eq!(owners(&named, &named), [1000]);
        assert_eq!(owners(&named, &numbered), [1000]);
        assert_eq!(owners(&(named.clone() + &numbered), &named), [1000]);
    }

    #[test]
    fn a_range_with_two_named_owners_or_an_unknown_one_belongs_to_none() {
        let shared = format!("alice:{BLOCK_START}:{RANGE_LENGTH}\neve:{BLOCK_START}:{RANGE_LENGTH}\n");
        assert_eq!(owners(&shared, &shared), [0u32; 0]);
        let unknown = format!("mallory:{BLOCK_START}:{RANGE_LENGTH}\n");
        assert_eq!(owners(&unknown, &unknown), [0u32; 0]);
    }

    #[test]
    fn missing_files_declare_nothing() {
        let [uids, gids, passwd] = ["/nonexistent/a", "/nonexistent/b", "/nonexistent/c"].map(Path::new);
        assert!(ranges_in(uids, gids, passwd).unwrap().is_empty());
    }
}
