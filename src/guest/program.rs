//! Where the program `rcc-guest` is on the host: beside the program that runs.

use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::read::{ReadCache, ReadRef as _};
use rustix::fs::{FileType, Mode};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Its name.
pub const NAME: &str = "rcc-guest";

/// Why it cannot be put into a sandbox.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum GuestError {
    /// Where this program is cannot be told.
    #[error("cannot find rcc's own program: {0}")]
    Own(#[source] io::Error),
    /// It is not there.
    #[error(
        "cannot find {}, what of rcc runs inside of sandboxes: {source}; rcc and {NAME} belong into one directory, and \
         `cargo build --release` makes both",
        path.display()
    )]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What is there is not as safe as this program.
    #[error(
        "{} {why}, so it is not put into a sandbox: install it anew as a file of rcc's own owner, which nobody else \
         can write",
        path.display()
    )]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An image's own loader and C library would run it, before anything holds them.
    #[error(
        "{} is not linked statically, so an image's own loader and C library would run it: link it with `cargo rustc \
         --release --bin {NAME} -- -C target-feature=+crt-static`, which needs libc.a (Debian: libc6-dev, Fedora: \
         glibc-static), and then install rcc again",
        path.display()
    )]
    Dynamic {
        /// Which.
        path: PathBuf,
    },
    /// It is no program of this kind of machine.
    #[error("{} cannot be read as a program: {why}; build and install rcc again", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The same for a root that is somebody else's, an image: nothing of that root takes part in running it.
///
/// # Errors
/// If there is none, or if it needs a loader.
pub fn find_static() -> Result<PathBuf, GuestError> {
    let path = find()?;
    if needs_loader(&path)? { Err(GuestError::Dynamic { path }) } else { Ok(path) }
}

/// Whether the kernel starts another program to load this one (elf(5), PT_INTERP).
fn needs_loader(path: &Path) -> Result<bool, GuestError> {
    let unreadable = |why: String| GuestError::Unreadable { path: path.to_owned(), why };
    let file = ReadCache::new(File::open(path).map_err(|error| unreadable(error.to_string()))?);
    let file = file.range(0, file.len().map_err(|()| unreadable("its size cannot be told".to_owned()))?);
    let headers = FileHeader64::<Endianness>::parse(file).and_then(|header| {
        let endian = header.endian()?;
        Ok((endian, header.program_headers(endian, file)?))
    });
    let (endian, headers) = headers.map_err(|error| unreadable(error.to_string()))?;
    Ok(headers.iter().any(|header| header.p_type(endian) == PT_INTERP))
}

/// Its path beside the running program, without symbolic links. It is a file, and whoever could put another one in
/// its place could do so with the running program: a link would make something else of the user's appear inside.
///
/// # Errors
/// If there is none.
pub fn find() -> Result<PathBuf, GuestError> {
    beside(&std::fs::canonicalize("/proc/self/exe").map_err(GuestError::Own)?)
}

/// The same for a program whose path has no symbolic links.
///
/// # Errors
/// If there is none.
pub fn beside(own: &Path) -> Result<PathBuf, GuestError> {
    let path = own.with_file_name(NAME);
    let own = own.symlink_metadata().map_err(GuestError::Own)?;
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(source) => return Err(GuestError::Absent { path, source }),
    };
    let others = (Mode::WGRP | Mode::WOTH).bits();
    let why = if FileType::from_raw_mode(found.mode()) != FileType::RegularFile {
        "is no regular file"
    } else if found.uid() != own.uid() && found.uid() != 0 {
        "belongs to another user than rcc itself"
    } else if found.mode() & others & !own.mode() != 0 {
        "can be written by others, who cannot write rcc itself"
    } else if found.mode() & 0o111 == 0 {
        "cannot be executed"
    } else {
        return Ok(path);
    };
    Err(GuestError::Unsafe { path, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn file(path: &Path, mode: u32) {
        std::fs::write(path, "").unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn it_lies_beside_the_program_and_nobody_else_can_change_it() {
        let directory = tempfile::tempdir().unwrap();
        let (own, guest) = (directory.path().join("rcc"), directory.path().join(NAME));
        file(&own, 0o755);
        let refusal = || beside(&own).unwrap_err().to_string();
        let absent = refusal();
        assert!(absent.starts_with(&format!("cannot find {}", guest.display())), "{absent}");
        file(&guest, 0o755);
        assert_eq!(beside(&own).unwrap(), guest);
        file(&guest, 0o775);
        assert!(refusal().contains("can be written by others"));
        // Where the umask lets the group write, cargo makes both so.
        file(&own, 0o775);
        assert_eq!(beside(&own).unwrap(), guest);
        file(&guest, 0o644);
        assert!(refusal().contains("cannot be executed"));
    }

    #[test]
    fn what_needs_a_loader_is_told_from_what_does_not() {
        assert!(needs_loader(Path::new("/bin/sh")).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let (source, program) = (directory.path().join("main.rs"), directory.path().join("main"));
        std::fs::write(&source, "fn main() {}").unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = std::process::Command::new(rustc);
        rustc.args(["-C", "target-feature=+crt-static", "-o"]).arg(&program).arg(&source);
        assert!(rustc.status().unwrap().success());
        assert!(!needs_loader(&program).unwrap());
        std::fs::write(&program, "#!/bin/sh").unwrap();
        assert!(matches!(needs_loader(&program), Err(GuestError::Unreadable { .. })));
    }

    #[test]
    fn a_link_to_something_else_of_the_users_does_not_bring_that_into_a_sandbox() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("rcc");
        file(&own, 0o755);
        file(&directory.path().join("key"), 0o755);
        std::os::unix::fs::symlink(directory.path().join("key"), directory.path().join(NAME)).unwrap();
        assert!(beside(&own).unwrap_err().to_string().contains("is no regular file"));
    }
}
