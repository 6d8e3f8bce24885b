//! Exclude patterns: which files of a project are secret.
//!
//! As in gitignore(5): a pattern without `/` matches in every directory, one with `/` from the
//! top, a `/` at the end means directories, `!` takes back, and the last match decides; but what
//! lies in an excluded directory cannot be taken back, because that is hidden as a whole.
//!
//! What is hidden is decided at the start. A file that the host makes while the sandbox runs is
//! not hidden until the next run, nor one that it replaces by renaming another over it, as some
//! editors do: `runtime::embedded::watch` notices the latter.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::Path;

/// Why a pattern was refused.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Not a glob.
    #[error("exclude pattern {pattern:?}: {source}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// Nothing, `/` or `..`.
    #[error("exclude pattern {pattern:?} names nothing in the project: write it relative to the project, without '..'")]
    Nothing {
        /// The pattern.
        pattern: String,
    },
}

/// Compiled patterns.
pub struct Matcher {
    globs: GlobSet,
    /// For each pattern: whether it takes back, and whether it means directories only.
    rules: Vec<Rule>,
    anchored: bool,
}

#[derive(Clone, Copy)]
struct Rule {
    excludes: bool,
    directories_only: bool,
}

impl Matcher {
    /// Compiles patterns, in order.
    ///
    /// # Errors
    /// One of them is no glob or names nothing.
    pub fn new(patterns: &[String]) -> Result<Self, PatternError> {
        let mut globs = GlobSetBuilder::new();
        let (mut rules, mut anchored) = (Vec::new(), false);
        for pattern in patterns {
            let wrong = |source| PatternError::Glob { pattern: pattern.clone(), source };
            let (excludes, text) = pattern.strip_prefix('!').map_or((true, pattern.as_str()), |rest| (false, rest));
            let (directories_only, text) = text.strip_suffix('/').map_or((false, text), |rest| (true, rest));
            let relative = text.strip_prefix('/').or(text.strip_prefix("./")).unwrap_or(text);
            if relative.is_empty() || relative.split('/').any(|part| matches!(part, ".." | "." | "")) {
                return Err(PatternError::Nothing { pattern: pattern.clone() });
            }
            let anywhere = !text.contains('/');
            anchored |= !anywhere;
            let glob = if anywhere { format!("**/{relative}") } else { relative.to_owned() };
            globs.add(GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build().map_err(wrong)?);
            rules.push(Rule { excludes, directories_only });
        }
        let globs = globs.build().map_err(|source| PatternError::Glob { pattern: patterns.join(" "), source })?;
        Ok(Self { globs, rules, anchored })
    }

    /// Whether some pattern names a place: a secret in a directory that was renamed since would be
    /// none any more.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Whether a path, relative to the project, is excluded itself (not by a directory above it).
    pub fn excludes(&self, path: &Path, directory: bool) -> bool {
        if self.globs.is_empty() {
            return false;
        }
        let matches = self.globs.matches(path);
        let last =
            matches.iter().rev().map(|index| self.rules[*index]).find(|rule| directory || !rule.directories_only);
        last.is_some_and(|rule| rule.excludes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &[&str], path: &str, directory: bool) -> bool {
        let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        Matcher::new(&patterns).unwrap().excludes(Path::new(path), directory)
    }

    #[test]
    fn a_pattern_without_a_slash_matches_everywhere_and_one_with_a_slash_from_the_top() {
        assert!(excluded(&[".env"], ".env", false) && excluded(&[".env"], "a/b/.env", false));
        assert!(!excluded(&[".env"], ".envrc", false) && !excluded(&[".env"], ".env/x", false));
        assert!(excluded(&["/a/*.key"], "a/x.key", false) && !excluded(&["a/*.key"], "b/a/x.key", false));
        assert!(!excluded(&["a/*.key"], "a/b/x.key", false) && excluded(&["a/**/x.key"], "a/b/c/x.key", false));
        assert!(excluded(&["*.{key,pem}"], "x.pem", false) && excluded(&[".env.*"], "b/.env.local", false));
    }

    #[test]
    fn the_last_match_decides_and_a_slash_at_the_end_means_directories() {
        assert!(!excluded(&["*.key", "!public.key"], "a/public.key", false));
        assert!(excluded(&["!public.key", "*.key"], "public.key", false));
        assert!(excluded(&["secrets/"], "a/secrets", true) && !excluded(&["secrets/"], "secrets", false));
    }

    #[test]
    fn a_pattern_that_can_match_nothing_is_an_error() {
        for pattern in ["", "/", "!", "../x", "a/../b", "a//b", ".", "[", "a/{b"] {
            assert!(Matcher::new(&[pattern.to_owned()]).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn names_that_are_not_utf8_match_as_well() {
        use std::os::unix::ffi::OsStrExt;
        let matcher = Matcher::new(&["*.key".to_owned()]).unwrap();
        assert!(matcher.excludes(Path::new(std::ffi::OsStr::from_bytes(b"a\xff\n.key")), false));
    }
}
