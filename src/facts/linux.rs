//! What Linux says about users and itself.

use super::Account;

/// The user's entry in `/etc/passwd`.
pub(super) fn account(uid: u32) -> Option<Account> {
    find(&std::fs::read_to_string("/etc/passwd").ok()?, uid)
}

/// The uid of the user with this login name in `/etc/passwd`.
pub(super) fn uid(name: &str) -> Option<u32> {
    uid_in(&std::fs::read_to_string("/etc/passwd").ok()?, name)
}

fn uid_in(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

/// passwd(5): `name:password:UID:GID:GECOS:directory:shell`.
fn find(passwd: &str, uid: u32) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, _, _, home, ..] = fields[..] else { return None };
        (id.parse() == Ok(uid)).then(|| Account { name: name.to_owned(), home: home.into() })
    })
}

/// Major and minor version of the running kernel; 0.0 if it does not say.
pub fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_kernel_tells_its_version() {
        assert!(kernel_version() >= (5, 12));
    }

    #[test]
    fn passwd_entries_are_found_by_uid() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000:,,,:/home/alice:/bin/bash\n";
        assert_eq!((uid_in(passwd, "alice"), uid_in(passwd, "broken"), uid_in(passwd, "al")), (Some(1000), None, None));
        assert_eq!(find(passwd, 1000).unwrap().home, Path::new("/home/alice"));
        assert!(find(passwd, 1001).is_none());
    }
}
