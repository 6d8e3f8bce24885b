//! Takes this program's credentials out of what is told. The broker does not look into git's protocol, and some of the
//! texts in it are what a program said: an upstream may repeat what it was asked with.

use super::ServeError;
use crate::plugin::credential::{Redactor, SECRET_MIN, Secret};
use crate::plugin::git::task::Access;
use std::path::Path;
use std::sync::OnceLock;

/// For all texts of this process.
static REDACTOR: OnceLock<Redactor> = OnceLock::new();

/// Has the task's credentials taken out from now on.
pub(super) fn hide(access: &Access) -> Result<(), ServeError> {
    let (path, is_store) = match access {
        Access::Https { store, .. } => (store, true),
        Access::Ssh { key, .. } => (key, false),
    };
    let mut bytes = std::fs::read(path).map_err(ServeError::file("read", path))?;
    let secrets: Vec<Secret> = if is_store {
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(password);
        // The broker refuses what is too short to be told from other text.
        lines
            .filter(|password| password.len() >= SECRET_MIN)
            .map(|password| taken(path, password))
            .collect::<Result<_, _>>()?
    } else {
        vec![taken(path, std::mem::take(&mut bytes))?]
    };
    crate::plugin::credential::wipe(&mut bytes);
    let redactor = Redactor::new(&secrets.iter().collect::<Vec<_>>());
    let _ = REDACTOR.set(redactor.map_err(|error| ServeError::Hidden(error.to_string()))?);
    Ok(())
}

fn taken(path: &Path, mut bytes: Vec<u8>) -> Result<Secret, ServeError> {
    Secret::take(&mut bytes).map_err(|error| ServeError::Hidden(format!("{}: {error}", path.display())))
}

/// Of a line of git-credential-store(1): `https://user:password@host`, percent-encoded.
fn password(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_prefix(b"https://")?;
    let end = line.iter().rposition(|byte| *byte == b'@')?;
    let start = line.iter().position(|byte| *byte == b':')? + 1;
    let mut rest = line.get(start..end)?.iter().copied();
    let mut bytes = Vec::with_capacity(end - start);
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(if byte == b'%' { (digit()? << 4 | digit()?) as u8 } else { byte });
    }
    Some(bytes)
}

/// The text without credentials.
pub(super) fn clean(text: &str) -> String {
    let Some(redactor) = REDACTOR.get() else { return text.to_owned() };
    let (mut redactor, mut clean) = (redactor.another(), Vec::with_capacity(text.len()));
    redactor.push(text.as_bytes(), &mut |piece| clean.extend_from_slice(piece));
    redactor.finish(&mut |piece| clean.extend_from_slice(piece));
    String::from_utf8_lossy(&clean).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::git::task::stored;

    #[test]
    fn the_password_of_a_stored_line_is_what_was_stored() {
        let token = b"a@b:/%\n\xff-token";
        let line = stored("h:8443", "x-access-token", token);
        assert_eq!(password(line.trim_ascii_end()).unwrap(), token);
        assert_eq!(password(b"https://h"), None);
    }
}
