//! What the host is: read once, before anything is planned.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
#[path = "facts/linux.rs"]
mod host;
#[cfg(target_os = "macos")]
#[path = "facts/macos.rs"]
mod host;

#[cfg(target_os = "linux")]
pub use host::kernel_version;

/// What the host knows of a user.
struct Account {
    name: String,
    home: PathBuf,
}

/// The login name of the user with this uid, where the host knows one.
#[cfg(target_os = "linux")]
pub fn login_name(uid: u32) -> Option<String> {
    host::account(uid).map(|account| account.name)
}

/// The uid of the user with this login name, where the host knows one.
#[cfg(target_os = "linux")]
pub fn uid_of(login_name: &str) -> Option<u32> {
    host::uid(login_name)
}

/// The calling user and process, as plain data.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who runs rcc.
    pub user: User,
    /// The caller's working directory, absolute and free of symlinks.
    pub cwd: PathBuf,
    /// The caller's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// `$XDG_CONFIG_HOME/rcc` or `~/.config/rcc`.
    pub config_dir: PathBuf,
    /// `$XDG_DATA_HOME/rcc` or `~/.local/share/rcc`: private homes, agents.
    pub data_dir: PathBuf,
}

/// The calling user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Effective uid.
    pub uid: u32,
    /// Effective gid.
    pub gid: u32,
    /// Login name; the number where the host knows none.
    pub name: String,
    /// Home directory, absolute and free of symlinks.
    pub home: PathBuf,
}

/// Why the facts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The directory was removed or can't be entered.
    #[error("cannot tell the current directory: {0}")]
    Cwd(#[source] std::io::Error),
    /// Neither `$HOME` nor the host's list of users names a directory that exists.
    #[error("no home directory for uid {uid}: set HOME to a directory that exists")]
    Home {
        /// The caller's uid.
        uid: u32,
    },
}

impl Facts {
    /// Reads everything. On Linux without network and NSS: `/etc/passwd` and the environment only.
    pub fn gather() -> Result<Self, FactsError> {
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let cwd = std::env::current_dir().and_then(std::fs::canonicalize).map_err(FactsError::Cwd)?;
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let account = host::account(uid);
        let home = environment.get("HOME".as_ref() as &std::ffi::OsStr).map(PathBuf::from);
        let home =
            home.filter(|home| home.is_absolute()).or_else(|| account.as_ref().map(|account| account.home.clone()));
        let home = home.and_then(|home| std::fs::canonicalize(home).ok()).ok_or(FactsError::Home { uid })?;
        let name = account.map_or_else(|| uid.to_string(), |account| account.name);
        let xdg = |variable: &str, default: &str| {
            let set = environment.get(std::ffi::OsStr::new(variable)).map(PathBuf::from);
            set.filter(|path| path.is_absolute()).unwrap_or_else(|| home.join(default)).join("rcc")
        };
        let (config_dir, data_dir) = (xdg("XDG_CONFIG_HOME", ".config"), xdg("XDG_DATA_HOME", ".local/share"));
        Ok(Self { user: User { uid, gid, name, home }, cwd, environment, config_dir, data_dir })
    }

    /// A variable of the caller's environment, where it is UTF-8.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str())
    }
}

/// Setuid programs of NixOS. First, since a package's own `newuidmap` has no privilege.
const WRAPPERS: &str = "/run/wrappers/bin";

/// Where a package says, at build time, that the programs lie which it depends on: absolute
/// directories with colons between them (`nix/package.nix`).
const PACKAGED: Option<&str> = option_env!("RCC_PROGRAM_DIRS");

/// Directories where programs of the host are looked for, in this order. Never the caller's
/// `PATH`: a project may have put its own directory there (direnv).
const PROGRAM_DIRS: [&str; 7] = [
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/run/current-system/sw/bin", // NixOS
];

/// The absolute path of one of the host's programs.
pub fn program(name: &str) -> Option<PathBuf> {
    program_dirs(PACKAGED).map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

/// Every directory, in the order in which they are searched.
fn program_dirs(packaged: Option<&str>) -> impl Iterator<Item = &str> {
    // A relative directory would be one of the caller's choice.
    let packaged = packaged.into_iter().flat_map(|dirs| dirs.split(':')).filter(|dir| dir.starts_with('/'));
    std::iter::once(WRAPPERS).chain(packaged).chain(PROGRAM_DIRS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packages_own_programs_come_after_setuid_ones_and_before_the_hosts() {
        let dirs: Vec<&str> = program_dirs(Some("/nix/store/a-passt/bin:bin::/nix/store/b-nft/bin")).collect();
        assert_eq!(dirs[..4], [WRAPPERS, "/nix/store/a-passt/bin", "/nix/store/b-nft/bin", "/usr/bin"]);
        assert_eq!(program_dirs(None).count(), 1 + PROGRAM_DIRS.len());
    }
}
