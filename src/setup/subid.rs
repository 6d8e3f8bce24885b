//! Which identities belong to whom: the lines of `/etc/subuid` and `/etc/subgid` as plain data.
//!
//! A user's range is one line `uid:start:1024` in both files with the same start; the login name may
//! stand for the uid, as where another program writes the files. Everything else in them is foreign
//! and is kept byte for byte.

use crate::network::owner::Accounts;
use crate::policy::identity::{BLOCK_END, BLOCK_START, RANGE_LENGTH, UserRange};
use std::ops::Range;

/// No range could be allotted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubidError {
    /// All slots are taken.
    #[error(
        "no free range of {RANGE_LENGTH} ids between {BLOCK_START} and {BLOCK_END}: remove lines of users that are gone from /etc/subuid and /etc/subgid"
    )]
    Exhausted,
    /// A network identity can't itself have a range.
    #[error("uid {0} lies in the block of network identities: give this user another uid")]
    UserInsideBlock(u32),
}

/// The content of both files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// `/etc/subuid`
    pub uids: Vec<u8>,
    /// `/etc/subgid`
    pub gids: Vec<u8>,
    /// Who the names in them are.
    pub accounts: Accounts,
}

/// One line that hands ids to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant<'a> {
    line: &'a [u8],
    ids: Range<u64>,
}

impl<'a> Grant<'a> {
    /// subuid(5): `owner:start:count`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b':');
        let (_, start, count) = (fields.next()?, number(fields.next()?)?, number(fields.next()?)?);
        (fields.next().is_none() && count > 0).then(|| Self { line, ids: start..start.saturating_add(count) })
    }

    /// The range, where it is one of ours: in the only spelling that all readers agree on.
    fn ours(&self, accounts: &Accounts) -> Option<UserRange> {
        let owner = std::str::from_utf8(self.line.split(|&byte| byte == b':').next()?).ok()?;
        let start = u32::try_from(self.ids.start).ok()?;
        let length = u32::try_from(self.ids.end - self.ids.start).ok()?;
        let range = UserRange::new(accounts.owner(owner)?, start, length)?;
        (self.line == text(owner, start).as_bytes()).then_some(range)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A file's lines without their ends; the last one may lack its newline.
fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split_inclusive(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

fn grants(content: &[u8]) -> impl Iterator<Item = Grant<'_>> {
    lines(content).filter_map(Grant::parse)
}

impl Tables {
    /// The valid range of every user: in both files, with the same start, shared with nobody.
    pub fn ranges(&self) -> Vec<UserRange> {
        let mut found: Vec<UserRange> = Vec::new();
        for range in grants(&self.uids).filter_map(|grant| grant.ours(&self.accounts)) {
            let first = found.iter().all(|other| other.uid != range.uid);
            if first
                && grants(&self.gids).any(|grant| grant.ours(&self.accounts) == Some(range))
                && self.exclusive(range)
            {
                found.push(range);
            }
        }
        found
    }

    /// Whether no other line of either file reaches into the range.
    fn exclusive(&self, range: UserRange) -> bool {
        let ids = ids(range.start);
        let foreign = |grant: Grant| grant.ours(&self.accounts) != Some(range) && overlap(&grant.ids, &ids);
        !grants(&self.uids).any(foreign) && !grants(&self.gids).any(foreign)
    }

    /// Gives each user a range who has none. Users keep the valid range that they have.
    /// `taken` are uids and gids of real accounts, which no range may contain.
    ///
    /// # Errors
    /// If the block is full, or a user's own uid lies in it.
    pub fn allot(&self, users: &[u32], taken: &[u32]) -> Result<(Self, Vec<UserRange>), SubidError> {
        let mut tables = self.clone();
        let mut allotted = Vec::new();
        for &uid in users {
            if (BLOCK_START..BLOCK_END).contains(&uid) {
                return Err(SubidError::UserInsideBlock(uid));
            }
            let current = tables.ranges().into_iter().find(|range| range.uid == uid);
            let usable = |range: &UserRange| !taken.iter().any(|&id| ids(range.start).contains(&u64::from(id)));
            let range = match current.filter(usable) {
                Some(range) => range,
                None => tables.without(|range| range.uid == uid).first_free(uid, taken)?,
            };
            // Written anew only when something differs, so that a second run changes no byte.
            if current != Some(range) || tables.count(uid) != [1, 1] {
                tables = tables.without(|range| range.uid == uid);
                append(&mut tables.uids, range);
                append(&mut tables.gids, range);
            }
            allotted.push(range);
        }
        Ok((tables, allotted))
    }

    fn count(&self, uid: u32) -> [usize; 2] {
        let theirs = |grant: &Grant| grant.ours(&self.accounts).is_some_and(|range| range.uid == uid);
        let of = |content| grants(content).filter(theirs).count();
        [of(&self.uids), of(&self.gids)]
    }

    fn first_free(&self, uid: u32, taken: &[u32]) -> Result<UserRange, SubidError> {
        let free = |ids: &Range<u64>| {
            let hit = |grant: Grant| overlap(&grant.ids, ids);
            !grants(&self.uids).any(hit)
                && !grants(&self.gids).any(hit)
                && !taken.iter().any(|&id| ids.contains(&u64::from(id)))
        };
        (BLOCK_START..BLOCK_END)
            .step_by(RANGE_LENGTH as usize)
            .find(|&start| free(&ids(start)))
            .and_then(|start| UserRange::new(uid, start, RANGE_LENGTH))
            .ok_or(SubidError::Exhausted)
    }

    /// Both files without those of our ranges that the condition names.
    pub fn without(&self, condition: impl Fn(UserRange) -> bool) -> Self {
        let keep = |content: &[u8]| -> Vec<u8> {
            let grant = |line| Grant::parse(<[u8]>::strip_suffix(line, b"\n").unwrap_or(line));
            let ours = |line| grant(line).and_then(|it| it.ours(&self.accounts));
            let kept =
                content.split_inclusive(|&byte| byte == b'\n').filter(|line| !ours(line).is_some_and(&condition));
            kept.flatten().copied().collect()
        };
        Self { uids: keep(&self.uids), gids: keep(&self.gids), accounts: self.accounts.clone() }
    }
}

fn ids(start: u32) -> Range<u64> {
    u64::from(start)..u64::from(start) + u64::from(RANGE_LENGTH)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn append(content: &mut Vec<u8>, range: UserRange) {
    if content.last().is_some_and(|&byte| byte != b'\n') {
        content.push(b'\n');
    }
    content.extend_from_slice(text(&range.uid.to_string(), range.start).as_bytes());
    content.push(b'\n');
}

fn text(owner: &str, start: u32) -> String {
    format!("{owner}:{start}:{RANGE_LENGTH}")
}

/// The ids of accounts: the third field of passwd(5) and of group(5).
pub fn account_ids(content: &[u8]) -> Vec<u32> {
    let third = |line: &[u8]| line.split(|&byte| byte == b':').nth(2).and_then(number);
    lines(content).filter_map(third).filter_map(|id| u32::try_from(id).ok()).collect()
}

#[cfg(test)]
#[path = "subid_tests.rs"]
mod tests;
