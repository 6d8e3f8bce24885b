//! Claude Code for sandboxes: where its program is, what it gets from the host, and what its
//! private home must say before the first run.

mod fetch;
mod find;
mod package;
mod seed;

pub use fetch::{FetchError, install};
pub use find::{Agent, find, named};
pub use seed::{SeedError, seed_home};

use crate::facts::Facts;
use crate::settings::Environment;
use std::ffi::{OsStr, OsString};

/// The version of Claude Code that rcc installs and is tested with.
pub const VERSION: &str = "2.1.330";

/// Variables that Claude Code needs from the caller where they are set: whom it speaks for and
/// which model it uses. Nothing of another tool's.
const PASS: [&str; 16] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_BETAS",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "BASH_DEFAULT_TIMEOUT_MS",
    "BASH_MAX_TIMEOUT_MS",
    "CLAUDE_CODE_EFFORT_LEVEL",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "MAX_THINKING_TOKENS",
];

/// Variables that are set inside. `IS_SANDBOX` says the truth, and root needs it for
/// `--dangerously-skip-permissions`; the others keep the client to its API and to its version.
const SET: [(&str, &str); 4] = [
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("IS_SANDBOX", "1"),
];

/// Subcommands of Claude Code that run no agent (`claude --help`).
const SUBCOMMANDS: [&str; 22] = [
    "agents",
    "attach",
    "auth",
    "auto-mode",
    "config",
    "doctor",
    "gateway",
    "import",
    "install",
    "kill",
    "logs",
    "mcp",
    "plugin",
    "plugins",
    "purge",
    "respawn",
    "rm",
    "setup-token",
    "stop",
    "ultrareview",
    "update",
    "upgrade",
];

/// Options that settle the permissions by themselves, or run no agent.
const OWN_WORD: [&str; 7] = [
    "--allow-dangerously-skip-permissions",
    "--dangerously-skip-permissions",
    "--help",
    "--permission-mode",
    "--version",
    "-h",
    "-v",
];

/// What Claude Code gets of the caller's environment, and what is set for it.
pub fn environment(facts: &Facts) -> Environment {
    let pass = PASS.iter().filter(|name| facts.environment.contains_key(OsStr::new(name)));
    Environment {
        pass: pass.map(|&name| name.to_owned()).collect(),
        set: SET.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

/// The arguments of Claude Code: full permissions, since the sandbox is what confines it, unless
/// the user's own arguments say otherwise or run a subcommand.
pub fn arguments(typed: &[OsString]) -> Vec<OsString> {
    let options = typed.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str());
    let mut names = options.map(|option| option.split_once('=').map_or(option, |(name, _)| name));
    let subcommand = typed.first().and_then(|first| first.to_str()).is_some_and(|first| SUBCOMMANDS.contains(&first));
    let mut arguments = Vec::with_capacity(typed.len() + 1);
    if !subcommand && !names.any(|name| OWN_WORD.contains(&name)) {
        arguments.push("--dangerously-skip-permissions".into());
    }
    arguments.extend_from_slice(typed);
    arguments
}

#[cfg(test)]
pub(in crate::setup) mod fixture {
    use crate::facts::{Facts, User};
    use std::path::Path;

    /// A user whose home and data directory lie below this directory.
    pub fn facts(home: &Path, variables: &[(&str, &str)]) -> Facts {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Facts {
            user: User { uid, gid, name: "alice".into(), home: home.to_owned() },
            cwd: home.to_owned(),
            environment: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            config_dir: home.join(".config/rcc"),
            data_dir: home.join(".local/share/rcc"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepended(typed: &[&str]) -> bool {
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        let arguments = arguments(&typed);
        assert!(arguments.ends_with(&typed));
        arguments.len() > typed.len()
    }

    #[test]
    fn the_agent_gets_full_permissions_unless_the_user_said_otherwise() {
        for typed in
            [&[][..], &["-p", "fix it"], &["--model", "x"], &["mend the mcp server"], &["-c", "--", "--version"]]
        {
            assert!(prepended(typed), "{typed:?}");
        }
        for typed in [
            &["--permission-mode", "plan"][..],
            &["-p", "x", "--permission-mode=plan"],
            &["--dangerously-skip-permissions"],
            &["mcp", "list"],
            &["--version"],
            &["-h"],
        ] {
            assert!(!prepended(typed), "{typed:?}");
        }
    }

    #[test]
    fn only_named_variables_pass() {
        let home = std::path::Path::new("/home/alice");
        let facts = fixture::facts(home, &[("ANTHROPIC_API_KEY", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("PATH", "/")]);
        let environment = environment(&facts);
        assert_eq!(environment.pass, ["ANTHROPIC_API_KEY"]);
        assert_eq!(environment.set["IS_SANDBOX"], "1");
    }
}
