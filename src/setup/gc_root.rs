//! Keeps the Nix store from collecting the program that the boot service runs: a store object
//! stays while a symlink below `/nix/var/nix/gcroots` names it (nix-store(1), `--gc`).

use super::durable::{self, FileError};
use super::layout::Layout;
use super::program;
use std::path::{Component, Path, PathBuf};

/// The store object that this program is part of, if it is part of any.
pub fn store_object(program: &Path) -> Option<PathBuf> {
    let store = Path::new("/nix/store");
    match program.strip_prefix(store).ok()?.components().next()? {
        Component::Normal(name) => Some(store.join(name)),
        _ => None,
    }
}

/// Makes this object, and nothing else, what rcc keeps; says whether anything had to be done.
/// Where the directory for it is absent or others can change it, nothing is: then the store is
/// not root's, and neither is its collection.
///
/// # Errors
/// If the link can't be made.
pub fn keep(layout: &Layout, object: &Path) -> Result<bool, FileError> {
    let link = layout.gc_root();
    let directory = link.parent().unwrap_or(Path::new("/"));
    let on_host = layout.on_host(directory) == directory;
    let is_kept = std::fs::read_link(&link).is_ok_and(|target| target == object);
    if is_kept || !directory.is_dir() || (on_host && !program::is_guarded(directory)) {
        return Ok(false);
    }
    // A collection that runs meanwhile meets the old link or the new one.
    let new = link.with_extension("new");
    durable::remove(&new)?;
    std::os::unix::fs::symlink(object, &new).map_err(FileError::doing("create", &new))?;
    std::fs::rename(&new, &link).map_err(FileError::doing("create", &link))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_kept_with_its_whole_object() {
        let of = |program: &str| store_object(Path::new(program));
        assert_eq!(of("/nix/store/abc-rcc-0.1.0/bin/rcc"), Some("/nix/store/abc-rcc-0.1.0".into()));
        for elsewhere in ["/usr/bin/rcc", "/nix/store", "/nix/store/", "/nix/var/nix/x", "/home/a/nix/store/b"] {
            assert_eq!(of(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn only_the_last_program_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::under(root.path());
        let (old, new) = (Path::new("/nix/store/old"), Path::new("/nix/store/new"));
        assert!(!keep(&layout, old).unwrap(), "there is no Nix here");
        std::fs::create_dir_all(layout.gc_root().parent().unwrap()).unwrap();
        for (object, done) in [(old, true), (old, false), (new, true)] {
            assert_eq!(keep(&layout, object).unwrap(), done);
            assert_eq!(std::fs::read_link(layout.gc_root()).unwrap(), object);
        }
        assert_eq!(std::fs::read_dir(layout.gc_root().parent().unwrap()).unwrap().count(), 1);
    }
}
