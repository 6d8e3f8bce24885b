//! Groups that have one user alone: group(5), passwd(5).

use std::path::Path;

/// Whether a group that may write a user's file lets in nobody else: it is the user's main group and no other
/// account's, it has no other members, and both files say so. Systems that give each user such a group let it write
/// what the user makes.
///
/// What other name services (LDAP and the like) add to a group of these files is not known to them; such a group is
/// not one that a user's account brought along.
pub(super) fn is_private(gid: u32, uid: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    gid != 0 && has_only(gid, uid, &read("/etc/group"), &read("/etc/passwd"))
}

fn has_only(gid: u32, uid: u32, group: &str, passwd: &str) -> bool {
    let number = |field: &str| field.parse::<u32>().ok();
    // Their names, uids and main groups; a line that is not understood could be anybody's.
    let accounts: Option<Vec<(&str, u32, u32)>> = lines(passwd)
        .map(|line| match line.split(':').collect::<Vec<_>>()[..] {
            [name, _, uid, gid, ..] => Some((name, number(uid)?, number(gid)?)),
            _ => None,
        })
        .collect();
    let Some(accounts) = accounts else { return false };
    let mut theirs = accounts.iter().filter(|(_, _, main)| *main == gid).peekable();
    if theirs.peek().is_none() || theirs.any(|(_, theirs, _)| *theirs != uid) {
        return false;
    }
    let is_user = |member: &str| accounts.iter().any(|(name, theirs, _)| *name == member && *theirs == uid);
    let mut groups = lines(group).map(|line| line.split(':').collect::<Vec<_>>());
    let mut found = false;
    let only_user = groups.all(|fields| match fields[..] {
        [_, _, theirs, members] if number(theirs) == Some(gid) => {
            found = true;
            members.split(',').map(str::trim).filter(|member| !member.is_empty()).all(is_user)
        }
        [_, _, theirs, _] => number(theirs).is_some(),
        _ => false,
    });
    found && only_user
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:100::/:\n";
    const GROUP: &str = "root:x:0:\nusers:x:100:\nalice:x:1000:\n";

    #[test]
    fn a_group_of_ones_own_lets_in_nobody_else() {
        assert!(has_only(1000, 1000, GROUP, PASSWD));
        assert!(has_only(1000, 1000, "alice:x:1000:alice\n", PASSWD));
    }

    #[test]
    fn any_other_group_does() {
        let with = |line: &str| format!("{GROUP}{line}\n");
        let also = |line: &str| format!("{PASSWD}{line}\n");
        assert!(!has_only(100, 1001, &with("users:x:100:alice"), PASSWD));
        assert!(!has_only(1000, 1001, GROUP, PASSWD));
        assert!(!has_only(1000, 1000, &with("more:x:1000:bob"), PASSWD));
        assert!(!has_only(1000, 1000, GROUP, &also("carol:x:1002:1000::/:")));
        assert!(!has_only(2000, 1000, GROUP, PASSWD), "a group that no file knows");
        assert!(!has_only(1000, 1000, &with("+"), PASSWD), "a line that asks another service");
        assert!(!has_only(1000, 1000, GROUP, &also("+::::::")));
        assert!(!has_only(1000, 1000, "", ""));
    }
}
