//! Whether a call may be.

use super::call::{Call, Given, read, rules};
use super::refusal::{Refusal, word as shown};
use super::{Commands, Grammar, Rules};
use crate::plugin::manifest::pattern::Pattern;

/// Commands that a refusal lists.
const LISTED_MAX: usize = 12;

/// Whether the tool may be called with these arguments. They are read as the tool reads them; whatever it could
/// read in another way is refused.
///
/// # Errors
/// Why not, and what to write instead.
pub fn decide(grammar: &Grammar, args: &[String]) -> Result<(), Refusal> {
    let call = read(grammar, args)?;
    if let Some(commands) = &grammar.commands {
        command(commands, &call)?;
    }
    let rules: Vec<&Rules> = rules(grammar, &call.command).collect();
    for given in &call.options {
        option(&rules, given)?;
    }
    for operand in &call.operands {
        self::operand(&rules, operand)?;
    }
    uncertain(grammar, &rules, &call)
}

fn command(commands: &Commands, call: &Call<'_>) -> Result<(), Refusal> {
    let command = &call.command;
    if command.0.is_empty() {
        return if commands.bare { Ok(()) } else { Err(Refusal::NoCommand) };
    }
    let refused = |instead: String| Refusal::Command { command: shown(&command.to_string()), instead };
    let complete = commands.abbreviated && commands.allowed.is_none();
    if commands.blocked.iter().any(|blocked| blocked.could_be(command, complete)) {
        return Err(refused("the manifest blocks it".to_owned()));
    }
    let Some(allowed) = &commands.allowed else { return Ok(()) };
    if allowed.iter().any(|allowed| allowed.covers(command)) {
        return Ok(());
    }
    let begins = |wanted: &&super::Command| {
        let (wanted, given) = (wanted.to_string(), command.to_string());
        given.len() > 1 && wanted.starts_with(&given)
    };
    if let Some(name) = allowed.iter().find(begins).filter(|_| !call.is_group) {
        return Err(refused(format!("write it in full: `{name}`")));
    }
    let same = |of: &&super::Command| of.0.first() == command.0.first();
    let near: Vec<String> = allowed.iter().filter(same).map(|of| format!("`{of}`")).collect();
    let all = || allowed.iter().map(|of| format!("`{of}`")).collect();
    let names: Vec<String> = if near.is_empty() { all() } else { near };
    let more = if names.len() > LISTED_MAX { " and more, which the manifest lists" } else { "" };
    Err(refused(format!("allowed are {}{more}", names[..names.len().min(LISTED_MAX)].join(", "))))
}

fn option(rules: &[&Rules], given: &Given<'_>) -> Result<(), Refusal> {
    let Given { name, option: Some(option), value } = given else { return Ok(()) };
    let refused = || Refusal::Option { option: shown(name) };
    if rules.iter().any(|rules| rules.blocked.iter().any(|blocked| option.is_called(blocked))) {
        return Err(refused());
    }
    let mut lists = rules.iter().filter_map(|rules| rules.allowed.as_ref()).peekable();
    if lists.peek().is_some() && !lists.flatten().any(|allowed| option.is_called(allowed)) {
        return Err(refused());
    }
    let value = value.unwrap_or_default();
    for (_, patterns) in rules.iter().flat_map(|rules| &rules.allowed_values).filter(|(of, _)| option.is_called(of)) {
        if !any(patterns, value) {
            let instead = format!("; allowed are {}", listed(patterns));
            return Err(Refusal::Value { option: shown(name), value: shown(value), instead });
        }
    }
    let mut blocked = rules.iter().flat_map(|rules| &rules.blocked_values);
    if blocked.any(|(of, pattern)| option.is_called(of) && pattern.matches(value)) {
        return Err(Refusal::Value {
            option: shown(name),
            value: shown(value),
            instead: "; choose another".to_owned(),
        });
    }
    Ok(())
}

fn operand(rules: &[&Rules], operand: &str) -> Result<(), Refusal> {
    let refused = |instead| Err(Refusal::Operand { operand: shown(operand), instead });
    if rules.iter().any(|rules| any(&rules.blocked_operands, operand)) {
        return refused("; write another".to_owned());
    }
    for allowed in rules.iter().filter_map(|rules| rules.allowed_operands.as_ref()) {
        if !any(allowed, operand) {
            return refused(format!("; allowed are {}", listed(allowed)));
        }
    }
    Ok(())
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

fn listed(patterns: &[Pattern]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

/// Words of which it is not known what they are: none of them may be what a rule is about, in whichever way the
/// tool could read it.
fn uncertain(grammar: &Grammar, rules: &[&Rules], call: &Call<'_>) -> Result<(), Refusal> {
    let Some(first) = call.uncertain.first() else { return Ok(()) };
    let refused = |word: &str| {
        let instead = format!("behind `{}`, which no list of the manifest has, leave it out", shown(first));
        Err(Refusal::Uncertain { word: shown(word), instead })
    };
    let of_operands = rules.iter().any(|rules| rules.allowed_operands.is_some() || !rules.blocked_operands.is_empty());
    if rules.iter().any(|rules| rules.allowed.is_some()) {
        return Err(Refusal::Option { option: shown(first) });
    }
    let ruled: Vec<String> = ruled(rules);
    for word in call.uncertain {
        if word.contains('\0') {
            return Err(Refusal::Nul);
        }
        let dash = word.len() > 1 && word.starts_with('-');
        let suspect = if dash { ruled.iter().any(|name| looks_like(word, name)) } else { of_operands };
        let of_file = grammar.response_files && word.starts_with('@');
        if suspect || of_file || (dash && of_operands && word != first) {
            return refused(word);
        }
    }
    Ok(())
}

/// Every way to write an option that a rule is about.
fn ruled(rules: &[&Rules]) -> Vec<String> {
    let of_rules = |rules: &&Rules| {
        let values = rules.allowed_values.iter().map(|(name, _)| name);
        let blocked_values = rules.blocked_values.iter().map(|(name, _)| name);
        rules.blocked.iter().chain(values).chain(blocked_values).cloned().collect::<Vec<_>>()
    };
    let mut names: Vec<String> = rules.iter().flat_map(of_rules).collect();
    let others = rules.iter().flat_map(|rules| &rules.options);
    let others = others.filter(|option| option.names.iter().any(|name| names.contains(name)));
    let others: Vec<String> = others.flat_map(|option| option.names.clone()).collect();
    names.extend(others);
    names
}

/// Whether a tool could take the word for this option: abbreviated, negated, in another case, among other letters.
fn looks_like(word: &str, name: &str) -> bool {
    let plain = |text: &str| {
        let text = text.trim_start_matches('-').split('=').next().unwrap_or_default().to_ascii_lowercase();
        text.trim_start_matches("no-").replace('_', "-")
    };
    let letter = name.strip_prefix('-').filter(|letter| letter.chars().count() == 1);
    let among = letter.is_some_and(|letter| !word.starts_with("--") && word.contains(letter));
    let (word, name) = (plain(word), plain(name));
    among || word.is_empty() || name.starts_with(&word)
}
