//! The configuration: three files, of which each may decide what its owner may.
//!
//! | file | owner | may |
//! |---|---|---|
//! | `/etc/rcc/config.toml` | root | everything that widens |
//! | `~/.config/rcc/config.toml` | the user | choose among that |
//! | `<project>/.rcc.toml` | writable by the agent | only tighten |

mod admin;
pub mod amend;
mod bridges;
mod edited;
mod error;
mod exceptions;
mod excludes;
mod files;
mod groups;
pub mod image;
mod limits;
mod listed;
mod merge;
mod plugin;
mod private_group;
mod problem;
mod profiles;
mod project;
mod reader;
mod relay;
mod runtime;
pub mod schema;
mod show;
mod stricter;
mod timeouts;
mod tools;
mod user;
mod values;

pub use admin::{Admin, Part, UserRef};
pub use error::ConfigError;
pub use exceptions::BadAddress;
pub use excludes::DEFAULT_EXCLUDES;
pub use files::FileError;
pub use groups::{BadGroup, Group};
pub use limits::{AdminLimits, BadSize, Ceiling, Memory};
pub use plugin::{
    LoadedManifest, MANIFEST_MAX, Owner, check_manifest, check_manifest_elsewhere, load_manifest, read_manifest,
    symlinks_on,
};
pub use problem::{Problem, printable};
pub use profiles::{ListedOrigin, Origins};
pub use relay::{BadParty, BadPrefix, BadServer, LoadedPolicy};
pub use show::{Entry, Origin};
pub use values::{BadPath, BadPattern, BadVariable};

use crate::facts::Facts;
use crate::machine::Machine;
use crate::policy::ProfileName;
use crate::settings::{Settings, Timeouts};
use merge::{Layer, Layers, Merged};
use problem::Document;
use project::ProjectFile;
use std::path::{Path, PathBuf};
use user::UserFile;

/// Root's file.
pub const ADMIN_FILE: &str = "/etc/rcc/config.toml";
/// The user's file, in [`Facts::config_dir`].
pub const USER_FILE: &str = "config.toml";
/// The project's file, in the project's root.
pub const PROJECT_FILE: &str = ".rcc.toml";

/// Where the configuration is and who may own it.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Root's file.
    pub admin: PathBuf,
    /// Who owns root's file: 0.
    pub admin_owner: u32,
    /// The directory of the user's file.
    pub config_dir: PathBuf,
    /// Where rcc keeps agents and private homes.
    pub data_dir: PathBuf,
    /// The user's home, for `~`.
    pub home: PathBuf,
    /// Who owns the user's file.
    pub uid: u32,
    /// The project's root, absolute and free of symlinks.
    pub project: PathBuf,
    /// What ceilings can be relative to.
    pub machine: Machine,
    /// The profile that the command line names.
    pub profile: Option<ProfileName>,
}

impl Sources {
    /// The usual places.
    pub fn new(facts: &Facts, project: &Path, profile: Option<ProfileName>) -> Self {
        Self {
            admin: ADMIN_FILE.into(),
            admin_owner: 0,
            config_dir: facts.config_dir.clone(),
            data_dir: facts.data_dir.clone(),
            home: facts.user.home.clone(),
            uid: facts.user.uid,
            project: project.to_owned(),
            machine: Machine::read(),
            profile,
        }
    }
}

/// The merged configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What root decided.
    pub admin: Admin,
    /// What holds for this run.
    pub settings: Settings,
    /// What is allowed and yet worth knowing, of all files.
    pub warnings: Vec<Problem>,
    /// Each value of the settings that was decided, with its origin; root's are [`Admin::entries`].
    pub entries: Vec<Entry>,
}

/// Which of the three files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Root's.
    Admin,
    /// The user's.
    User,
    /// A project's.
    Project,
}

/// Root's configuration; what holds by default if there is no file. `owner` may own it beside root: 0,
/// save in tests and where root looks like somebody else (`enforcement`).
///
/// # Errors
/// If the file can't be read, is not to be trusted, or has a mistake.
pub fn load_admin(path: &Path, owner: u32) -> Result<Admin, ConfigError> {
    match files::read_admin(path, owner)? {
        Some(document) => Admin::read(&document).map_err(|mistakes| ConfigError::mistakes(path, mistakes)),
        None => Ok(Admin::default()),
    }
}

/// Reads and merges all three files. Only reads; nothing of it runs code or follows a symlink of
/// the project's.
///
/// # Errors
/// Every mistake of every file at once; a user's file, configuration or data directory that the
/// agent could write; a profile that does not exist or that the project does not allow.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    check_outside(sources, &[&sources.project])?;
    let user_path = sources.config_dir.join(USER_FILE);
    let project_path = sources.project.join(PROJECT_FILE);
    let admin = load_admin(&sources.admin, sources.admin_owner);
    let user = files::read_user(&user_path, sources.uid).map_err(ConfigError::from);
    let user = user.and_then(|document| layer(document, &user_path, |text| UserFile::read(text, &sources.home)));
    let project = files::read_project(&project_path).map_err(ConfigError::from);
    let project = project.and_then(|document| layer(document, &project_path, ProjectFile::read));
    let (admin, (user, user_warnings), (project, project_warnings)) = match (admin, user, project) {
        (Ok(admin), Ok(user), Ok(project)) => (admin, user, project),
        (admin, user, project) => {
            return Err(ConfigError::all(admin.err().into_iter().chain(user.err()).chain(project.err())));
        }
    };
    let writable: Vec<&Path> = user.values.writable_mounts().filter(|path| path.exists()).collect();
    check_outside(sources, &writable)?;
    let requested = sources.profile.clone();
    let machine = sources.machine;
    let layers = Layers { admin_path: &sources.admin, admin: &admin, user, project, machine, requested };
    let Merged { settings, entries, warnings } = layers.merge()?;
    let warnings = admin.warnings.iter().cloned().chain(user_warnings).chain(project_warnings).chain(warnings);
    Ok(Loaded { settings, warnings: warnings.collect(), entries, admin })
}

/// Root's configuration, and the profile that the command line or the user's file chooses, outside
/// of any project: [`Sources::project`] is not looked at.
///
/// # Errors
/// As [`load`], but for a project's.
pub fn load_outside(sources: &Sources) -> Result<(Admin, ProfileName), ConfigError> {
    let admin = load_admin(&sources.admin, sources.admin_owner)?;
    let path = sources.config_dir.join(USER_FILE);
    let document = files::read_user(&path, sources.uid)?;
    let (user, _) = layer(document, &path, |text| UserFile::read(text, &sources.home))?;
    let (project, _) = layer(None, &sources.project.join(PROJECT_FILE), ProjectFile::read)?;
    let requested = sources.profile.clone();
    let machine = sources.machine;
    let layers = Layers { admin_path: &sources.admin, admin: &admin, user, project, machine, requested };
    let profile = layers.merge()?.settings.profile;
    Ok((admin, profile))
}

/// How long rcc waits, by the user's file; what holds by default if there is none.
///
/// # Errors
/// As [`load`], for the user's file alone.
pub fn load_timeouts(sources: &Sources) -> Result<Timeouts, ConfigError> {
    let path = sources.config_dir.join(USER_FILE);
    let document = files::read_user(&path, sources.uid)?;
    let (user, _) = layer(document, &path, |text| UserFile::read(text, &sources.home))?;
    Ok(user.values.timeouts.values())
}

/// What the system's relay does, by root's file; what holds by default if there is none. `owner` as in
/// [`load_admin`].
///
/// # Errors
/// As [`load_admin`]: also for a mistake in another section.
pub fn load_relay_admin(path: &Path, owner: u32) -> Result<LoadedPolicy, ConfigError> {
    let admin = load_admin(path, owner)?;
    Ok(LoadedPolicy::new(admin.relay, admin.warnings))
}

/// What a user's own relay does, by the user's file in `config_dir`; what holds by default if there is
/// none. `home` is what `~` stands for.
///
/// # Errors
/// If the file can't be read, others than the user `uid` could have written it, or it has a mistake, also
/// in another section.
pub fn load_relay_user(config_dir: &Path, home: &Path, uid: u32) -> Result<LoadedPolicy, ConfigError> {
    let path = config_dir.join(USER_FILE);
    let document = files::read_user(&path, uid)?;
    let (user, warnings) = layer(document, &path, |text| UserFile::read(text, home))?;
    Ok(LoadedPolicy::new(user.values.relay, warnings))
}

/// Refuses a project or writable mount that holds what decides about the sandbox, or what runs in
/// the next one: the agent could write it. That the files do not exist yet makes no difference.
fn check_outside(sources: &Sources, writable: &[&Path]) -> Result<(), ConfigError> {
    let user_file = sources.config_dir.join(USER_FILE);
    let own: [&Path; 2] = [&sources.config_dir, &sources.data_dir];
    Ok(files::check_outside(writable, &[&sources.admin, &user_file], &own)?)
}

type Read<T> = Result<(T, Vec<Problem>), reader::Mistakes>;

/// Reads a file's text; a missing file is an empty one.
fn layer<T>(
    document: Option<Document>,
    path: &Path,
    read: impl FnOnce(&Document) -> Read<T>,
) -> Result<(Layer<T>, Vec<Problem>), ConfigError> {
    let document = document.unwrap_or_else(|| Document { path: path.to_owned(), text: String::new() });
    let (values, warnings) = read(&document).map_err(|mistakes| ConfigError::mistakes(path, mistakes))?;
    Ok((Layer { document, values }, warnings))
}

/// Checks one file by itself and returns its warnings. Who owns it is not asked, so that a file
/// can be checked before it is put in its place.
///
/// # Errors
/// If it can't be read or has a mistake.
pub fn check(path: &Path, kind: Kind, home: &Path) -> Result<Vec<Problem>, ConfigError> {
    let document = match kind {
        Kind::Project => files::read_project(path)?.ok_or_else(|| FileError::missing(path))?,
        Kind::Admin | Kind::User => files::read_any(path)?,
    };
    let warnings = match kind {
        Kind::Admin => Admin::read(&document).map(|admin| admin.warnings),
        Kind::User => UserFile::read(&document, home).map(|(_, warnings)| warnings),
        Kind::Project => ProjectFile::read(&document).map(|(_, warnings)| warnings),
    };
    warnings.map_err(|mistakes| ConfigError::mistakes(path, mistakes))
}
