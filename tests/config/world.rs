//! A machine's configuration in a temporary directory.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use rcc::config::{self, ConfigError, Loaded, Sources};
use rcc::machine::Machine;
use std::path::{Path, PathBuf};

/// The machine that ceilings are relative to.
pub const MACHINE: Machine = Machine { memory: 16 << 30, processes: 32_768 };

/// `etc/config.toml`, `home/.config/rcc/config.toml`, `home/project/.rcc.toml`.
pub struct World {
    pub dir: tempfile::TempDir,
    pub sources: Sources,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let sources = Sources {
            admin: root.join("etc/config.toml"),
            admin_owner: uid,
            config_dir: root.join("home/.config/rcc"),
            data_dir: root.join("home/.local/share/rcc"),
            home: root.join("home"),
            uid,
            project: root.join("home/project"),
            machine: MACHINE,
            profile: None,
        };
        for made in [root.join("etc"), sources.config_dir.clone(), sources.data_dir.clone(), sources.project.clone()] {
            std::fs::create_dir_all(made).unwrap();
        }
        Self { dir, sources }
    }

    pub fn admin(self, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(&self.sources.admin, text).unwrap();
        self
    }

    pub fn user(self, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.user_path(), text).unwrap();
        self
    }

    pub fn project(self, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.project_path(), text).unwrap();
        self
    }

    pub fn requesting(mut self, profile: &str) -> Self {
        self.sources.profile = Some(profile.parse().unwrap());
        self
    }

    pub fn user_path(&self) -> PathBuf {
        self.sources.config_dir.join(config::USER_FILE)
    }

    pub fn project_path(&self) -> PathBuf {
        self.sources.project.join(config::PROJECT_FILE)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        std::fs::canonicalize(self.dir.path()).unwrap().join(below)
    }

    pub fn load(&self) -> Result<Loaded, ConfigError> {
        config::load(&self.sources)
    }

    #[track_caller]
    pub fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{}", render(&error)))
    }

    /// The error as it is printed without colours and without wrapping its lines, with the
    /// temporary directory as `/w`.
    #[track_caller]
    pub fn refused(&self) -> String {
        let printed = match self.load() {
            Ok(loaded) => panic!("this was accepted: {:?}", loaded.settings),
            Err(error) => render(&error),
        };
        printed.replace(self.path("").to_str().unwrap().trim_end_matches('/'), "/w")
    }
}

pub fn render(error: &dyn Diagnostic) -> String {
    let mut printed = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_width(10_000);
    handler.render_report(&mut printed, error).unwrap();
    printed
}

/// Whether the text holds each part.
#[track_caller]
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "does not say {part:?}:\n{text}");
    }
}

pub fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
