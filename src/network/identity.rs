//! Reads who owns which network identities from `/etc/subuid` and `/etc/subgid`.

use crate::policy::identity::UserRange;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Where subordinate uids are declared, subuid(5).
pub const SUBUID: &str = "/etc/subuid";
/// Where subordinate gids are declared, subgid(5).
pub const SUBGID: &str = "/etc/subgid";

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; `sudo rcc init` writes the network identities there", path.display())]
pub struct IdentityError {
    path: PathBuf,
    source: io::Error,
}

/// The ranges of all users, ordered by uid: those that stand in both files with the same start.
pub fn ranges() -> Result<Vec<UserRange>, IdentityError> {
    ranges_in(Path::new(SUBUID), Path::new(SUBGID))
}

/// [`ranges`] of other files. A missing file declares nothing.
pub fn ranges_in(subuid: &Path, subgid: &Path) -> Result<Vec<UserRange>, IdentityError> {
    let read = |path: &Path| match std::fs::read(path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(source) => Err(IdentityError { path: path.to_owned(), source }),
    };
    let (uids, gids) = (read(subuid)?, read(subgid)?);
    let mut owned: Vec<UserRange> = uids.intersection(&gids).copied().collect();
    // A second range of the same user would be dead weight, a second owner of a range a breach.
    owned.dedup_by_key(|range| range.uid);
    let shared = |range: &UserRange| uids.union(&gids).filter(|other| other.start == range.start).count() > 1;
    let foreign: Vec<UserRange> = owned.iter().filter(|range| shared(range)).copied().collect();
    owned.retain(|range| !foreign.contains(range));
    Ok(owned)
}

/// The lines that are exactly one of our ranges, `uid:start:length` with a numeric uid.
fn parse(text: &str) -> BTreeSet<UserRange> {
    let number = |field: &str| field.trim().parse::<u32>().ok();
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [uid, start, length] = fields[..] else { return None };
            UserRange::new(number(uid)?, number(start)?, number(length)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::identity::{BLOCK_START, RANGE_LENGTH};

    fn owners(subuid: &str, subgid: &str) -> Vec<u32> {
        let dir = tempfile::tempdir().unwrap();
        let (uids, gids) = (dir.path().join("subuid"), dir.path().join("subgid"));
        std::fs::write(&uids, subuid).unwrap();
        std::fs::write(&gids, subgid).unwrap();
        ranges_in(&uids, &gids).unwrap().iter().map(|range| range.uid).collect()
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
    fn missing_files_declare_nothing() {
        assert!(ranges_in(Path::new("/nonexistent/a"), Path::new("/nonexistent/b")).unwrap().is_empty());
    }
}
