//! Why a call is refused, and what to write instead.

use crate::shown;

/// Characters of a word of a call that are shown.
const SHOWN_MAX: usize = 60;

/// Why a call is refused, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not one of those that may be.
    #[error("the command `{command}` is not allowed; {instead}")]
    Command {
        /// As it was read.
        command: String,
        /// What may be, or how to write it.
        instead: String,
    },
    /// There is none.
    #[error("there is no command; name one of those that the manifest allows")]
    NoCommand,
    /// What stands before the command could be read in several ways.
    #[error("`{word}` stands before the command, where it is not certain what it means; write it behind the command")]
    BeforeCommand {
        /// The word.
        word: String,
    },
    /// No list has it.
    #[error("the option `{option}` is not one that the manifest knows; {instead}")]
    Unlisted {
        /// As it was written.
        option: String,
        /// A way to write it.
        instead: String,
    },
    /// A list has it, and not as one that may be.
    #[error("the option `{option}` is not allowed here; leave it out")]
    Option {
        /// As it was written.
        option: String,
    },
    /// One that could be read in several ways.
    #[error("`{word}` can be read in several ways; {instead}")]
    Uncertain {
        /// The word.
        word: String,
        /// A way that can't.
        instead: String,
    },
    /// The option may be, with another value.
    #[error("the option `{option}` is not allowed with the value `{value}`{instead}")]
    Value {
        /// As it was written.
        option: String,
        /// Its value.
        value: String,
        /// What may be.
        instead: String,
    },
    /// The value is missing.
    #[error("the option `{option}` takes a value, and there is none; write one behind it")]
    NoValue {
        /// As it was written.
        option: String,
    },
    /// A word that is no option.
    #[error("the argument `{operand}` is not allowed here{instead}")]
    Operand {
        /// The word.
        operand: String,
        /// What may be.
        instead: String,
    },
    /// NUL ends a string (execve(2)).
    #[error("an argument holds a NUL, which no program can be given; leave it out")]
    Nul,
}

/// A word of a call for a message: the agent chose it.
pub(super) fn word(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", shown::text(&cut))
}
