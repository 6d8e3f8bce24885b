//! Whom a line of subuid(5) belongs to.

use std::collections::{BTreeMap, BTreeSet};

/// The host's login names, for files that name the owner instead of giving the uid, as those that
/// NixOS writes do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    uids: BTreeMap<String, u32>,
}

impl Accounts {
    /// From passwd(5). Where several names share a uid, the first is the user's: it is the one by
    /// which newuidmap(1) knows its caller.
    pub fn parse(passwd: &str) -> Self {
        let mut uids = BTreeMap::new();
        let mut named = BTreeSet::new();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, ..] = fields[..] else { continue };
            let Ok(uid) = uid.parse::<u32>() else { continue };
            if named.insert(uid) && !name.is_empty() {
                uids.entry(name.to_owned()).or_insert(uid);
            }
        }
        Self { uids }
    }

    /// The uid behind the first field of a line: a number in its only spelling, since other readers
    /// take `01000` for another user than 1000, or else a login name.
    pub fn owner(&self, field: &str) -> Option<u32> {
        match field.parse::<u32>() {
            Ok(uid) => (uid.to_string() == field).then_some(uid),
            Err(_) => self.uids.get(field).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:100::/home/alice:\n\
                          alice:x:1001:100::/:\n:x:5:5::/:\n1000:x:7:7::/:\n";

    #[test]
    fn an_owner_is_a_name_or_a_number_in_its_only_spelling() {
        let accounts = Accounts::parse(PASSWD);
        for (field, uid) in [("alice", Some(1000)), ("root", Some(0)), ("1000", Some(1000)), ("4000", Some(4000))] {
            assert_eq!(accounts.owner(field), uid, "{field}");
        }
        for field in ["01000", "+1000", " 1000", "bob", "Alice", "alice ", "", "4294967296"] {
            assert_eq!(accounts.owner(field), None, "{field:?}");
        }
    }

    #[test]
    fn a_second_name_of_a_uid_owns_nothing() {
        assert_eq!(Accounts::parse(PASSWD).owner("toor"), None);
    }
}
