//! What macOS says about users.

use super::Account;
use uzers::os::unix::UserExt;

/// The user's record. Users are in Directory Services, of which `/etc/passwd` knows but the
/// system's own; getpwuid_r(3) is how to ask, and `uzers` asks it without unsafe code of ours.
pub(super) fn account(uid: u32) -> Option<Account> {
    let user = uzers::get_user_by_uid(uid)?;
    Some(Account { name: user.name().to_str()?.to_owned(), home: user.home_dir().to_owned() })
}
