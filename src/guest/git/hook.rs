//! The hooks of repositories that were made inside (githooks(5)): they say what the broker would say, before
//! anything is sent or even committed.

use super::plugins;
use crate::output;
use crate::plugin::git::inside::RULES_FILE;
use crate::plugin::git::rules::{Facts, Rules, Update};
use crate::plugin::manifest::PushRules;
use std::io::BufRead;
use std::process::{Command, ExitCode, Stdio};

/// Runs a hook by its name. Without rules, or where something is not understood, it objects to nothing: the broker
/// does.
pub fn run(name: &str, arguments: &[String]) -> ExitCode {
    let Some(rules) = rules() else { return ExitCode::SUCCESS };
    let objections = match (name, arguments) {
        ("pre-push", [_, url]) if url.starts_with("rcc::") || url.is_empty() => pre_push(&rules),
        ("commit-msg", [path]) => of_the_message(&rules, path).into_iter().collect(),
        ("pre-commit", _) => of_the_people(&rules),
        _ => Vec::new(),
    };
    for objection in &objections {
        output::tell_line(format_args!("rcc: {objection}"));
    }
    if objections.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rules() -> Option<Rules> {
    let text = std::fs::read(plugins().join(RULES_FILE)).ok()?;
    let rules: PushRules = serde_json::from_slice(&text).ok()?;
    Rules::new(&rules).ok()
}

fn pre_push(rules: &Rules) -> Vec<String> {
    let lines = std::io::stdin().lock().lines().map_while(Result::ok);
    lines.filter_map(|line| objection(rules, &update(&line)?)).collect()
}

/// `local-ref local-id remote-ref remote-id`, with zeros for what is not there.
fn update(line: &str) -> Option<Update> {
    let [_, new, refname, old] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let there = |id: &str| id.bytes().any(|byte| byte != b'0').then(|| id.to_owned());
    Some(Update { old: there(old), new: there(new), refname: refname.to_owned() })
}

fn objection(rules: &Rules, update: &Update) -> Option<String> {
    let is_fast_forward = match (&update.old, &update.new) {
        // What is not here cannot be judged here.
        (Some(old), Some(new)) => !git(&["cat-file", "-e", old]) || git(&["merge-base", "--is-ancestor", old, new]),
        _ => true,
    };
    // Commits' messages and people have hooks of their own.
    let facts = Facts { is_commit: true, is_fast_forward, commits: Vec::new() };
    let decision = rules.judge(update, &facts);
    decision.reason().map(|reason| format!("{}: {reason}", update.refname))
}

fn git(arguments: &[&str]) -> bool {
    let status = Command::new("git").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn of_the_message(rules: &Rules, path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let message: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    rules.of_a_message(message.join("\n").trim_start()).map(|objection| format!("this commit: {objection}"))
}

fn of_the_people(rules: &Rules) -> Vec<String> {
    let person = |variable| {
        let printed = Command::new("git").args(["var", variable]).output().ok()?.stdout;
        // `Name <address> time zone`.
        let text = String::from_utf8_lossy(&printed).into_owned();
        text.rfind('>').map(|end| text[..=end].to_owned())
    };
    let parts = [("author", "GIT_AUTHOR_IDENT"), ("committer", "GIT_COMMITTER_IDENT")];
    let objection = |(part, variable)| rules.of_a_person(part, &person(variable)?);
    parts.into_iter().filter_map(objection).map(|objection| format!("this commit: {objection}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_git_push_are_understood() {
        let zeros = "0".repeat(40);
        let line = format!("refs/heads/x 11 refs/heads/main {zeros}");
        let expected = Update { old: None, new: Some("11".to_owned()), refname: "refs/heads/main".to_owned() };
        assert_eq!(update(&line), Some(expected));
        assert_eq!(update("(delete)"), None);
    }
}
