//! Where a line is, and reading it there again: what is long is kept in the journal alone.

use super::Recorded;
use super::files::{self, Directory};
use super::hash::Hash;
use super::line::{self, LINE_MAX};
use std::io;
use std::os::unix::fs::FileExt;

/// Where a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The number of the first entry of its file, which names that.
    pub file: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its bytes, without its end.
    pub length: u32,
    /// Their hash.
    pub hash: Hash,
}

/// A line could not be read again.
#[derive(Debug, thiserror::Error)]
pub enum Misread {
    /// The file system did not give it.
    #[error("{file} of the journal cannot be read: {source}")]
    Io {
        /// The file's name.
        file: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It is another one.
    #[error("{file} of the journal was changed or is damaged: at byte {offset} is not the line that was written there")]
    Changed {
        /// The file's name.
        file: String,
        /// Where.
        offset: u64,
    },
}

impl Extent {
    /// For what is not what was written there.
    pub fn changed(&self) -> Misread {
        Misread::Changed { file: files::name(self.file), offset: self.offset }
    }
}

impl Directory {
    /// The event of the line there, if that is the line that was written.
    ///
    /// # Errors
    /// If it cannot be read, or is another one.
    pub fn event<E: Recorded>(&self, extent: &Extent) -> Result<E, Misread> {
        let name = || files::name(extent.file);
        let changed = || extent.changed();
        if extent.length as usize > LINE_MAX {
            return Err(changed());
        }
        let mut bytes = vec![0; extent.length as usize];
        let read = self.read(extent.file).and_then(|file| file.read_exact_at(&mut bytes, extent.offset));
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            read => read.map_err(|source| Misread::Io { file: name(), source })?,
        }
        if Hash::of(&bytes) != extent.hash {
            return Err(changed());
        }
        let header = line::header(&bytes).ok_or_else(changed)?;
        line::event(&header, &mut bytes).map_err(|_| changed())
    }
}
