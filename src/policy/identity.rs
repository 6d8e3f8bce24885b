//! Network identities: host uids that no human and no agent ever has.
//!
//! pasta runs under one of them, so every socket that it opens for a sandbox carries a kuid that
//! the firewall can match. Each user owns one range, written into `/etc/subuid` and
//! `/etc/subgid` under the numeric uid; a range is cut into one block of slots for each profile.

use serde::Serialize;
use std::ops::Range;

/// First uid of the block that all ranges lie in: "rc" in ASCII, above every range that
/// shadow-utils (`SUB_UID_MAX` 600100000) and systemd (up to 1879048191, UIDS-GIDS.md) hand out,
/// below 2^31.
pub const BLOCK_START: u32 = 0x7263_0000;
/// End of the block (exclusive): room for 1024 users.
pub const BLOCK_END: u32 = BLOCK_START + 1024 * RANGE_LENGTH;
/// Identities of one user.
pub const RANGE_LENGTH: u32 = PROFILES_MAX as u32 * SLOTS;
/// Sandboxes of one user and profile that can run at the same time.
pub const SLOTS: u32 = 32;
/// Profiles that a policy may have, `public` included.
pub const PROFILES_MAX: usize = 32;

/// The identities of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UserRange {
    /// The user's own uid.
    pub uid: u32,
    /// First identity; lies in the block and is a multiple of [`RANGE_LENGTH`] away from its start.
    pub start: u32,
}

impl UserRange {
    /// Takes a range that is exactly one of ours: aligned, inside the block, of the right length.
    pub fn new(uid: u32, start: u32, length: u32) -> Option<Self> {
        let inside = (BLOCK_START..BLOCK_END).contains(&start);
        let aligned = inside && (start - BLOCK_START).is_multiple_of(RANGE_LENGTH);
        (aligned && length == RANGE_LENGTH).then_some(Self { uid, start })
    }

    /// The identities that belong to the profile at this position of [`super::Policy::profiles`].
    ///
    /// # Panics
    /// If `position` is not below [`PROFILES_MAX`], which no policy that passed validation has.
    pub fn slots(self, position: usize) -> Range<u32> {
        assert!(position < PROFILES_MAX, "profile position {position} out of bounds");
        let start = self.start + position as u32 * SLOTS;
        start..start + SLOTS
    }

    /// The position of the profile and the slot (below [`SLOTS`]) that an identity stands for.
    pub fn place(self, identity: u32) -> Option<(usize, u32)> {
        let offset = identity.checked_sub(self.start).filter(|offset| *offset < RANGE_LENGTH)?;
        Some(((offset / SLOTS) as usize, offset % SLOTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ranges_of_the_block_are_ours() {
        assert!(UserRange::new(1000, BLOCK_START, RANGE_LENGTH).is_some());
        assert!(UserRange::new(1000, BLOCK_START + RANGE_LENGTH, RANGE_LENGTH).is_some());
        for (start, length) in
            [(100_000, 65_536), (BLOCK_START + 1, RANGE_LENGTH), (BLOCK_START, 1), (BLOCK_END, RANGE_LENGTH)]
        {
            assert!(UserRange::new(1000, start, length).is_none(), "{start} {length}");
        }
    }

    #[test]
    fn profiles_never_share_an_identity() {
        let range = UserRange::new(1000, BLOCK_START, RANGE_LENGTH).unwrap();
        for position in 1..PROFILES_MAX {
            assert_eq!(range.slots(position - 1).end, range.slots(position).start);
        }
        assert_eq!(range.slots(PROFILES_MAX - 1).end, BLOCK_START + RANGE_LENGTH);
    }

    #[test]
    fn an_identity_stands_for_one_profile_and_slot_of_one_user() {
        let range = UserRange::new(1000, BLOCK_START + RANGE_LENGTH, RANGE_LENGTH).unwrap();
        for position in [0, 1, PROFILES_MAX - 1] {
            for (slot, identity) in range.slots(position).enumerate() {
                assert_eq!(range.place(identity), Some((position, slot as u32)));
            }
        }
        for other in [0, 1000, BLOCK_START, BLOCK_START + RANGE_LENGTH - 1, BLOCK_START + 2 * RANGE_LENGTH, u32::MAX] {
            assert_eq!(range.place(other), None, "{other}");
        }
    }
}
