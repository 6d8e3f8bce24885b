//! The Containerfile that is part of the program, as engines take it.

use bytes::Bytes;
use std::io;

/// From which the default image is made if nothing else is said. By tag: it moves with Debian's security updates, and what
/// is made from it has a digest of its own, by which it can be pinned.
pub const BASE: &str = "docker.io/library/debian:stable-slim";

/// Its name in the archive.
pub const FILE: &str = "Containerfile";

const TEXT: &str = include_str!("Containerfile");

/// The archive that an engine builds from: that file alone.
pub fn context() -> io::Result<Bytes> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(TEXT.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, FILE, TEXT.as_bytes())?;
    Ok(archive.into_inner()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_has_the_file_and_nothing_else() {
        let context = context().unwrap();
        let mut archive = tar::Archive::new(&context[..]);
        let files: Vec<(String, String)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let (mut entry, mut text) = (entry.unwrap(), String::new());
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        assert_eq!(files, [(FILE.to_owned(), TEXT.to_owned())]);
    }
}
