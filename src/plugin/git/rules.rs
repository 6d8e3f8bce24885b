//! Whether an update of a ref may be pushed. Pure: what is asked and what is known about it in, a decision out.

use super::pattern;
use crate::plugin::manifest::PushRules;
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;

/// Bytes of a compiled expression: a few pages of alternatives, no more.
const EXPRESSION_MAX: usize = 1 << 20;
/// Begins every refusal.
pub const PROTECTED: &str = "protected by rcc: ";

/// The rules, ready to judge.
#[derive(Clone, Debug)]
pub struct Rules {
    text: PushRules,
    message: Option<Regex>,
    author: Option<Regex>,
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the rule `{rule}` is not a regular expression that can be used: {source}")]
pub struct BadRule {
    rule: &'static str,
    #[source]
    source: regex::Error,
}

/// One update of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What the upstream has, if it has the ref.
    pub old: Option<String>,
    /// What it shall have; nothing where the ref is deleted.
    pub new: Option<String>,
    /// The ref, in full.
    pub refname: String,
}

/// What is known of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether the new object is a commit. Branches hold nothing else.
    pub is_commit: bool,
    /// Whether the new one has all that the old one had.
    pub is_fast_forward: bool,
    /// The commits that the upstream does not have; asked for by [`Rules::ask_commits`].
    pub commits: Vec<Commit>,
}

/// A commit that would be new at the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its author, `Name <address>`.
    pub author: String,
    /// Its committer, likewise.
    pub committer: String,
    /// Its message.
    pub message: String,
}

/// What holds for an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is pushed.
    Allowed,
    /// It is not, for this reason.
    Refused(String),
}

impl Decision {
    /// Why not, if not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Allowed => None,
            Self::Refused(reason) => Some(reason),
        }
    }
}

/// The two kinds of refs that are pushed, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    Branch(&'a str),
    Tag(&'a str),
}

impl<'a> Kind<'a> {
    fn of(refname: &'a str) -> Option<Self> {
        let branch = refname.strip_prefix("refs/heads/").map(Self::Branch);
        branch.or_else(|| refname.strip_prefix("refs/tags/").map(Self::Tag))
    }
}

impl Rules {
    /// Takes the rules of a manifest.
    ///
    /// # Errors
    /// If an expression is none, or too large.
    pub fn new(rules: &PushRules) -> Result<Self, BadRule> {
        let expression = |rule, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                let built = RegexBuilder::new(text).size_limit(EXPRESSION_MAX).dfa_size_limit(EXPRESSION_MAX).build();
                built.map(Some).map_err(|source| BadRule { rule, source })
            }
        };
        let message = expression("message", &rules.message)?;
        let author = expression("author", &rules.author)?;
        Ok(Self { text: rules.clone(), message, author })
    }

    /// Whether [`Facts::commits`] matter.
    pub fn ask_commits(&self) -> bool {
        self.message.is_some() || self.author.is_some()
    }

    /// Judges an update.
    pub fn judge(&self, update: &Update, facts: &Facts) -> Decision {
        match self.objection(update, facts) {
            None => Decision::Allowed,
            Some(reason) => Decision::Refused(format!("{PROTECTED}{reason}")),
        }
    }

    fn objection(&self, update: &Update, facts: &Facts) -> Option<Cow<'static, str>> {
        self.of_the_name(&update.refname).or_else(|| match (Kind::of(&update.refname), &update.old, &update.new) {
            (Some(Kind::Tag(_)), _, None) => Some("tags are not deleted".into()),
            (Some(Kind::Tag(_)), Some(_), _) => Some("this tag exists, and tags are not moved".into()),
            (Some(Kind::Branch(_)), _, None) => {
                (!self.text.delete).then(|| "branches are not deleted from here".into())
            }
            (Some(Kind::Branch(_)), old, Some(_)) => self.of_the_branch(old.is_some(), facts),
            _ => self.of_the_commits(&facts.commits),
        })
    }

    fn of_the_branch(&self, exists: bool, facts: &Facts) -> Option<Cow<'static, str>> {
        if !facts.is_commit {
            return Some("a branch takes a commit and no other object".into());
        }
        if exists && !facts.is_fast_forward && !self.text.force {
            return Some("no force push: the branch would lose commits; fetch, then rebase or merge".into());
        }
        self.of_the_commits(&facts.commits)
    }

    /// What there is to say against any update of this ref.
    fn of_the_name(&self, refname: &str) -> Option<Cow<'static, str>> {
        // Git leaves this to whoever updates the ref, and a `:` would make it a ref and another one.
        if !is_well_formed(refname) {
            return Some("this is no name of a ref".into());
        }
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| pattern::matches(pattern, name));
        match Kind::of(refname) {
            None => Some("only branches and tags are pushed".into()),
            Some(Kind::Tag(name)) if any(&self.text.allowed_tags, name) => None,
            Some(Kind::Tag(_)) => Some(format!("this tag is none of {}", listed(&self.text.allowed_tags)).into()),
            Some(Kind::Branch(name)) => {
                let blocked = |pattern: &&String| pattern::matches_any_case(pattern, name);
                if let Some(pattern) = self.text.blocked_branches.iter().find(blocked) {
                    return Some(format!("nobody pushes to {pattern}; push to another branch").into());
                }
                let allowed = any(&self.text.allowed_branches, name);
                (!allowed).then(|| format!("this branch is none of {}", listed(&self.text.allowed_branches)).into())
            }
        }
    }

    fn of_the_commits(&self, commits: &[Commit]) -> Option<Cow<'static, str>> {
        commits.iter().find_map(|commit| {
            let id: String = commit.id.chars().take(10).collect();
            let objection = self.of_a_message(&commit.message);
            let objection = objection.or_else(|| self.of_a_person("author", &commit.author));
            let objection = objection.or_else(|| self.of_a_person("committer", &commit.committer))?;
            Some(format!("commit {id}: {objection}").into())
        })
    }

    /// What there is to say against a commit's message.
    pub fn of_a_message(&self, message: &str) -> Option<String> {
        let rule = self.message.as_ref()?;
        (!rule.is_match(message.trim_end())).then(|| format!("its message must match {rule}"))
    }

    /// What there is to say against a commit's author or committer, `Name <address>`.
    pub fn of_a_person(&self, part: &str, person: &str) -> Option<String> {
        let rule = self.author.as_ref()?;
        (!rule.is_match(person)).then(|| format!("its {part} must match {rule}"))
    }

    /// Bytes of one push.
    pub fn pack_max(&self) -> u64 {
        self.text.pack_max
    }
}

/// Whether a ref can have this name (git-check-ref-format(1)).
fn is_well_formed(refname: &str) -> bool {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let component = |text: &str| !text.is_empty() && !text.starts_with('.') && !text.ends_with(".lock");
    refname.split('/').all(component)
        && !refname.contains(bad)
        && !refname.contains("..")
        && !refname.contains("@{")
        && !refname.ends_with('.')
}

fn listed(patterns: &[String]) -> String {
    if patterns.is_empty() { "those that are allowed: none is".to_owned() } else { patterns.join(", ") }
}

#[cfg(test)]
mod tests;
