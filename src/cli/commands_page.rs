//! `docs/commands.md`, made from the command line's own definition.

use crate::golden::assert_golden;
use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

const HEAD: &str = "\
# Commands

Every command with every option, as `--help` tells them. The exit status is 0 where all went well, and 125 where rcc
itself failed or refused; `rcc run`, `shell` and `claude` end with the command's own status, with 126 or 127 if it
could not be run or found, and with 128 and N if signal N ended it. 2 means that the command line was wrong.
";

#[test]
fn the_page_of_commands_is_what_the_command_line_says() {
    let mut command = super::Arguments::command();
    command.build();
    let mut page = HEAD.to_owned();
    describe(&command, &mut page);
    assert_golden("docs/commands.md", &page);
}

/// The commands that do something, in the order of the help.
fn describe(command: &Command, page: &mut String) {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        if !inner.is_subcommand_required_set() {
            *page += &section(inner);
        }
        describe(inner, page);
    }
}

fn section(command: &Command) -> String {
    let name = command.get_bin_name().expect("the command was built");
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let about = text(command.get_long_about().or(command.get_about()));
    let mut section = format!("\n## `{name}`\n\n{about}\n\n```text\n{usage}\n```\n");
    let arguments = command.get_arguments().filter(|it| !it.is_hide_set() && it.get_id() != "help");
    let lines: Vec<String> = arguments.map(line).collect();
    if !lines.is_empty() {
        section += &format!("\n{}", lines.concat());
    }
    section
}

fn line(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default().join(" ");
    let values = if argument.get_action().takes_values() { values } else { String::new() };
    let name = match argument.get_long() {
        Some(long) => format!("--{long} {values}"),
        None => values,
    };
    let short = argument.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    let mut line =
        format!("- `{short}{}`: {}", name.trim_end(), text(argument.get_long_help().or(argument.get_help())));
    let possible = argument.get_possible_values();
    if argument.get_action().takes_values() && !possible.is_empty() {
        let names: Vec<String> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        line += &format!(" ({})", names.join(", "));
    }
    for default in argument.get_default_values().iter().filter(|_| argument.get_action().takes_values()) {
        line += &format!("; default `{}`", default.to_string_lossy());
    }
    line + "\n"
}

fn text(help: Option<&StyledStr>) -> String {
    help.expect("everything is described").to_string()
}
