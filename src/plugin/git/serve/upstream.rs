//! The push to the upstream: one command for all that is allowed.

use super::ServeError;
use super::command::{Git, not_started};
use super::fetch::pipe;
use super::said::Said;
use crate::plugin::git::pktline::read_text_line;
use crate::plugin::git::remote::Upstream;
use crate::plugin::git::rules::Update;
use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;
use std::process::Stdio;

/// The longest line of a report.
const LINE_MAX: u64 = 8 << 10;

/// What the client asked for beside its updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) atomic: bool,
    pub(super) options: Vec<String>,
}

/// What became of each ref: nothing where the upstream took it, else why not.
pub(super) type Report = HashMap<String, Option<String>>;

/// Pushes the updates, each only if the upstream still has what it is judged by. `heard` gets what the upstream
/// says.
pub(super) fn push(
    git: &Git,
    repository: &Path,
    upstream: &Upstream,
    updates: &[&Update],
    manner: &Manner,
    heard: impl FnMut(&str),
) -> Result<Report, ServeError> {
    let mut command = git.at(repository);
    command.args(["push", "--porcelain", "--no-verify", "--no-signed"]);
    if manner.atomic {
        command.arg("--atomic");
    }
    for option in &manner.options {
        command.arg(format!("--push-option={option}"));
    }
    for update in updates {
        // Of an empty one: that there is no such ref.
        command.arg(format!("--force-with-lease={}:{}", update.refname, update.old.as_deref().unwrap_or_default()));
    }
    command.arg(upstream.to_string());
    command
        .args(updates.iter().map(|update| format!("{}:{}", update.new.as_deref().unwrap_or_default(), update.refname)));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(not_started(&command))?;
    let mut stdout = BufReader::new(pipe(child.stdout.take())?);
    let reader = std::thread::spawn(move || {
        let mut report = Report::new();
        while let Ok(Some(line)) = read_text_line(&mut stdout, LINE_MAX) {
            report.extend(reported(&line));
        }
        report
    });
    let said = Said::read(BufReader::new(pipe(child.stderr.take())?), heard);
    let mut report = reader.join().unwrap_or_default();
    child.wait().map_err(ServeError::Stream)?;
    for update in updates {
        report.entry(update.refname.clone()).or_insert_with(|| Some(said.reason()));
    }
    Ok(report)
}

/// A line of `git push --porcelain`: a flag, `from:to`, and a summary with the reason in brackets.
fn reported(line: &str) -> Option<(String, Option<String>)> {
    let mut fields = line.split('\t');
    let (flag, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
    let (_, refname) = refs.rsplit_once(':')?;
    let refused = match flag {
        " " | "+" | "-" | "*" | "=" => None,
        "!" => {
            let reason = summary.split_once(" (").map_or(summary, |(_, rest)| rest.strip_suffix(')').unwrap_or(rest));
            Some(match reason {
                "stale info" => "the upstream has changed meanwhile: fetch first".to_owned(),
                reason => super::said::plain(reason),
            })
        }
        _ => return None,
    };
    Some((refname.to_owned(), refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_became_of_each_ref() {
        let taken = |line| assert_eq!(reported(line), Some(("refs/heads/a".to_owned(), None)), "{line}");
        taken("*\t1111:refs/heads/a\t[new branch]");
        taken(" \t1111:refs/heads/a\t1234..5678");
        taken("+\t1111:refs/heads/a\t1234...5678 (forced update)");
        taken("-\t:refs/heads/a\t[deleted]");
        taken("=\t1111:refs/heads/a\t[up to date]");
        let reason = |line| reported(line).unwrap().1.unwrap();
        assert_eq!(reason("!\t1:refs/heads/a\t[remote rejected] (hook (x) declined)"), "hook (x) declined");
        assert!(reason("!\t1:refs/heads/a\t[rejected] (stale info)").contains("fetch first"));
        for line in ["To https://h/r", "Done", "", "?\ta:b\tc"] {
            assert_eq!(reported(line), None, "{line}");
        }
    }
}
