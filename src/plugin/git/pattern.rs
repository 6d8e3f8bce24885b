//! Patterns of branches and tags.

/// Whether a name matches a pattern in which `*` stands for any text, `/` included.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = pattern.contains('*').then(|| parts.next_back().unwrap_or_default()) else {
        return rest.is_empty();
    };
    // The first place where a part fits leaves the most for those after it.
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The same without regard to case: an upstream on a file system that ignores it takes `Main` for `main`.
pub fn matches_any_case(pattern: &str, name: &str) -> bool {
    matches(&folded(pattern), &folded(name))
}

/// By upper case first: `ſ` and `s` have the same.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("main", "main"),
            ("*", ""),
            ("*", "a/b"),
            ("claude/*", "claude/a/b"),
            ("claude/*", "claude/"),
            ("*/fix", "a/fix"),
            ("a*b*c", "abbbc"),
            ("a*b*c", "a-b-c-b-c"),
            ("v*.*", "v1.2.3"),
            ("a**b", "ab"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("main", "main2"),
            ("main", "xmain"),
            ("main", "Main"),
            ("claude/*", "claude"),
            ("claude/*", "xclaude/a"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("v?", "v1"),
            ("[a]", "a"),
            ("", "x"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn case_is_no_way_around() {
        for name in ["main", "MAIN", "Main"] {
            assert!(matches_any_case("main", name), "{name}");
        }
        assert!(matches_any_case("master", "ma\u{17f}ter"));
        assert!(matches_any_case("release/*", "Release/1"));
        assert!(!matches_any_case("main", "mainz"));
    }
}
