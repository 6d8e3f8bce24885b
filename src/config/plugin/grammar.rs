//! `[commands]`, `[options]` and `[command."…"]`: how a tool reads its arguments, and which of them may be.

use super::super::reader::{Table, Value};
use super::list;
use crate::plugin::manifest::Grammar;
use crate::plugin::manifest::grammar::{BadCommand, Command, Commands, Opt, Rules, Style, Takes, Unlisted};
use crate::plugin::manifest::pattern::Pattern;
use std::collections::{BTreeMap, BTreeSet};

/// Commands with rules of their own.
const COMMANDS_MAX: usize = 256;
/// Names of one option.
const NAMES_MAX: usize = 8;

/// Takes the three of them.
pub(super) fn take(file: &mut Table<'_, '_>) -> Grammar {
    let mut grammar = Grammar::default();
    file.section("options", |table| {
        grammar.style = table.take("style", |value| value.parse("a style of options", style)).unwrap_or_default();
        grammar.unlisted =
            table.take("unlisted", |value| value.parse("what becomes of them", unlisted)).unwrap_or_default();
        grammar.numbers = table.take("numbers", |value| value.boolean()).unwrap_or(false);
        let of_style = matches!(grammar.style, Style::Gnu | Style::Single);
        grammar.response_files = table.take("response_files", |value| value.boolean()).unwrap_or(of_style);
        grammar.rules = rules(table, &grammar);
    });
    let style = grammar.style;
    grammar.commands = file.take("commands", |value| {
        let mut table = value.table()?;
        let commands = commands(&mut table, style);
        table.finish();
        Some(commands)
    });
    file.take("command", |value| {
        value.table()?.each(|name, value| {
            if grammar.of_commands.len() == COMMANDS_MAX {
                let allowed = format_args!("at most {COMMANDS_MAX}; `*` stands for many");
                value.error("too many commands have rules of their own", allowed);
            } else {
                let command = of_command(name, value, &grammar);
                grammar.of_commands.extend(command);
            }
        });
        Some(())
    });
    // The more special ones first.
    grammar.of_commands.sort_by_key(|(command, _)| (command.is_several(), command.clone()));
    if !grammar.of_commands.is_empty() && grammar.commands.is_none() {
        file.error(
            "the tool has commands, and `commands` is missing",
            "say which may be: [commands] with allowed = […]",
        );
    }
    if let Some(commands) = &mut grammar.commands {
        commands.groups.extend(grammar.of_commands.iter().flat_map(|(command, _)| command.groups()));
    }
    grammar
}

/// A rule about an option that no list has is a rule about nothing, most likely misspelt. Where unlisted options pass,
/// it may be about one of those.
fn unknown_names(table: &Table<'_, '_>, inherited: &[Opt], rules: &Rules, unlisted: Unlisted) {
    let known: BTreeSet<&String> = inherited.iter().chain(&rules.options).flat_map(|option| &option.names).collect();
    let values = rules.allowed_values.iter().map(|(name, _)| name);
    let values = values.chain(rules.blocked_values.iter().map(|(name, _)| name));
    let of_listed = rules.blocked.iter().chain(values).filter(|_| unlisted == Unlisted::Refuse);
    for name in of_listed.chain(rules.allowed.iter().flatten()).filter(|name| !known.contains(name)) {
        let message = format_args!("there is a rule about {name}, which no list of options has");
        table.error(message, "write it into flags, values or optional, or take the rule out");
    }
}

fn style(text: &str) -> Result<Style, &'static str> {
    match text {
        "gnu" => Ok(Style::Gnu),
        "go" => Ok(Style::Go),
        "clap" => Ok(Style::Clap),
        "npm" => Ok(Style::Npm),
        "single" => Ok(Style::Single),
        _ => Err("expected \"gnu\" (getopt_long, argparse), \"go\" (pflag), \"clap\", \"npm\" (nopt) or \"single\" \
                  (-option, as flag of Go)"),
    }
}

fn unlisted(text: &str) -> Result<Unlisted, &'static str> {
    match text {
        "refuse" => Ok(Unlisted::Refuse),
        "pass" => Ok(Unlisted::Pass),
        _ => Err("expected \"refuse\", or \"pass\" (and nothing behind one may look like what a rule is about)"),
    }
}

fn commands(table: &mut Table<'_, '_>, style: Style) -> Commands {
    let has_allowed = table.has("allowed");
    let allowed = table.take("allowed", set);
    let blocked = table.take("blocked", set).unwrap_or_default();
    let groups = table.take("groups", set).unwrap_or_default();
    let mut aliases = BTreeMap::new();
    table.take("aliases", |value| {
        value.table()?.each(|name, value| aliases.extend(alias(name, &value)));
        Some(())
    });
    let mut commands = Commands {
        allowed: if has_allowed { Some(allowed.unwrap_or_default()) } else { None },
        abbreviated: table.take("abbreviated", |value| value.boolean()).unwrap_or(style == Style::Npm),
        bare: table.take("bare", |value| value.boolean()).unwrap_or(false),
        blocked,
        groups,
        aliases,
    };
    if commands.allowed.is_none() && commands.blocked.is_empty() {
        table.error("every command may be", "name those that may, allowed = […], or those that may not, blocked = […]");
    }
    let named = commands.allowed.iter().flatten().chain(&commands.blocked);
    let named = named.chain(commands.aliases.keys()).chain(commands.aliases.values()).chain(&commands.groups);
    let derived: Vec<Command> = named.flat_map(Command::groups).collect();
    commands.groups.extend(derived);
    commands
}

/// A set of commands of which every element is good.
fn set(value: Value<'_, '_>) -> Option<BTreeSet<Command>> {
    let commands = list(value, "a list of commands like [\"pr create\", \"pr view\"]", |item| {
        item.parse("a command", |text| -> Result<Command, BadCommand> { text.parse() })
    })?;
    Some(commands.into_iter().collect())
}

fn alias(name: &str, value: &Value<'_, '_>) -> Option<(Command, Command)> {
    let from = match name.parse::<Command>() {
        Ok(command) if !command.is_several() => command,
        _ => {
            value.error("not another name of a command", BadCommand);
            return None;
        }
    };
    let to: Command = value.parse("a command", str::parse)?;
    if to.is_several() {
        value.error("this stands for several commands", "write the one that is meant");
        return None;
    }
    Some((from, to))
}

fn of_command(name: &str, value: Value<'_, '_>, grammar: &Grammar) -> Option<(Command, Rules)> {
    let command = match name.parse::<Command>() {
        Ok(command) => command,
        Err(reason) => {
            value.error("not a command", reason);
            return None;
        }
    };
    let mut table = value.table()?;
    let rules = rules(&mut table, grammar);
    table.finish();
    Some((command, rules))
}

/// The keys that `[options]` and each command's section share; a command has the options of all commands, too.
fn rules(table: &mut Table<'_, '_>, grammar: &Grammar) -> Rules {
    let style = grammar.style;
    let mut options = Vec::new();
    for (key, takes) in [("flags", Takes::Nothing), ("values", Takes::Value), ("optional", Takes::Perhaps)] {
        let list = table.take(key, |value| {
            list(value, "a list of options like [\"-R, --repo\"]", |item| {
                let names = item.parse("an option", |text| names(text, style))?;
                Some(Opt { names, takes })
            })
        });
        options.extend(list.unwrap_or_default());
    }
    let mut seen = BTreeSet::new();
    for name in options.iter().flat_map(|option| &option.names) {
        if !seen.insert(name) {
            table.error(format_args!("the option {name} is listed twice"), "one entry says whether it takes a value");
        }
    }
    let has_allowed = table.has("allowed");
    let allowed = table.take("allowed", |value| named(value, style));
    let has_operands = table.has("allowed_operands");
    let allowed_operands = table.take("allowed_operands", patterns);
    let blocked = table.take("blocked", |value| named(value, style)).unwrap_or_default();
    let mut allowed_values = Vec::new();
    table.take("allowed_values", |value| {
        value.table()?.each(|name, value| allowed_values.extend(of_option(name, value, style)));
        Some(())
    });
    let blocked_values = table.take("blocked_values", |value| {
        list(value, "a list like [\"--config=alias.*\"]", |item| {
            item.parse("an option with a value", |text| pair(text, style))
        })
    });
    let rules = Rules {
        options,
        allowed: if has_allowed { Some(allowed.unwrap_or_default()) } else { None },
        blocked,
        allowed_values,
        blocked_values: blocked_values.unwrap_or_default(),
        allowed_operands: if has_operands { Some(allowed_operands.unwrap_or_default()) } else { None },
        blocked_operands: table.take("blocked_operands", patterns).unwrap_or_default(),
    };
    unknown_names(table, &grammar.rules.options, &rules, grammar.unlisted);
    rules
}

fn named(value: Value<'_, '_>, style: Style) -> Option<BTreeSet<String>> {
    let names =
        list(value, "a list of options like [\"--web\"]", |item| item.parse("an option", |text| one(text, style)))?;
    Some(names.into_iter().collect())
}

fn patterns(value: Value<'_, '_>) -> Option<Vec<Pattern>> {
    list(value, "a list of patterns like [\"repos/*\"]", |item| item.parse("a pattern", str::parse))
}

fn of_option(name: &str, value: Value<'_, '_>, style: Style) -> Option<(String, Vec<Pattern>)> {
    match one(name, style) {
        Ok(name) => Some((name, patterns(value)?)),
        Err(reason) => {
            value.error("not an option", reason);
            None
        }
    }
}

/// `--opt=pattern`.
fn pair(text: &str, style: Style) -> Result<(String, Pattern), String> {
    let (name, pattern) = text.split_once('=').ok_or("write OPTION=PATTERN, like \"--config=alias.*\"")?;
    Ok((
        one(name, style)?,
        pattern.parse().map_err(|reason: crate::plugin::manifest::pattern::BadPattern| reason.to_string())?,
    ))
}

/// Every way to write one option, with commas between them.
fn names(text: &str, style: Style) -> Result<Vec<String>, String> {
    let names: Result<Vec<String>, String> = text.split(',').map(|name| one(name.trim(), style)).collect();
    let names = names?;
    if names.len() <= NAMES_MAX { Ok(names) } else { Err(format!("an option has at most {NAMES_MAX} names")) }
}

fn one(name: &str, style: Style) -> Result<String, String> {
    let of_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+?".contains(&byte);
    let rest = name.strip_prefix("--").or_else(|| name.strip_prefix('-')).unwrap_or_default();
    let plain = (1..=64).contains(&rest.len()) && !rest.starts_with('-') && rest.bytes().all(of_names);
    let short = !name.starts_with("--");
    let fits = match style {
        Style::Gnu | Style::Go | Style::Clap => !short || rest.len() == 1,
        Style::Npm => true,
        Style::Single => short,
    };
    match (plain && name.starts_with('-'), fits) {
        (true, true) => Ok(name.to_owned()),
        (true, false) if style == Style::Single => Err(format!("options of this style have one dash: -{rest}")),
        (true, false) => Err(format!("an option of several letters has two dashes in this style: --{rest}")),
        (false, _) => Err("write an option with its dashes and without its value, like \"-R, --repo\"".to_owned()),
    }
}
