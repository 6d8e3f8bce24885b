//! The program `rcc-guest`: rcc inside of a sandbox, under whose name it lies there.
//!
//! It starts with every call of a tool, so it is small: it reads its few words by itself, and nothing of what
//! rcc does on the host is in it. It may be linked statically, and asks no name service.

use super::{BY_HOOKS, Delivery, WAIT, git, hook, mcp, ports, tool};
use crate::output;
use crate::plugin::git::inside::REMOTE_HELPER;
use crate::runtime::engine::first;
use std::ffi::OsString;
use std::process::ExitCode;

/// rcc itself failed, or refused, as of the program on the host.
const EXIT_REFUSED: u8 = 125;
/// What is shown where nothing of it was typed.
const USAGE: &str = "what of rcc runs inside of a sandbox; it is started there by the agent's program and by git:\n  \
    rcc guest mcp [--hooks]            serve the relay's tools over MCP, and bring messages into the session\n  \
    rcc guest hook [--hooks] [--wait]  act on one of Claude Code's hooks\n  \
    rcc guest git-hook NAME [WORD...]  tell of the git plugin's rules, as a hook of git's\n  \
    rcc guest ports TOOL=DESCRIPTOR... lead the sandbox's ports to plugins of kind http\n  \
    rcc guest container                be the first process of a container, and run the agent in it";

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Typed {
    /// `guest mcp`.
    Mcp(Delivery),
    /// `guest hook`.
    Hook(Delivery, bool),
    /// `guest git-hook`.
    GitHook(String, Vec<String>),
    /// `guest ports`.
    Ports(Vec<String>),
    /// `guest container`.
    Container,
    /// `--version`.
    Version,
}

impl Typed {
    /// `None` if it is not understood.
    fn parse(words: impl Iterator<Item = OsString>) -> Option<Self> {
        // What git gives to a hook are names of remotes, URLs and paths: one that is no text has no rule.
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let delivery = |by_hooks| if by_hooks { Delivery::Hooks } else { Delivery::Socket };
        let only = |options: &[&str], known: &[&str]| options.iter().all(|option| known.contains(option));
        match words[..] {
            ["--version"] => Some(Self::Version),
            ["guest", "mcp", ref options @ ..] if only(options, &[BY_HOOKS]) => {
                Some(Self::Mcp(delivery(options.contains(&BY_HOOKS))))
            }
            ["guest", "hook", ref options @ ..] if only(options, &[BY_HOOKS, WAIT]) => {
                Some(Self::Hook(delivery(options.contains(&BY_HOOKS)), options.contains(&WAIT)))
            }
            ["guest", "git-hook", name, ref arguments @ ..] => {
                Some(Self::GitHook(name.to_owned(), arguments.iter().map(|&word| word.to_owned()).collect()))
            }
            ["guest", "ports", ref sockets @ ..] if !sockets.is_empty() => {
                Some(Self::Ports(sockets.iter().map(|&word| word.to_owned()).collect()))
            }
            ["guest", "container"] => Some(Self::Container),
            _ => None,
        }
    }
}

/// Runs the program: a tool's wrapper under that tool's name, git's remote helper under its own, else what is typed.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    if let Some(tool) = tool::called(name.as_ref()) {
        return if tool.as_str() == REMOTE_HELPER { git::remote::run(arguments) } else { tool::run(tool, arguments) };
    }
    match Typed::parse(arguments) {
        Some(Typed::Mcp(delivery)) => match mcp::run(delivery) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                output::tell_line(format_args!("rcc: {error}"));
                ExitCode::from(EXIT_REFUSED)
            }
        },
        Some(Typed::Hook(delivery, wait)) => hook::run(delivery, wait),
        Some(Typed::GitHook(name, arguments)) => git::hook::run(&name, &arguments),
        Some(Typed::Ports(sockets)) => ports::run(&sockets),
        Some(Typed::Container) => ExitCode::from(first::run()),
        Some(Typed::Version) => match output::print(concat!("rcc-guest ", env!("CARGO_PKG_VERSION"), "\n")) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(EXIT_REFUSED),
        },
        None => {
            output::tell_line(USAGE);
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Typed> {
        Typed::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_the_agents_program_and_git_are_told_to_run_is_understood() {
        assert_eq!(parsed(&["guest", "mcp"]), Some(Typed::Mcp(Delivery::Socket)));
        assert_eq!(parsed(&["guest", "mcp", BY_HOOKS]), Some(Typed::Mcp(Delivery::Hooks)));
        assert_eq!(parsed(&["guest", "hook"]), Some(Typed::Hook(Delivery::Socket, false)));
        assert_eq!(parsed(&["guest", "hook", BY_HOOKS, WAIT]), Some(Typed::Hook(Delivery::Hooks, true)));
        let hook = Typed::GitHook("pre-push".into(), vec!["origin".into(), "--wait".into()]);
        assert_eq!(parsed(&["guest", "git-hook", "pre-push", "origin", "--wait"]), Some(hook));
        assert_eq!(parsed(&["guest", "ports", "api=3"]), Some(Typed::Ports(vec!["api=3".into()])));
        assert_eq!(parsed(&["guest", "container"]), Some(Typed::Container));
        assert_eq!(parsed(&["--version"]), Some(Typed::Version));
    }

    #[test]
    fn what_is_done_on_the_host_is_not_done_here() {
        for words in [
            &[][..],
            &["run"],
            &["guest"],
            &["guest", "mcp", WAIT],
            &["guest", "git-hook"],
            &["guest", "ports"],
            &["guest", "x"],
        ] {
            assert_eq!(parsed(words), None, "{words:?}");
        }
    }
}
