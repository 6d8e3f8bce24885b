//! The image that the user's file names, read and written by itself.

use super::edited::edited;
use super::error::ConfigError;
use super::files;
use super::problem::{Document, printable};
use super::user::UserFile;
use super::{USER_FILE, layer};
use crate::runtime::{Image, Runtime};
use crate::setup::durable::{self, Attributes};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::DocumentMut;

/// What the user's file says of engines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// What makes sandboxes.
    pub runtime: Option<Runtime>,
    /// The image.
    pub image: Option<Image>,
    /// How long an engine may take for its first answer.
    pub start: Duration,
}

/// Why the user's file was not changed.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PinError {
    /// It has mistakes, or others could have written it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// As with home-manager.
    #[error("cannot change {}: it is {}, which other software makes", shown(path), shown(real))]
    #[diagnostic(help("write this where that is made: image = \"{image}\""))]
    Declared {
        /// Where rcc looks.
        path: PathBuf,
        /// What is there.
        real: PathBuf,
        /// What was to be written.
        image: String,
    },
    /// Something else would have changed with it.
    #[error("{} is written in a way that rcc cannot change without touching something else", shown(path))]
    #[diagnostic(help("write this into it: image = \"{image}\""))]
    Unclear {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        image: String,
    },
    /// As on a full disk.
    #[error("the user's configuration is as it was: {0}")]
    File(#[from] durable::FileError),
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// Reads the file in `config_dir`; `home` is what `~` stands for.
///
/// # Errors
/// If the file can't be read, others than the user `uid` could have written it, or it has a mistake, also in another
/// section.
pub fn chosen(config_dir: &Path, home: &Path, uid: u32) -> Result<Chosen, ConfigError> {
    let path = config_dir.join(USER_FILE);
    let document = files::read_user(&path, uid)?;
    let (user, _) = layer(document, &path, |text| UserFile::read(text, home))?;
    let UserFile { runtime, image, timeouts, .. } = user.values;
    Ok(Chosen {
        runtime: runtime.map(|sourced| sourced.value),
        image: image.map(|sourced| sourced.value),
        start: timeouts.values().start,
    })
}

/// Has the file name this image and changes nothing else in it. Returns its path.
///
/// # Errors
/// As [`chosen`], and if the file cannot be replaced; it is as it was then.
pub fn pin(config_dir: &Path, home: &Path, uid: u32, image: &Image) -> Result<PathBuf, PinError> {
    let path = config_dir.join(USER_FILE);
    let document = files::read_user(&path, uid).map_err(ConfigError::from)?;
    if let Ok(real) = std::fs::read_link(&path) {
        return Err(PinError::Declared { path, real, image: image.as_str().to_owned() });
    }
    let before = document.map(|document| document.text).unwrap_or_default();
    let read = |text: &str| {
        let document = Document { path: path.clone(), text: text.to_owned() };
        UserFile::read(&document, home).map_err(|mistakes| ConfigError::mistakes(&path, mistakes))
    };
    read(&before)?;
    let unclear = || PinError::Unclear { path: path.clone(), image: image.as_str().to_owned() };
    let after = edited(&before, |document| set(document, image)).ok_or_else(unclear)?;
    let (user, _) = read(&after)?;
    if user.image.is_none_or(|written| written.value != *image) {
        return Err(unclear());
    }
    std::fs::create_dir_all(config_dir).map_err(durable::FileError::doing("make", config_dir))?;
    let mode = std::fs::metadata(&path).map_or(0o644, |found| found.permissions().mode() & 0o7777);
    durable::replace(&path, after.as_bytes(), Attributes::mode(mode))?;
    Ok(path)
}

/// The line in the document, in place of the one that is there.
fn set(document: &mut DocumentMut, image: &Image) -> Option<()> {
    let mut value = toml_edit::Value::from(image.as_str());
    if let Some(there) = document.get_mut("image") {
        let there = there.as_value_mut()?;
        *value.decor_mut() = there.decor().clone();
        *there = value;
        return Some(());
    }
    let was_empty = document.is_empty();
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    document.insert("image", toml_edit::Item::Value(value));
    if was_empty && !trailing.is_empty() {
        // What stands in a file of comments alone stays above.
        let end = if trailing.ends_with('\n') { "" } else { "\n" };
        document.set_trailing("");
        document.key_mut("image")?.leaf_decor_mut().set_prefix(format!("{trailing}{end}"));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PINNED: &str = "docker.io/library/debian@sha256:00112233";

    fn image() -> Image {
        PINNED.parse().unwrap()
    }

    fn set_in(text: &str) -> Option<String> {
        edited(text, |document| set(document, &image()))
    }

    #[test]
    fn a_line_is_replaced_and_its_comment_stays() {
        let text = "# mine\r\nruntime = \"podman\"\r\nimage = \"debian\"  # the one\r\n\r\n[limits]\r\npids = 9\r\n";
        assert_eq!(set_in(text).unwrap(), text.replace("\"debian\"", &format!("\"{PINNED}\"")));
    }

    #[test]
    fn a_new_line_comes_before_the_sections() {
        let text = "runtime = \"podman\" # why\n\n# ceilings\n[limits]\npids = 9\n";
        let after = set_in(text).unwrap();
        assert_eq!(after, text.replace("# why\n", &format!("# why\nimage = \"{PINNED}\"\n")));
        assert_eq!(set_in("").unwrap(), format!("image = \"{PINNED}\"\n"));
        assert_eq!(set_in("# nothing yet").unwrap(), format!("# nothing yet\nimage = \"{PINNED}\"\n"));
        assert_eq!(set_in("no toml ="), None);
    }

    #[test]
    fn the_file_is_written_with_its_mode_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (config, uid) = (directory.path().join("rcc"), rustix::process::geteuid().as_raw());
        let path = pin(&config, directory.path(), uid, &image()).unwrap();
        assert_eq!(chosen(&config, directory.path(), uid).unwrap().image, Some(image()));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        pin(&config, directory.path(), uid, &"other".parse().unwrap()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "image = \"other\"\n");
    }

    #[test]
    fn a_file_with_mistakes_and_one_that_is_made_elsewhere_stay_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let (home, uid) = (directory.path(), rustix::process::geteuid().as_raw());
        std::fs::write(home.join("config.toml"), "imagine = 1\n").unwrap();
        assert!(matches!(pin(home, home, uid, &image()), Err(PinError::Config(_))));
        assert_eq!(std::fs::read_to_string(home.join("config.toml")).unwrap(), "imagine = 1\n");
        let linked = home.join("linked");
        std::fs::create_dir(&linked).unwrap();
        std::fs::write(home.join("made"), "").unwrap();
        symlink(home.join("made"), linked.join("config.toml")).unwrap();
        assert!(matches!(pin(&linked, home, uid, &image()), Err(PinError::Declared { .. })));
    }
}
