//! A credential in memory: in pages of its own that are never swapped, dumped or left behind.

use super::pages::{Pages, wipe};
use rustix::io::Errno;
use std::fmt;

/// The longest credential, in bytes: an RSA key of 16384 bits as PEM has 12.7 KiB.
pub const SECRET_MAX: usize = 64 << 10;

/// The shortest one, in bytes. What is shorter is found in text that has nothing to do with it, and is guessed soon.
pub const SECRET_MIN: usize = 8;

/// A credential. Its bytes are overwritten when it is dropped; it has no form as text.
pub struct Secret(Pages);

/// A credential cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing to keep, most likely a mistake in where it comes from.
    #[error("it is empty")]
    Empty,
    /// More than [`SECRET_MAX`].
    #[error("it is longer than {SECRET_MAX} bytes")]
    TooLong,
    /// Less than [`SECRET_MIN`].
    #[error("it is shorter than {SECRET_MIN} bytes, so it could not be told from other text: make a longer one")]
    TooShort,
    /// The kernel's limit.
    #[error("cannot lock it in memory: {0}; `ulimit -l` is the limit, which systemd sets with LimitMEMLOCK=")]
    Lock(#[source] Errno),
}

impl Secret {
    /// Takes the bytes, and overwrites where they were.
    ///
    /// # Errors
    /// See [`SecretError`]; the bytes are overwritten all the same.
    pub fn take(bytes: &mut Vec<u8>) -> Result<Self, SecretError> {
        let made = Self::copy(bytes);
        wipe(bytes);
        bytes.clear();
        made
    }

    /// Another one of the same bytes.
    ///
    /// # Errors
    /// If the kernel gives no memory for it.
    pub fn duplicate(&self) -> Result<Self, SecretError> {
        Self::copy(self.expose())
    }

    fn copy(bytes: &[u8]) -> Result<Self, SecretError> {
        match bytes.len() {
            0 => return Err(SecretError::Empty),
            1..=SECRET_MAX => (),
            _ => return Err(SecretError::TooLong),
        }
        let mut pages = Pages::zeroed(bytes.len()).map_err(SecretError::Lock)?;
        pages.bytes_mut().copy_from_slice(bytes);
        Ok(Self(pages))
    }

    /// The bytes, for the moment in which they are used.
    pub fn expose(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_held_and_its_source_overwritten() {
        let mut source = b"tok-en".to_vec();
        let room = source.as_ptr();
        let secret = Secret::take(&mut source).unwrap();
        assert_eq!(secret.expose(), b"tok-en");
        assert!(source.is_empty());
        // SAFETY: the vector still owns its allocation of at least six bytes, all written before.
        assert_eq!(unsafe { std::slice::from_raw_parts(room, 6) }, [0; 6]);
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_duplicate_outlives_the_first() {
        let first = Secret::take(&mut b"tok-en".to_vec()).unwrap();
        let second = first.duplicate().unwrap();
        drop(first);
        assert_eq!(second.expose(), b"tok-en");
    }

    #[test]
    fn what_is_empty_or_too_long_is_refused() {
        assert!(matches!(Secret::take(&mut Vec::new()), Err(SecretError::Empty)));
        let mut long = vec![7; SECRET_MAX + 1];
        assert!(matches!(Secret::take(&mut long), Err(SecretError::TooLong)));
        assert!(long.is_empty());
    }
}
