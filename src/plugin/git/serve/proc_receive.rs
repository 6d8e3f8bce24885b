//! The hook proc-receive (githooks(5)): git receive-pack hands over every update, and reports to the client what is
//! answered here.

use super::command::Git;
use super::decisions::{Decisions, State as Step};
use super::push::taken;
use super::state::State;
use super::upstream::{self, Manner};
use super::{ServeError, TASK, hidden, tell};
use crate::plugin::git::pktline::{self, Packet};
use crate::plugin::git::rules::{Decision, PROTECTED, Rules, Update};
use crate::plugin::git::task::Task;
use std::io::{self, BufRead, ErrorKind, Write};
use std::process::ExitCode;

/// Updates of one push. A push of more is not done by hand.
const UPDATES_MAX: usize = 1000;
/// The longest name of a ref, in bytes: so that every decision finds its place in the journal.
const NAME_MAX: usize = 1024;
/// Push options of one push.
const OPTIONS_MAX: usize = 32;
/// The options that are passed on: those that ask for a pipeline to be left out, or for a request to merge that
/// somebody else decides about. Others set variables of pipelines, or merge by themselves.
const OPTIONS: [&str; 9] = [
    "ci.skip",
    "merge_request.assign",
    "merge_request.create",
    "merge_request.description",
    "merge_request.draft",
    "merge_request.label",
    "merge_request.target",
    "merge_request.title",
    "skip-ci",
];

/// Runs the hook.
pub fn run() -> ExitCode {
    match serve(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("rcc: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What receive-pack says.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    updates: Vec<Update>,
    manner: Manner,
}

/// An update and what became of it: nothing where it went through.
type Answer<'a> = (&'a Update, Option<String>);

fn serve(from: &mut impl BufRead, to: &mut impl Write) -> Result<(), ServeError> {
    let task: Task = serde_json::from_str(&std::env::var(TASK).map_err(|_| ServeError::NoTask)?)?;
    hidden::hide(&task.access)?;
    let asked = read(from, to).map_err(ServeError::Stream)?;
    let git = Git::again(&task);
    let answers = Push { git: &git, task: &task, asked: &asked }.run()?;
    answer(to, &answers).map_err(ServeError::Stream)
}

fn read(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<Asked> {
    let bad = || io::Error::new(ErrorKind::InvalidData, "git receive-pack said what a hook does not know");
    let mut features = String::new();
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        features.push_str(packet.line().ok_or_else(bad)?);
    }
    let (version, features) = features.split_once('\0').unwrap_or((&features, ""));
    if version != "version=1" {
        return Err(bad());
    }
    let has = |feature| features.split(' ').any(|one| one == feature);
    let (atomic, options) = (has("atomic"), has("push-options"));
    pktline::write_line(to, if options { "version=1\0push-options atomic" } else { "version=1\0atomic" })?;
    pktline::write(to, &Packet::Flush)?;
    to.flush()?;
    let mut asked = Asked { updates: Vec::new(), manner: Manner { atomic, options: Vec::new() } };
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        asked
            .updates
            .push(packet.line().and_then(update).filter(|_| asked.updates.len() < UPDATES_MAX).ok_or_else(bad)?);
    }
    while options && let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        let option = packet.line().filter(|_| asked.manner.options.len() < OPTIONS_MAX).ok_or_else(bad)?;
        asked.manner.options.push(option.to_owned());
    }
    Ok(asked)
}

/// `old new ref`, with zeros for what is not there.
fn update(line: &str) -> Option<Update> {
    let mut words = line.splitn(3, ' ');
    let id = |word: Option<&str>| {
        let word = word.filter(|word| word.len() >= 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        Some(Some(word.to_owned()).filter(|word| word.bytes().any(|byte| byte != b'0')))
    };
    let (old, new) = (id(words.next())?, id(words.next())?);
    let refname = words.next().filter(|name| name.len() <= NAME_MAX)?.to_owned();
    Some(Update { old, new, refname })
}

fn answer(to: &mut impl Write, answers: &[Answer<'_>]) -> io::Result<()> {
    for (update, reason) in answers {
        let line = match reason {
            None => format!("ok {}", update.refname),
            Some(reason) => format!("ng {} {reason}", update.refname),
        };
        pktline::write_line(to, &line)?;
    }
    pktline::write(to, &Packet::Flush)?;
    to.flush()
}

/// One push.
struct Push<'a> {
    git: &'a Git,
    task: &'a Task,
    asked: &'a Asked,
}

impl<'a> Push<'a> {
    fn run(&self) -> Result<Vec<Answer<'a>>, ServeError> {
        let repository = std::env::current_dir().map_err(ServeError::Stream)?;
        let state = State { git: self.git, repository: &repository };
        let mut decisions = Decisions::open(&self.task.decisions, self.task.upstream.to_string())?;
        let mut record = |step, update: &Update, reason: Option<&str>| {
            decisions.add(step, update, reason).map_err(ServeError::file("record a decision at", &self.task.decisions))
        };
        let mut answers = self.judge(&state)?;
        for (update, reason) in &answers {
            record(if reason.is_none() { Step::Allowed } else { Step::Refused }, update, reason.as_deref())?;
        }
        let allowed: Vec<&Update> =
            answers.iter().filter(|(_, reason)| reason.is_none()).map(|(update, _)| *update).collect();
        if allowed.is_empty() {
            return Ok(answers);
        }
        let said = |line: &str| tell(line);
        let report = upstream::push(self.git, &repository, &self.task.upstream, &allowed, &self.asked.manner, said)?;
        for (update, answer) in answers.iter_mut().filter(|(_, reason)| reason.is_none()) {
            *answer = report.get(&update.refname).cloned().flatten();
            if answer.is_none() {
                let path = taken(&repository);
                std::fs::write(&path, "").map_err(ServeError::file("write", &path))?;
            }
            // It is done: that it cannot be recorded any more changes nothing, and the intent is on record.
            if let Err(error) =
                record(if answer.is_none() { Step::Done } else { Step::Failed }, update, answer.as_deref())
            {
                tell(&format!("rcc: {error}"));
            }
        }
        Ok(answers)
    }

    /// What the rules say to each update; to all of them, where they are wanted all or none.
    fn judge(&self, state: &State<'_>) -> Result<Vec<Answer<'a>>, ServeError> {
        let rules = Rules::new(&self.task.rules)?;
        let refs = state.refs()?;
        let option = self.asked.manner.options.iter().find(|option| !passes(option));
        let mut answers = Vec::new();
        for update in &self.asked.updates {
            let reason = if let Some(option) = option {
                Some(format!("{PROTECTED}the push option {} is not passed on", super::said::plain(option)))
            } else if refs.get(&update.refname) != update.old.as_ref() {
                Some("the upstream has changed meanwhile: fetch first".to_owned())
            } else {
                match state.facts(update, rules.ask_commits())? {
                    Err(reason) => Some(format!("{PROTECTED}{reason}")),
                    Ok(facts) => match rules.judge(update, &facts) {
                        Decision::Allowed => None,
                        Decision::Refused(reason) => Some(reason),
                    },
                }
            };
            answers.push((update, reason));
        }
        if self.asked.manner.atomic && answers.iter().any(|(_, reason)| reason.is_some()) {
            for (_, reason) in &mut answers {
                reason.get_or_insert_with(|| "atomic push failed: another ref was refused".to_owned());
            }
        }
        Ok(answers)
    }
}

fn passes(option: &str) -> bool {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    OPTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn packets(lines: &[Option<&str>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            match line {
                Some(line) => pktline::write_line(&mut bytes, line).unwrap(),
                None => pktline::write(&mut bytes, &Packet::Flush).unwrap(),
            }
        }
        bytes
    }

    #[test]
    fn the_words_of_receive_pack_are_understood() {
        let line = format!("{NONE} {ONE} refs/heads/a b");
        let said = packets(&[Some("version=1\0push-options atomic"), None, Some(&line), None, Some("ci.skip"), None]);
        let mut answered = Vec::new();
        let asked = read(&mut &said[..], &mut answered).unwrap();
        let expected = Update { old: None, new: Some(ONE.to_owned()), refname: "refs/heads/a b".to_owned() };
        assert_eq!(asked.updates, [expected]);
        assert_eq!(asked.manner, Manner { atomic: true, options: vec!["ci.skip".to_owned()] });
        assert_eq!(answered, packets(&[Some("version=1\0push-options atomic"), None]));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for said in [
            packets(&[Some("version=2"), None]),
            packets(&[Some("version=1"), None, Some("x"), None]),
            packets(&[Some("version=1"), None, Some(&format!("{ONE} ../x refs/heads/a")), None]),
            packets(&[]),
        ] {
            read(&mut &said[..], &mut Vec::new()).unwrap_err();
        }
    }

    #[test]
    fn options_that_decide_something_stay_here() {
        for option in ["ci.skip", "merge_request.create", "merge_request.title=a=b"] {
            assert!(passes(option), "{option}");
        }
        for option in
            ["merge_request.merge_when_pipeline_succeeds", "ci.variable=A=b", "ci.skip2", "force-push=true", ""]
        {
            assert!(!passes(option), "{option}");
        }
    }
}
