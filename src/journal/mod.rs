//! The journal: one line of JSON for each thing that happened, in the order in which it happened, each
//! chained by hash to the one before. It is the audit, and what the store is made from.
//!
//! ```text
//! audit/00000000000000000001.jsonl    {"n":1,"at":…,"prev":"000…","event":"started",…}
//!                                     {"n":2,"at":…,"prev":"<SHA-256 of the line before>","event":…}
//! audit/00000000000000004711.jsonl    a file is named by the number of its first entry
//! ```
//!
//! The chain shows that nothing in between was changed, and what the store remembers shows that nothing was
//! cut off at the end. It has no key: whoever can write all of it, the store included, can write another one.

mod append;
mod extent;
mod files;
mod follow;
mod hash;
mod line;
mod reader;
mod recover;
#[cfg(test)]
mod tests;
mod verify;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use append::{Journal, JournalError, Old, Sizes, Unwritable, Written};
pub use extent::{Extent, Misread};
pub use files::Directory;
pub use follow::Follow;
pub use hash::Hash;
pub use line::{Entry, LINE_MAX};
pub use reader::{Entries, Fault, Found, Line, Wrong};
pub use verify::{Report, verify};

/// What a journal holds: serialised as a JSON object.
pub trait Recorded: Serialize + DeserializeOwned {
    /// For the entry that says that old ones were removed: the number of the last of them.
    fn pruned(&self) -> Option<u64>;
}

/// How far a journal goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 if there is none.
    pub n: u64,
    /// The hash of its line.
    pub hash: Hash,
}
