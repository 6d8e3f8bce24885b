//! How a tool reads its arguments, and which of them may be.
//!
//! A rule about an option is worth what the reading is worth: if the tool takes a word for an option that is taken
//! for a value here, whatever follows is something else to each. So the manifest lists the options, in the tool's
//! own grammar ([`Style`]), and what cannot be read with certainty is refused with a word about how to write it.
//! Names are taken in full only: an abbreviation that a tool would complete is refused, and nothing is lost.

mod call;
mod command;
mod decide;
mod refusal;
#[cfg(test)]
mod tests;

pub use command::{BadCommand, Command};
pub use decide::decide;
pub use refusal::Refusal;

use super::pattern::Pattern;
use std::collections::{BTreeMap, BTreeSet};

/// How a tool reads its arguments, and which of them may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grammar {
    /// How options are written.
    pub style: Style,
    /// What becomes of options that no list of the manifest has.
    pub unlisted: Unlisted,
    /// Whether `-5` is an option of its own that takes no value, with any digits.
    pub numbers: bool,
    /// Whether the tool reads arguments from a file for a word like `@file`. Such words are refused.
    pub response_files: bool,
    /// Its commands; `None` where the first word is an operand like any other.
    pub commands: Option<Commands>,
    /// What holds for each command, and for options before the command.
    pub rules: Rules,
    /// What holds for single commands beside it; the more special ones first.
    pub of_commands: Vec<(Command, Rules)>,
}

/// How a tool's options are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// getopt_long(3), argparse: `--opt=value`, `--opt value`, `-ovalue`, `-abc`. The word behind an option that
    /// takes a value is the value, whatever it looks like.
    #[default]
    Gnu,
    /// pflag of Go (`gh`, `kubectl`): the same, and `-o=value`, `--flag=false`.
    Go,
    /// clap of Rust (`cargo`): the same with `-o=value`; a word that begins with `-` is no value.
    Clap,
    /// nopt of Node (`npm`): `-abc` is one name; `true` and `false` behind a flag are its value; what stands behind
    /// the `=` of a flag is a word of its own.
    Npm,
    /// flag of Go (`terraform`): `-option value` and `--option value` are the same; options end at the first operand.
    Single,
}

/// What becomes of options that no list of the manifest has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// They are refused.
    #[default]
    Refuse,
    /// They pass, and since nobody knows whether they take a value, no word behind them may look like anything that
    /// a rule is about.
    Pass,
}

/// A tool's commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commands {
    /// Commands whose next word is a part of them.
    pub groups: BTreeSet<Command>,
    /// Other names of commands.
    pub aliases: BTreeMap<Command, Command>,
    /// Only these, if given; `*` at the end stands for each that begins so.
    pub allowed: Option<BTreeSet<Command>>,
    /// None of these, and nothing that begins with one of them.
    pub blocked: BTreeSet<Command>,
    /// Whether the tool completes the beginning of a command's name.
    pub abbreviated: bool,
    /// Whether the tool may be called without a command.
    pub bare: bool,
}

/// What holds for the options and operands of some commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The options that the tool has.
    pub options: Vec<Opt>,
    /// Only these options, if given.
    pub allowed: Option<BTreeSet<String>>,
    /// None of these.
    pub blocked: BTreeSet<String>,
    /// Options of which each value is like one of the patterns.
    pub allowed_values: Vec<(String, Vec<Pattern>)>,
    /// Options of which no value is like the pattern.
    pub blocked_values: Vec<(String, Pattern)>,
    /// Each operand is like one of these, if given.
    pub allowed_operands: Option<Vec<Pattern>>,
    /// No operand is like one of these.
    pub blocked_operands: Vec<Pattern>,
}

/// One option of a tool's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Every way to write it, with its dashes: `-R` and `--repo`.
    pub names: Vec<String>,
    /// Whether a value follows.
    pub takes: Takes,
}

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// It has none.
    Nothing,
    /// It has one.
    Value,
    /// It may have one, behind `=`; in [`Style::Clap`] also the next word, if that is no option.
    Perhaps,
}

impl Opt {
    fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }
}
