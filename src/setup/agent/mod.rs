//! Claude Code for sandboxes: where its program is, what it gets from the host, and what its
//! private home must say before the first run.

mod fetch;
mod find;
#[cfg(target_os = "linux")]
mod outside;
mod package;
#[cfg(target_os = "linux")]
mod relay;
mod seed;

pub use fetch::{FetchError, install};
pub use find::{Agent, find, named};
#[cfg(target_os = "linux")]
pub use outside::{brings_key, keep_key_outside};
#[cfg(target_os = "linux")]
pub use relay::{Wiring, wire};
pub use seed::{SeedError, seed_home};

use crate::facts::Facts;
use crate::settings::Environment;
use std::ffi::{OsStr, OsString};

/// The version of Claude Code that rcc installs and is tested with.
pub const VERSION: &str = "2.1.330";

/// Variables that Claude Code needs from the caller where they are set: whom it speaks for and
/// which model it uses. Nothing of another tool's.
const PASS: [&str; 17] = [
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
    "ANTHROPIC_UNIX_SOCKET",
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

/// The same as [`NOTE`] from a file; Claude Code takes one of them.
const NOTE_FILE: &str = "--append-system-prompt-file";
/// Adds to what the agent is told before everything else (`claude --help`).
const NOTE: &str = "--append-system-prompt";
/// Options that only print something.
const PRINTS: [&str; 4] = ["--help", "--version", "-h", "-v"];

/// The arguments of Claude Code: full permissions, since the sandbox is what confines it, unless
/// the user's own arguments say otherwise or run a subcommand; and a note on what the network
/// allows, behind the user's own if there is one.
pub fn arguments(typed: &[OsString], note: &str) -> Vec<OsString> {
    if is_subcommand(typed) {
        return typed.to_vec();
    }
    let names = option_names(typed);
    let has = |list: &[&str]| names.iter().any(|name| list.contains(name));
    let mut arguments = Vec::with_capacity(typed.len() + 3);
    if !has(&OWN_WORD) {
        arguments.push("--dangerously-skip-permissions".into());
    }
    if has(&PRINTS) || has(&[NOTE_FILE]) {
        arguments.extend_from_slice(typed);
    } else if has(&[NOTE]) {
        arguments.extend(with_note(typed, note));
    } else {
        arguments.extend([NOTE.into(), note.into()]);
        arguments.extend_from_slice(typed);
    }
    arguments
}

fn is_subcommand(typed: &[OsString]) -> bool {
    typed.first().and_then(|first| first.to_str()).is_some_and(|first| SUBCOMMANDS.contains(&first))
}

/// The options that were typed, without values that are assigned to them.
fn option_names(typed: &[OsString]) -> Vec<&str> {
    let options = typed.iter().take_while(|argument| *argument != "--").filter_map(|argument| argument.to_str());
    options.map(|option| option.split_once('=').map_or(option, |(name, _)| name)).collect()
}

/// The user's own note goes first.
fn with_note(typed: &[OsString], note: &str) -> Vec<OsString> {
    let mut arguments = typed.to_vec();
    let options = typed.iter().take_while(|argument| *argument != "--").count();
    let assigned = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"--append-system-prompt=");
    // The last one is what Claude Code takes.
    let last = arguments[..options].iter().rposition(|argument| argument == NOTE || assigned(argument));
    let text = last.map(|at| if assigned(&arguments[at]) { at } else { at + 1 });
    // Without a text it is the user's mistake, which Claude Code explains.
    if let Some(text) = text.and_then(|at| arguments.get_mut(at)) {
        text.push("\n\n");
        text.push(note);
    }
    arguments
}

#[cfg(test)]
pub(crate) mod fixture {
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

    fn with(typed: &[&str]) -> Vec<String> {
        let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
        arguments(&typed, "N").into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    fn prepended(typed: &[&str]) -> bool {
        let arguments = with(typed);
        assert!(arguments.ends_with(&typed.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()));
        arguments[0] == "--dangerously-skip-permissions" && typed.first() != Some(&"--dangerously-skip-permissions")
    }

    #[test]
    fn the_note_is_added_to_the_users_own_and_overrides_none() {
        let skip = "--dangerously-skip-permissions";
        for (typed, expected) in [
            (&["-p", "x"][..], &[skip, NOTE, "N", "-p", "x"][..]),
            (&[NOTE, "mine", "-p", "x"], &[skip, NOTE, "mine\n\nN", "-p", "x"]),
            (&["--append-system-prompt=mine"], &[skip, "--append-system-prompt=mine\n\nN"]),
            (&[NOTE, "one", NOTE, "two"], &[skip, NOTE, "one", NOTE, "two\n\nN"]),
            (&[NOTE], &[skip, NOTE]),
            (&[NOTE_FILE, "f"], &[skip, NOTE_FILE, "f"]),
            (&["--permission-mode", "plan"], &[NOTE, "N", "--permission-mode", "plan"]),
            (&["--", NOTE, "x"], &[skip, NOTE, "N", "--", NOTE, "x"]),
            (&["mcp", "list"], &["mcp", "list"]),
            (&["--version"], &["--version"]),
        ] {
            assert_eq!(with(typed), expected, "{typed:?}");
        }
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
