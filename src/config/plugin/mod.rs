//! A plugin's manifest: `plugins/<tool>.toml` beside root's or the user's configuration.

mod credentials;
mod environment;
mod exec;
mod git;
mod grammar;
mod http;
#[cfg(test)]
mod tests;

use super::error::ConfigError;
use super::files::{self, FileError};
use super::problem::{Document, Problem};
use super::reader::{Report, Table, Value};
use super::values::{absolute_path, parse_size, profile_name};
use crate::facts;
use crate::plugin::manifest::{Credential, Kind, Manifest, Origin};
use crate::plugin::name::ToolName;
use crate::policy::ProfileName;
use crate::timespan;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most that a manifest may hold, in bytes.
pub const MANIFEST_MAX: usize = 256 << 10;
/// Where credentials may be named, for messages.
const ADMIN_DIRECTORY: &str = "/etc/rcc/plugins";
/// The longest summary, in characters.
const SUMMARY_MAX: usize = 200;
/// Seconds that a call may take.
const TIMEOUT: RangeInclusive<u64> = 1..=86_400;
/// Calls of one session at a time.
const CONCURRENCY: RangeInclusive<u64> = 1..=64;

/// Whose manifests are read.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Root, or the user.
    pub origin: Origin,
    /// Who may own the file and the programs beside root: 0 for root's, save in tests; the user for the user's.
    pub uid: u32,
    /// What `~` stands for: nothing in root's files.
    pub home: Option<&'a Path>,
}

/// A manifest that was read and found good.
#[derive(Clone, Debug)]
pub struct LoadedManifest {
    /// What it says.
    pub manifest: Manifest,
    /// What is allowed and yet worth knowing.
    pub warnings: Vec<Problem>,
}

/// Reads a manifest in its place; `None` if there is none.
///
/// # Errors
/// If it can't be read, is not to be trusted, or has a mistake.
pub fn load_manifest(path: &Path, owner: Owner<'_>) -> Result<Option<LoadedManifest>, ConfigError> {
    let document = match owner.origin {
        Origin::Admin => files::read_admin(path, owner.uid)?,
        Origin::User => files::read_user(path, owner.uid)?,
    };
    document.map(|document| read(&document, &Reader::new(owner))).transpose()
}

/// Reads a manifest wherever it is and whoever owns it, so that it can be checked before it is put in its place.
///
/// # Errors
/// If it can't be read or has a mistake.
pub fn check_manifest(path: &Path, owner: Owner<'_>) -> Result<LoadedManifest, ConfigError> {
    read(&files::read_any(path)?, &Reader::new(owner))
}

/// The same for a manifest of another machine: whether that has the programs and files which it names is not asked.
///
/// # Errors
/// If it can't be read or has a mistake.
pub fn check_manifest_elsewhere(path: &Path, owner: Owner<'_>) -> Result<LoadedManifest, ConfigError> {
    read(&files::read_any(path)?, &Reader::elsewhere(owner))
}

/// Reads the text of a manifest as if it stood at this path.
///
/// # Errors
/// If it has a mistake.
pub fn read_manifest(path: &Path, text: &str, owner: Owner<'_>) -> Result<LoadedManifest, ConfigError> {
    read(&Document { path: path.to_owned(), text: text.to_owned() }, &Reader::new(owner))
}

/// Each symlink on an absolute path's way, where it really is: what decides which file the path means.
pub fn symlinks_on(path: &Path) -> Vec<PathBuf> {
    let mut places = files::trail(path).unwrap_or_default();
    places.pop();
    places
}

/// Finds out where a file really is, which root or this uid alone can change.
type Locate = fn(&Path, u32) -> Result<PathBuf, FileError>;

/// What a manifest is read with.
struct Reader<'a> {
    owner: Owner<'a>,
    /// Finds a program of the system by its name.
    find: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Where a program that is named really is, if the owner decides what it is.
    program: Locate,
    /// The same for a file that is read.
    file: Locate,
}

impl<'a> Reader<'a> {
    fn new(owner: Owner<'a>) -> Self {
        Self { owner, find: &facts::program, program: files::program, file: files::own }
    }

    /// For a manifest of another machine, which has what it names.
    fn elsewhere(owner: Owner<'a>) -> Self {
        Self { owner, find: &|name| Some(Path::new("/").join(name)), program: as_written, file: as_written }
    }

    fn path(&self, value: &Value<'_, '_>, expected: &str) -> Option<PathBuf> {
        value.parse(expected, |text| match self.owner.home {
            Some(home) => absolute_path(text, home).map_err(|reason| reason.to_string()),
            None if text.starts_with('~') => {
                Err("root's manifests are for every user: write an absolute path".to_owned())
            }
            None => absolute_path(text, Path::new("/")).map_err(|reason| reason.to_string()),
        })
    }
}

fn as_written(path: &Path, _owner: u32) -> Result<PathBuf, FileError> {
    Ok(path.to_owned())
}

fn read(document: &Document, reader: &Reader<'_>) -> Result<LoadedManifest, ConfigError> {
    let path = document.path.as_path();
    if document.text.len() > MANIFEST_MAX {
        return Err(FileError::Size { path: path.to_owned(), limit: MANIFEST_MAX as u64 }.into());
    }
    let whole =
        |message: &str, allowed: &str| ConfigError::problem(path, Problem::new(document, 0..0, "", message, allowed));
    let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"));
    let tool: ToolName = stem.and_then(|stem| stem.parse().ok()).ok_or_else(|| {
        whole("the name of this file is not that of a tool and `.toml`", &crate::plugin::name::BadName.to_string())
    })?;
    let read = Report::read(document, |file| manifest(file, tool, reader));
    let (manifest, warnings) = read.map_err(|mistakes| ConfigError::mistakes(path, mistakes))?;
    let manifest = manifest.ok_or_else(|| whole("this is not a whole manifest", "`rcc plugin add` writes examples"))?;
    Ok(LoadedManifest { manifest, warnings })
}

/// The keys of each kind alone, for a message about one in another kind.
const OF_KINDS: [(&str, &[&str]); 3] = [
    ("exec", &["program", "executes", "project", "output_max", "environment", "commands", "options", "command"]),
    ("git", &["hosts", "push"]),
    ("http", &["upstream", "header", "value", "credential", "allow", "block", "body_max", "ca", "port"]),
];

fn manifest(file: &mut Table<'_, '_>, tool: ToolName, reader: &Reader<'_>) -> Option<Manifest> {
    let version = required(file, "version", "write version = 1", |value| value.integer("1, the only version", 1..=1));
    let summary = file.take("summary", |value| value.parse("a line of text", summary)).unwrap_or_default();
    let profile = file.take("profile", |value| profile_name(&value)).unwrap_or_else(ProfileName::public);
    let timeout = file.take("timeout", |value| time(&value)).unwrap_or(Duration::from_secs(600));
    let concurrency = file
        .take("concurrency", |value| value.integer("a number of calls from 1 to 64", CONCURRENCY))
        .and_then(|calls| u32::try_from(calls).ok())
        .unwrap_or(8);
    let credentials = credentials::take(file, reader);
    let name = required(file, "kind", "write kind = \"exec\", \"git\" or \"http\"", |value| kind(&value, reader));
    let kind = match name {
        Some("exec") => exec::take(file, &tool, &credentials, reader).map(Box::new).map(Kind::Exec),
        Some("git") => git::take(file, &credentials, reader).map(Kind::Git),
        Some(_) => http::take(file, &credentials, reader).map(Kind::Http),
        None => {
            // Without a kind, every key of any kind would be called unknown.
            for key in OF_KINDS.iter().flat_map(|(_, keys)| *keys) {
                file.take(key, |_| Some(()));
            }
            None
        }
    };
    file.finish_with(|key| {
        let of = OF_KINDS.iter().find(|(_, keys)| keys.contains(&key))?;
        Some(format!("it belongs to kind = \"{}\"", of.0))
    });
    version?;
    Some(Manifest {
        tool,
        origin: reader.owner.origin,
        summary,
        kind: kind?,
        credentials,
        profile,
        timeout,
        concurrency,
    })
}

/// The user has no credentials to give: whatever the user's processes can read, an agent's could have changed.
fn kind(value: &Value<'_, '_>, reader: &Reader<'_>) -> Option<&'static str> {
    let name = value.parse("a kind of plugin", |text| match text {
        "exec" => Ok("exec"),
        "git" => Ok("git"),
        "http" => Ok("http"),
        _ => Err("expected \"exec\" (a program that is run), \"git\" (remotes of git) or \"http\" (one upstream)"),
    })?;
    if reader.owner.origin == Origin::User && name != "exec" {
        let message = format_args!("a plugin of kind \"{name}\" has credentials, and the user's manifests have none");
        value.error(message, format_args!("put this file in {ADMIN_DIRECTORY}, as root"));
        return None;
    }
    Some(name)
}

fn summary(text: &str) -> Result<String, String> {
    let good = text.chars().count() <= SUMMARY_MAX && !text.chars().any(crate::shown::is_unseen);
    if good { Ok(text.to_owned()) } else { Err(format!("at most {SUMMARY_MAX} characters, all of them visible")) }
}

fn time(value: &Value<'_, '_>) -> Option<Duration> {
    let time = value.parse("a time", timespan::parse)?;
    if !TIMEOUT.contains(&time.as_secs()) {
        value.error("this time is out of bounds", "expected 1s to 1d");
        return None;
    }
    Some(time)
}

/// Bytes, as a number or with a unit.
fn size(value: &Value<'_, '_>, bounds: RangeInclusive<u64>, expected: &str) -> Option<u64> {
    if value.is_integer() {
        return value.integer(expected, bounds);
    }
    value.parse(expected, |text| {
        let bytes = parse_size(text).filter(|bytes| bounds.contains(bytes));
        bytes.ok_or("write bytes, or a number with KiB, MiB, GiB, TiB, kB, MB, GB or TB, within these bounds")
    })
}

/// A key that must be there.
fn required<'d, T>(
    table: &mut Table<'_, 'd>,
    key: &'static str,
    example: &str,
    read: impl FnOnce(Value<'_, 'd>) -> Option<T>,
) -> Option<T> {
    if !table.has(key) {
        table.error(format_args!("`{key}` is missing"), example);
    }
    table.take(key, read)
}

/// Elements of one list.
const LIST_MAX: usize = 1024;

/// A list of at most [`LIST_MAX`]. What is wrong with an element is wrong with the manifest.
fn list<'d, T>(value: Value<'_, 'd>, expected: &str, read: impl FnMut(Value<'_, 'd>) -> Option<T>) -> Option<Vec<T>> {
    if value.list_length().is_some_and(|length| length > LIST_MAX) {
        value.error(
            "this list is too long",
            format_args!("at most {LIST_MAX} elements; `*` in a pattern stands for many"),
        );
        return None;
    }
    value.list(expected, read)
}

/// The name of one of the manifest's credentials.
fn credential(value: &Value<'_, '_>, credentials: &[Credential]) -> Option<String> {
    value.parse("the name of a credential", |text| {
        let known: Vec<&str> = credentials.iter().map(|credential| credential.name.as_str()).collect();
        match known.contains(&text) {
            true => Ok(text.to_owned()),
            false if known.is_empty() => Err("the manifest names none: [credentials.NAME] does".to_owned()),
            false => Err(super::reader::suggestion(text, &known)),
        }
    })
}

/// Credentials that nothing of the manifest uses are a mistake most likely.
fn refuse_unused(file: &Table<'_, '_>, credentials: &[Credential], used: &[&str]) {
    for credential in credentials.iter().filter(|credential| !used.contains(&credential.name.as_str())) {
        file.error(
            format_args!("nothing uses the credential {}", super::reader::quoted(&credential.name)),
            "use it, or take it out: what is not needed is not held",
        );
    }
}
