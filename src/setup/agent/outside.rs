//! Claude Code without the key of its API, which the plugin `anthropic` adds to its requests outside.

use crate::facts::Facts;
use crate::plugin::kit::Kit;
use crate::plugin::place::INSIDE;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

/// The plugin's manifest, and its socket in a session's directory.
const MANIFEST: &str = "anthropic.toml";
const SOCKET: &str = "anthropic.sock";
/// What Claude Code has for a key. It is nobody's.
const PLACEHOLDER: &str = "sk-ant-rcc-the-plugin-adds-the-real-key";
/// What else it could sign in with.
const OTHERS: [&str; 3] = ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_OAUTH_TOKEN"];

/// Where root's manifests have the plugin, takes the key out of what is known of the caller's environment, and leads
/// Claude Code to the plugin. That a session does not get the plugin, by a project's word or a fault, is no reason
/// to give it the key: it goes without.
pub fn keep_key_outside(facts: &mut Facts, manifests: &Path) -> bool {
    let missing = |error: std::io::Error| error.kind() == ErrorKind::NotFound;
    if std::fs::symlink_metadata(manifests.join(MANIFEST)).is_err_and(missing) {
        return false;
    }
    for name in OTHERS {
        facts.environment.remove(OsStr::new(name));
    }
    let socket = Path::new(INSIDE).join(SOCKET);
    for (name, value) in [
        ("ANTHROPIC_API_KEY", OsStr::new(PLACEHOLDER)),
        // The socket takes plain HTTP; with https:// the client would speak TLS over it.
        ("ANTHROPIC_BASE_URL", OsStr::new("http://api.anthropic.com")),
        ("ANTHROPIC_UNIX_SOCKET", socket.as_os_str()),
    ] {
        facts.environment.insert(name.into(), value.into());
    }
    true
}

/// Whether a session has the plugin.
pub fn brings_key(kit: &Kit) -> bool {
    kit.directory.join(SOCKET).exists()
}

#[cfg(test)]
mod tests {
    use super::super::{environment, fixture};
    use super::*;

    #[test]
    fn with_the_plugin_there_is_no_key_inside_and_without_it_nothing_changes() {
        let manifests = tempfile::tempdir().unwrap();
        let set = [("ANTHROPIC_API_KEY", "real"), ("CLAUDE_CODE_OAUTH_TOKEN", "real")];
        let mut facts = fixture::facts(Path::new("/home/alice"), &set);
        assert!(!keep_key_outside(&mut facts, manifests.path()));
        assert_eq!(facts.variable("ANTHROPIC_API_KEY"), Some("real"));
        std::fs::write(manifests.path().join(MANIFEST), "whatever it says").unwrap();
        assert!(keep_key_outside(&mut facts, manifests.path()));
        assert!(!facts.environment.values().any(|value| value == "real"));
        let passed = environment(&facts).pass;
        assert_eq!(passed, ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_UNIX_SOCKET"]);
        assert_eq!(facts.variable("ANTHROPIC_UNIX_SOCKET"), Some("/run/rcc/plugins/anthropic.sock"));
    }
}
