//! The record of the images that this user's rcc has built: a label can be on anybody's image.

use super::name::hex_of;
use crate::setup::durable::{self, Attributes, FileError};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A directory with a file for each, named by its id.
#[derive(Clone, Debug)]
pub struct Built(PathBuf);

impl Built {
    /// In the directory where rcc keeps its files.
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("images"))
    }

    /// All ids, of 64 hexadecimal digits. Those of images that are gone may be among them.
    pub fn ids(&self) -> Result<BTreeSet<String>, FileError> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(FileError::doing("list", &self.0)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(names.filter(|name| hex_of(name).is_some()).collect())
    }

    /// One more.
    pub fn add(&self, id: &str) -> Result<(), FileError> {
        let Some(hex) = hex_of(id) else { return Ok(()) };
        std::fs::create_dir_all(&self.0).map_err(FileError::doing("make", &self.0))?;
        durable::replace(&self.0.join(hex), b"", Attributes::mode(0o600))
    }

    /// It is gone.
    pub fn forget(&self, id: &str) -> Result<(), FileError> {
        let Some(hex) = hex_of(id) else { return Ok(()) };
        durable::remove(&self.0.join(hex)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_known_until_it_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let built = Built::new(&directory.path().join("rcc"));
        assert!(built.ids().unwrap().is_empty());
        let id = "5e".repeat(32);
        built.add(&format!("sha256:{id}")).unwrap();
        built.add("../../etc/passwd").unwrap();
        assert_eq!(built.ids().unwrap(), BTreeSet::from([id.clone()]));
        built.forget(&id).unwrap();
        assert!(built.ids().unwrap().is_empty());
    }
}
