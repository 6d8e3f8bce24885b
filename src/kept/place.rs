//! Where what is kept lies.

use std::path::{Path, PathBuf};

/// The paths of one session.
#[derive(Clone, Debug)]
pub struct Place {
    sockets: PathBuf,
    logs: PathBuf,
    name: String,
}

impl Place {
    /// Of the user whose directories these are. The name is a session's.
    pub fn new(runtime_dir: &Path, data_dir: &Path, name: &str) -> Self {
        Self { sockets: runtime_dir.join("kept"), logs: data_dir.join("logs"), name: name.to_owned() }
    }

    /// Those of another session of the same user.
    pub fn of(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// The session's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of the sockets.
    pub fn sockets(&self) -> &Path {
        &self.sockets
    }

    /// The directory of the logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// Where the keeper listens.
    pub fn socket(&self) -> PathBuf {
        self.sockets.join(format!("{}.sock", self.name))
    }

    /// The file that the keeper has locked for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.sockets.join(format!("{}.lock", self.name))
    }

    /// What the terminal showed, at least the last of it.
    pub fn log(&self) -> PathBuf {
        self.logs.join(format!("{}.log", self.name))
    }

    /// What it showed before.
    pub fn older_log(&self) -> PathBuf {
        self.logs.join(format!("{}.log.1", self.name))
    }

    /// How it ended; there once nothing more comes.
    pub fn end(&self) -> PathBuf {
        self.logs.join(format!("{}.end", self.name))
    }
}
