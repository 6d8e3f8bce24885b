//! What a private home says before Claude Code's first run, so that it asks nothing which rcc has
//! answered already: that there is a sandbox, and that its project is trusted in it.
//!
//! The agent can write that home between runs and during them: nothing here follows a link,
//! opens a device, reads without a bound or writes into an existing file.

use super::VERSION;
use crate::facts::Facts;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Claude Code's state file.
const NAME: &str = ".claude.json";
/// A larger one is taken for damaged. Years of use make less than 1 MiB.
const SIZE_MAX: u64 = 16 << 20;
/// Claude Code remembers the end of an approved key: this many characters.
const KEY_TAIL: usize = 20;

/// The home could not be prepared.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {} for Claude Code: {errno}; remove what is in its way", path.display())]
pub struct SeedError {
    verb: &'static str,
    path: PathBuf,
    errno: std::io::Error,
}

/// Makes Claude Code start without its first-run questions, for this project only. Keys of an
/// existing state file are kept; a damaged one is replaced.
pub fn seed_home(home: &Path, project: &Path, facts: &Facts) -> Result<(), SeedError> {
    let failed = |verb| move |errno: std::io::Error| SeedError { verb, path: home.join(NAME), errno };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(home, flags, Mode::empty()).map_err(|errno| failed("open")(errno.into()))?;
    let before = read(&directory);
    let mut state = before.clone().unwrap_or_default();
    answer(&mut state, project, facts.variable("ANTHROPIC_API_KEY"));
    if before.as_ref() == Some(&state) {
        return Ok(());
    }
    write(&directory, &Value::Object(state)).map_err(failed("write"))
}

/// The state file, where it is a regular file with a JSON object.
fn read(directory: &OwnedFd) -> Option<Map<String, Value>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, NAME, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut content = Vec::new();
    File::from(fd).take(SIZE_MAX + 1).read_to_end(&mut content).ok()?;
    if content.len() as u64 > SIZE_MAX {
        return None;
    }
    serde_json::from_slice(&content).ok()
}

fn answer(state: &mut Map<String, Value>, project: &Path, key: Option<&str>) {
    state.entry("theme").or_insert_with(|| json!("dark"));
    state.entry("lastOnboardingVersion").or_insert_with(|| json!(VERSION));
    state.insert("hasCompletedOnboarding".into(), json!(true));
    state.insert("bypassPermissionsModeAccepted".into(), json!(true));
    // Claude Code names projects in UTF-8; for another path it asks.
    if let Some(project) = project.to_str() {
        let projects = object(state, "projects");
        object(projects, project).insert("hasTrustDialogAccepted".into(), json!(true));
    }
    if let Some(key) = key {
        let start = key.char_indices().rev().nth(KEY_TAIL - 1).map_or(0, |(index, _)| index);
        let tail = json!(key[start..]);
        let responses = object(state, "customApiKeyResponses");
        match responses.get_mut("approved").and_then(Value::as_array_mut) {
            Some(approved) if approved.contains(&tail) => {}
            Some(approved) => approved.push(tail),
            None => drop(responses.insert("approved".into(), json!([tail]))),
        }
    }
}

/// The object under this key; whatever else is there gives way to it.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = parent.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("made an object above"),
    }
}

fn write(directory: &OwnedFd, state: &Value) -> std::io::Result<()> {
    let staged = format!("{NAME}.rcc-{}", std::process::id());
    let written =
        stage(directory, &staged, state).and_then(|()| Ok(rustix::fs::renameat(directory, &staged, directory, NAME)?));
    if written.is_err() {
        // The cause matters more than what cleaning up meets.
        let _ = rustix::fs::unlinkat(directory, &staged, AtFlags::empty());
    }
    written
}

fn stage(directory: &OwnedFd, staged: &str, state: &Value) -> std::io::Result<()> {
    match rustix::fs::unlinkat(directory, staged, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(directory, staged, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(&serde_json::to_vec_pretty(state)?)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use std::os::unix::fs::symlink;

    const PROJECT: &str = "/src/project";

    fn seed(home: &Path, variables: &[(&str, &str)]) -> Result<Value, SeedError> {
        seed_home(home, Path::new(PROJECT), &fixture::facts(home, variables))?;
        Ok(serde_json::from_slice(&std::fs::read(home.join(NAME)).unwrap()).unwrap())
    }

    #[test]
    fn a_new_home_trusts_this_project_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        let state = seed(home.path(), &[("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdefghij")]).unwrap();
        assert_eq!(state["hasCompletedOnboarding"], true);
        assert_eq!(state["projects"], json!({ PROJECT: { "hasTrustDialogAccepted": true } }));
        assert_eq!(state["customApiKeyResponses"]["approved"], json!(["0123456789abcdefghij"]));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn short_and_multibyte_keys_do_no_harm() {
        let home = tempfile::tempdir().unwrap();
        for key in ["", "k", "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}"] {
            let state = seed(home.path(), &[("ANTHROPIC_API_KEY", key)]).unwrap();
            assert!(state["customApiKeyResponses"]["approved"].as_array().unwrap().contains(&json!(key)));
        }
    }

    #[test]
    fn existing_keys_are_kept_and_a_second_seeding_writes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let old =
            json!({ "theme": "light", "numStartups": 7, "projects": { PROJECT: { "allowedTools": ["x"] }, "/o": {} } });
        std::fs::write(home.path().join(NAME), old.to_string()).unwrap();
        let state = seed(home.path(), &[]).unwrap();
        assert_eq!((&state["theme"], &state["numStartups"]), (&json!("light"), &json!(7)));
        assert_eq!(state["projects"][PROJECT]["allowedTools"], json!(["x"]));
        assert_eq!(state["projects"]["/o"], json!({}));
        let written = std::fs::metadata(home.path().join(NAME)).unwrap().modified().unwrap();
        seed(home.path(), &[]).unwrap();
        assert_eq!(std::fs::metadata(home.path().join(NAME)).unwrap().modified().unwrap(), written);
    }

    #[test]
    fn damaged_state_is_replaced() {
        let nested = "[".repeat(100_000);
        for damaged in ["", "{", "[]", "null", "\u{0}", &nested, "{\"projects\":[],\"customApiKeyResponses\":3}"] {
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join(NAME), damaged).unwrap();
            let state = seed(home.path(), &[("ANTHROPIC_API_KEY", "key")]).unwrap();
            assert_eq!(state["projects"][PROJECT]["hasTrustDialogAccepted"], true, "{damaged:.20}");
        }
    }

    #[test]
    fn an_agents_links_and_fifos_are_replaced_not_followed() {
        let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret.json");
        std::fs::write(&secret, "{\"secret\":1}").unwrap();
        symlink(&secret, home.path().join(NAME)).unwrap();
        symlink(&secret, home.path().join(format!("{NAME}.rcc-{}", std::process::id()))).unwrap();
        let state = seed(home.path(), &[]).unwrap();
        assert_eq!(state.get("secret"), None);
        assert_eq!(std::fs::read(&secret).unwrap(), b"{\"secret\":1}");
        let link = outside.path().join("home");
        symlink(home.path(), &link).unwrap();
        seed(&link, &[]).unwrap_err();
        std::fs::remove_file(home.path().join(NAME)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(home.path().join(NAME)).status().unwrap().success());
        seed(home.path(), &[]).unwrap();
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_and_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(NAME)).unwrap();
        seed_home(home.path(), Path::new(PROJECT), &fixture::facts(home.path(), &[])).unwrap_err();
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
