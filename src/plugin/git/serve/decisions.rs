//! What was decided and what became of it, for the broker's journal: a line of JSON each.

use super::ServeError;
use crate::plugin::git::rules::Update;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Bytes of one file: less than the broker reads.
const SIZE_MAX: u64 = 3 << 20;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    state: State,
    upstream: &'a str,
    #[serde(rename = "ref")]
    refname: &'a str,
    old: Option<&'a str>,
    new: Option<&'a str>,
    reason: Option<&'a str>,
}

/// How far an update got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// The rules allow it, and it is about to be pushed.
    Allowed,
    /// The rules refuse it.
    Refused,
    /// The upstream has it.
    Done,
    /// The upstream does not have it.
    Failed,
}

/// The file of lines.
pub(super) struct Decisions {
    file: File,
    upstream: String,
}

impl Decisions {
    pub(super) fn open(path: &Path, upstream: String) -> Result<Self, ServeError> {
        let file = File::options().append(true).create(true).open(path);
        Ok(Self { file: file.map_err(ServeError::file("record decisions in", path))?, upstream })
    }

    /// Adds a line; when this returns it is on the disk.
    pub(super) fn add(&mut self, state: State, update: &Update, reason: Option<&str>) -> std::io::Result<()> {
        let line = Line {
            state,
            upstream: &self.upstream,
            refname: &update.refname,
            old: update.old.as_deref(),
            new: update.new.as_deref(),
            reason,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if self.file.metadata()?.len() + text.len() as u64 > SIZE_MAX {
            return Err(std::io::Error::other("more decisions than the journal takes of one push"));
        }
        self.file.write_all(&text)?;
        self.file.sync_data()
    }
}
