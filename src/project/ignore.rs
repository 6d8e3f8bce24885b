//! Keeps placeholders out of the agent's commits: inside, git ignores them.

use super::guard::{Guard, Substitute};
use super::{Git, Project, git};
use std::path::Path;

/// A longer file is left as it is; then `git status` inside shows the placeholders.
const MAX_EXCLUDE: u64 = 64 * 1024;

/// Has the repository's `info/exclude` (gitignore(5)), where there is one, appear with the
/// placeholders added: empty directories as well, which `git clean` would try to remove.
pub(super) fn add(project: &Project, guards: &mut [Guard]) {
    let lines: String = guards.first().map_or_else(String::new, |guard| {
        guard.placeholders.iter().filter_map(|placeholder| pattern(&placeholder.path)).collect()
    });
    let path = match &project.git {
        Git::Inside { directory } => directory.join("info/exclude"),
        Git::Outside { .. } => "info/exclude".into(),
        Git::None => return,
    };
    let Some(guard) = guards.last_mut() else { return };
    let full = guard.root.join(&path);
    let direct = std::fs::canonicalize(&full).is_ok_and(|real| real == full);
    if lines.is_empty() || !direct {
        return;
    }
    if let Ok(bytes) = git::read(&full, MAX_EXCLUDE) {
        let text = String::from_utf8_lossy(&bytes);
        guard.substitutes.push(Substitute { path, text: format!("{text}\n{lines}") });
    }
}

/// A line that matches this path alone.
fn pattern(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|text| !text.contains('\n'))?;
    let special = |c: char| matches!(c, '*' | '?' | '[' | '\\' | ' ');
    let escaped: String = text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
    Some(format!("/{escaped}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_path_alone() {
        assert_eq!(pattern(Path::new("a [x]*/.envrc")).unwrap(), "/a\\ \\[x]\\*/.envrc\n");
        assert_eq!(pattern(Path::new("a\n!b/.envrc")), None);
    }
}
