//! The binary that a root service runs, which nobody but root may be able to change.

use super::durable::{self, Attributes, FileError};
use super::layout::Layout;
use super::unit::is_plain;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Directories of installed programs. Elsewhere (a home, a build directory) a root-owned file is
/// no proof: a root user's sandbox may have the directory as its project.
const SYSTEM_DIRS: [&str; 3] = ["/usr", "/opt", "/nix/store"];

/// Which binary the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The running one, where it lies.
    InPlace(PathBuf),
    /// A root-owned copy of it.
    Copy(PathBuf),
}

impl Program {
    /// Decides for the program at this path (absolute, free of symlinks).
    pub fn choose(layout: &Layout, running: &Path) -> Self {
        let system = SYSTEM_DIRS.iter().any(|dir| running.starts_with(dir));
        if system && is_plain(running) && is_guarded(running) {
            return Self::InPlace(running.to_owned());
        }
        Self::Copy(layout.on_host(&layout.copy()))
    }

    /// Its path on the host.
    pub fn path(&self) -> &Path {
        let (Self::InPlace(path) | Self::Copy(path)) = self;
        path
    }
}

/// Whether only the effective user can change what is found at the path: every component is
/// its own, and writable by nobody else or sticky.
pub fn is_guarded(path: &Path) -> bool {
    let owner = rustix::process::geteuid().as_raw();
    path.ancestors().all(|part| {
        std::fs::symlink_metadata(part).is_ok_and(|found| {
            let sticky = found.is_dir() && found.mode() & 0o1000 != 0;
            found.uid() == owner && !found.is_symlink() && (found.mode() & 0o022 == 0 || sticky)
        })
    })
}

/// Makes the copy equal to the image; says whether it had to be written.
pub fn install_copy(copy: &Path, image: &Path) -> Result<bool, FileError> {
    if is_same(copy, image) {
        return Ok(false);
    }
    create_directory(copy.parent().unwrap_or(Path::new("/")))?;
    let mut image_file = File::open(image).map_err(FileError::doing("open", image))?;
    durable::replace_from(copy, &mut image_file, Attributes::mode(0o755))?;
    Ok(true)
}

/// Whether both files can be read and have the same content.
pub fn is_same(one: &Path, other: &Path) -> bool {
    matches!((digest(one), digest(other)), (Ok(one), Ok(other)) if one == other)
}

/// Makes the copy a command, unless something else has that name; says whether it did.
///
/// # Errors
/// If the directory or the link can't be made.
pub fn link_copy(layout: &Layout) -> Result<bool, FileError> {
    let link = layout.link();
    if std::fs::symlink_metadata(&link).is_ok() {
        return Ok(false);
    }
    create_directory(link.parent().unwrap_or(Path::new("/")))?;
    std::os::unix::fs::symlink(layout.on_host(&layout.copy()), &link).map_err(FileError::doing("create", &link))?;
    Ok(true)
}

/// Whether that link is ours: it leads to the copy.
pub fn is_linked(layout: &Layout) -> bool {
    std::fs::read_link(layout.link()).is_ok_and(|target| target == layout.on_host(&layout.copy()))
}

/// Creates a directory and those above it with mode 0755 whatever the umask is.
pub fn create_directory(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_directory(parent)?;
    }
    match DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        created => created.map_err(FileError::doing("create directory", path))?,
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(FileError::doing("set the mode of", path))
}

fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&buffer[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_outside_system_directories_are_copied_whoever_owns_them() {
        let layout = Layout::host();
        for path in
            ["/home/alice/.cargo/bin/rcc", "/root/rcc/target/release/rcc", "/usr/share/x y/rcc", "/usrlocal/rcc"]
        {
            let chosen = Program::choose(&layout, Path::new(path));
            assert_eq!(chosen, Program::Copy("/usr/local/libexec/rcc/rcc".into()), "{path}");
        }
    }

    #[test]
    fn a_file_that_others_can_write_or_move_is_not_guarded() {
        let dir = tempfile::tempdir().unwrap();
        let (open, file) = (dir.path().join("open"), dir.path().join("open/rcc"));
        std::fs::create_dir(&open).unwrap();
        std::fs::write(&file, "x").unwrap();
        let chmod = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let guarded = |dir_mode, file_mode| {
            chmod(&open, dir_mode);
            chmod(&file, file_mode);
            is_guarded(&file)
        };
        let above = is_guarded(dir.path());
        assert_eq!(guarded(0o755, 0o755), above);
        assert_eq!(guarded(0o1775, 0o755), above);
        assert!(!guarded(0o775, 0o755));
        assert!(!guarded(0o755, 0o757));
        assert!(!guarded(0o755, 0o1777));
    }

    #[test]
    fn the_copy_follows_the_image_and_is_not_writable_by_others() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::under(root.path());
        let image = root.path().join("image");
        for (content, written) in [("one", true), ("one", false), ("two", true)] {
            std::fs::write(&image, content).unwrap();
            assert_eq!(install_copy(&layout.copy(), &image).unwrap(), written);
            assert_eq!(std::fs::read_to_string(layout.copy()).unwrap(), content);
        }
        assert_eq!(std::fs::metadata(layout.copy()).unwrap().mode() & 0o7777, 0o755);
    }
}
