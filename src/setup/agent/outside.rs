//! Claude Code without the key of its API, which a plugin has.

use crate::plugin::kit::Variable;
use crate::plugin::name::ToolName;
use crate::plugin::place::{INSIDE, socket_name};
use std::collections::BTreeSet;
use std::path::Path;

/// The plugin's name.
pub const PLUGIN: &str = "anthropic";
/// What Claude Code has for a key. It is nobody's.
pub const PLACEHOLDER: &str = "sk-ant-rcc-the-plugin-adds-the-real-key";

/// Variables that lead it to the plugin, where there is one, and keep what it could sign in with out of the sandbox.
pub fn without_key(upstreams: &BTreeSet<ToolName>) -> Vec<Variable> {
    let Some(plugin) = upstreams.iter().find(|name| name.as_str() == PLUGIN) else { return Vec::new() };
    let socket = Path::new(INSIDE).join(socket_name(plugin));
    vec![
        ("ANTHROPIC_API_KEY", Some(PLACEHOLDER.to_owned())),
        ("ANTHROPIC_AUTH_TOKEN", None),
        // The socket takes plain HTTP; with https:// the client would speak TLS over it.
        ("ANTHROPIC_BASE_URL", Some("http://api.anthropic.com".to_owned())),
        ("ANTHROPIC_CUSTOM_HEADERS", None),
        ("ANTHROPIC_UNIX_SOCKET", Some(socket.to_string_lossy().into_owned())),
        ("CLAUDE_CODE_OAUTH_TOKEN", None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_the_plugin_there_is_no_key_inside_and_without_it_nothing_changes() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        assert!(without_key(&names(&["npm-registry"])).is_empty());
        let variables = without_key(&names(&["anthropic", "npm-registry"]));
        assert!(variables.contains(&("ANTHROPIC_API_KEY", Some(PLACEHOLDER.to_owned()))));
        assert!(variables.contains(&("CLAUDE_CODE_OAUTH_TOKEN", None)));
        let socket = "/run/rcc/plugins/anthropic.sock".to_owned();
        assert!(variables.contains(&("ANTHROPIC_UNIX_SOCKET", Some(socket))));
    }
}
