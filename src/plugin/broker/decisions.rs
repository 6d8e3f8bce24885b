//! What a plugin decided in the course of a call, as it told it: lines of JSON in a file.

use rustix::fs::{Mode, OFlags};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file that are read, and lines of it.
const SIZE_MAX: u64 = 4 << 20;
const LINES_MAX: usize = 10_000;

/// A file of decisions. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Decisions {
    path: PathBuf,
}

impl Decisions {
    /// A new, empty file in this directory, which the plugin's sandbox can write.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn new(directory: &Path, call: u64) -> io::Result<Self> {
        let path = directory.join(format!("decisions-{}-{call}.jsonl", std::process::id()));
        // What a broker of the same number left.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self { path })
    }

    /// Its name in the directory.
    pub(super) fn name(&self) -> &Path {
        self.path.file_name().map_or(Path::new(""), Path::new)
    }

    /// What was told. What is no JSON is told as text.
    pub(super) fn take(&self) -> Vec<Value> {
        match self.read() {
            Ok(decisions) => decisions,
            Err(error) => vec![Value::String(format!("the plugin's decisions cannot be read: {error}"))],
        }
    }

    fn read(&self) -> io::Result<Vec<Value>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file any more"));
        }
        let whole = file.metadata()?.len() <= SIZE_MAX;
        let lines = BufReader::new(file.take(SIZE_MAX)).split(b'\n').take(LINES_MAX);
        let value = |line: Vec<u8>| {
            let text = || Value::String(String::from_utf8_lossy(&line).into_owned());
            serde_json::from_slice(&line).unwrap_or_else(|_| text())
        };
        let mut told = lines.map(|line| line.map(value)).collect::<io::Result<Vec<Value>>>()?;
        if !whole || told.len() == LINES_MAX {
            told.push(Value::String("more was told than is recorded".to_owned()));
        }
        Ok(told)
    }
}

impl Drop for Decisions {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_told_is_read_once_and_gone() {
        let dir = tempfile::tempdir().unwrap();
        let decisions = Decisions::new(dir.path(), 7).unwrap();
        let path = dir.path().join(decisions.name());
        std::fs::write(&path, "{\"a\":1}\nno json\n").unwrap();
        assert_eq!(decisions.take(), [json!({"a": 1}), json!("no json")]);
        drop(decisions);
        assert!(!path.exists());
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let decisions = Decisions::new(dir.path(), 7).unwrap();
        let path = dir.path().join(decisions.name());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(decisions.take()[0].as_str().unwrap().starts_with("the plugin's decisions cannot be read"));
    }
}
