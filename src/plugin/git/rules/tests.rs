use super::*;

/// Those that are shipped.
fn shipped() -> PushRules {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    PushRules {
        blocked_branches: owned(&["main", "master", "release/*", "production"]),
        allowed_branches: owned(&["claude/*", "feature/*", "fix/*", "bugfix/*", "hotfix/*"]),
        allowed_tags: owned(&["claude-*"]),
        force: false,
        delete: false,
        pack_max: 1 << 30,
        message: None,
        author: None,
    }
}

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

fn update(old: Option<&str>, new: Option<&str>, refname: &str) -> Update {
    Update { old: old.map(str::to_owned), new: new.map(str::to_owned), refname: refname.to_owned() }
}

fn forward() -> Facts {
    Facts { is_commit: true, is_fast_forward: true, commits: Vec::new() }
}

fn judge(rules: &PushRules, update: &Update, facts: &Facts) -> Decision {
    Rules::new(rules).unwrap().judge(update, facts)
}

#[track_caller]
fn refuses(rules: &PushRules, update: &Update, facts: &Facts, why: &str) {
    let decision = judge(rules, update, facts);
    let reason = decision.reason().unwrap_or_else(|| panic!("{update:?} is allowed"));
    assert!(reason.starts_with(PROTECTED) && reason.contains(why), "{reason}");
}

#[test]
fn allowed_branches_are_made_and_moved_forward() {
    for name in ["claude/x", "feature/a/b", "fix/1", "bugfix/é", "hotfix/-x"] {
        for old in [None, Some(ONE)] {
            let asked = update(old, Some(TWO), &format!("refs/heads/{name}"));
            assert_eq!(judge(&shipped(), &asked, &forward()), Decision::Allowed, "{name}");
        }
    }
}

#[test]
fn blocked_branches_are_pushed_by_nobody_in_any_case_and_by_any_way() {
    let mut rules = shipped();
    rules.allowed_branches = vec!["*".to_owned()];
    (rules.force, rules.delete) = (true, true);
    for name in ["main", "Main", "MASTER", "production", "release/1.0", "Release/x", "ma\u{17f}ter"] {
        for (old, new) in [(None, Some(TWO)), (Some(ONE), Some(TWO)), (Some(ONE), None)] {
            refuses(&rules, &update(old, new, &format!("refs/heads/{name}")), &forward(), "nobody pushes to");
        }
    }
}

#[test]
fn other_branches_are_refused_with_the_list() {
    for name in ["dev", "claude", "xclaude/x", "Claude/x", "release"] {
        let asked = update(None, Some(TWO), &format!("refs/heads/{name}"));
        refuses(&shipped(), &asked, &forward(), "none of claude/*, feature/*");
    }
    let mut rules = shipped();
    rules.allowed_branches.clear();
    refuses(&rules, &update(None, Some(TWO), "refs/heads/x"), &forward(), "none is");
}

#[test]
fn nothing_but_branches_and_tags_is_pushed() {
    let mut rules = shipped();
    rules.allowed_branches = vec!["*".to_owned()];
    rules.allowed_tags = vec!["*".to_owned()];
    for name in [
        "HEAD",
        "refs/for/main",
        "refs/pull/1/head",
        "refs/merge-requests/1/head",
        "refs/notes/commits",
        "refs/replace/11",
        "refs/remotes/origin/main",
        "refs/meta/config",
        "refs/heads",
        "refs/Heads/main",
        "refs/headsx/main",
        "heads/claude/x",
    ] {
        refuses(&rules, &update(None, Some(TWO), name), &forward(), "only branches and tags");
        refuses(&rules, &update(Some(ONE), None, name), &forward(), "only branches and tags");
    }
}

#[test]
fn what_is_no_name_of_a_ref_is_never_pushed() {
    let mut rules = shipped();
    rules.allowed_branches = vec!["*".to_owned()];
    for name in [
        "claude/x:refs/heads/main",
        "claude/x refs/heads/main",
        "claude/*",
        "claude/../main",
        "claude//x",
        "claude/",
        "",
        "claude/.x",
        "claude/x.lock",
        "claude/x.lock/y",
        "claude/x.",
        "claude/x@{1}",
        "claude/x^{}",
        "claude/x~1",
        "claude/x\\y",
        "claude/x\n",
        "claude/x\u{7f}",
    ] {
        refuses(&rules, &update(None, Some(TWO), &format!("refs/heads/{name}")), &forward(), "no name of a ref");
    }
}

#[test]
fn a_branch_loses_commits_only_where_the_rules_say_so() {
    let asked = update(Some(ONE), Some(TWO), "refs/heads/claude/x");
    let backwards = Facts { is_fast_forward: false, ..forward() };
    refuses(&shipped(), &asked, &backwards, "no force push");
    let mut rules = shipped();
    rules.force = true;
    assert_eq!(judge(&rules, &asked, &backwards), Decision::Allowed);
    // Nothing is lost where there was nothing.
    assert_eq!(judge(&shipped(), &update(None, Some(TWO), "refs/heads/claude/x"), &backwards), Decision::Allowed);
}

#[test]
fn a_branch_is_deleted_only_where_the_rules_say_so() {
    let asked = update(Some(ONE), None, "refs/heads/claude/x");
    refuses(&shipped(), &asked, &Facts::default(), "not deleted");
    let mut rules = shipped();
    rules.delete = true;
    assert_eq!(judge(&rules, &asked, &Facts::default()), Decision::Allowed);
    refuses(&rules, &update(Some(ONE), None, "refs/heads/dev"), &Facts::default(), "none of");
}

#[test]
fn a_branch_holds_commits() {
    let asked = update(None, Some(TWO), "refs/heads/claude/x");
    refuses(&shipped(), &asked, &Facts { is_commit: false, ..forward() }, "a commit and no other object");
}

#[test]
fn a_tag_is_made_once_and_neither_moved_nor_deleted() {
    let mut rules = shipped();
    (rules.force, rules.delete) = (true, true);
    let name = "refs/tags/claude-1";
    assert_eq!(judge(&rules, &update(None, Some(TWO), name), &Facts::default()), Decision::Allowed);
    refuses(&rules, &update(Some(ONE), Some(TWO), name), &forward(), "not moved");
    refuses(&rules, &update(Some(ONE), None, name), &forward(), "not deleted");
    refuses(&rules, &update(None, Some(TWO), "refs/tags/v1.0"), &forward(), "none of claude-*");
}

fn with_commits(commits: &[(&str, &str, &str)]) -> Facts {
    let commit = |(message, author, committer): &(&str, &str, &str)| Commit {
        id: TWO.to_owned(),
        author: (*author).to_owned(),
        committer: (*committer).to_owned(),
        message: (*message).to_owned(),
    };
    Facts { commits: commits.iter().map(commit).collect(), ..forward() }
}

#[test]
fn every_new_commit_matches_the_rules_for_messages_and_people() {
    let mut rules = shipped();
    rules.message = Some("^(feat|fix): .+".to_owned());
    rules.author = Some("^[^<]+ <[^@<>]+@example\\.com>$".to_owned());
    assert!(Rules::new(&rules).unwrap().ask_commits() && !Rules::new(&shipped()).unwrap().ask_commits());
    let good = "A <a@example.com>";
    for name in ["refs/heads/claude/x", "refs/tags/claude-1"] {
        let asked = update(None, Some(TWO), name);
        let judge = |commits: &[_]| judge(&rules, &asked, &with_commits(commits));
        assert_eq!(judge(&[("fix: a\n\nb\n", good, good), ("feat: b", good, good)]), Decision::Allowed);
        let refuses = |commits: &[_], why| refuses(&rules, &asked, &with_commits(commits), why);
        refuses(&[("fix: a", good, good), ("wip", good, good)], "commit 2222222222: its message must match");
        refuses(&[("fix: a", "A <a@example.com.evil>", good)], "its author must match");
        refuses(&[("fix: a", good, "M <m@evil>")], "its committer must match");
    }
}

#[test]
fn an_expression_that_is_none_or_enormous_is_refused_at_once() {
    for bad in ["(", "(?:x{1000}){1000}"] {
        let mut rules = shipped();
        rules.message = Some(bad.to_owned());
        let error = Rules::new(&rules).unwrap_err().to_string();
        assert!(error.contains("`message`"), "{error}");
    }
}
