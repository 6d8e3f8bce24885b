//! How paths and destinations are shown to people: in JSON, on a terminal.

use crate::policy::Target;
use serde::Serializer;
use std::fmt;
use std::path::{Path, PathBuf};

/// JSON has no bytes: a plan is for reading, so what is not UTF-8 is shown replaced.
pub fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// [`lossy`] for a list.
pub fn all_lossy<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// [`lossy`] for what may be missing.
pub fn maybe_lossy<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => lossy(path, serializer),
        None => serializer.serialize_none(),
    }
}

/// A path for a terminal, see [`text`].
pub fn terminal(path: &Path) -> String {
    text(&path.to_string_lossy())
}

/// A target as it is typed, without ports; its names are ASCII.
pub fn target(target: &Target) -> String {
    match target {
        Target::Address(net) if net.prefix_len() == net.max_prefix_len() => net.addr().to_string(),
        Target::Address(net) => net.to_string(),
        Target::Domain(pattern) => pattern.to_string(),
    }
}

/// A target and ports, `HOST:PORT`.
pub fn destination(target: &Target, ports: impl fmt::Display) -> String {
    let host = self::target(target);
    if host.contains(':') { format!("[{host}]:{ports}") } else { format!("{host}:{ports}") }
}

/// The same as it is typed into a shell, which would look for files that match a `*`.
pub fn typed(target: &Target, ports: impl fmt::Display) -> String {
    let plain = destination(target, ports);
    if plain.contains(['*', '[']) { format!("'{plain}'") } else { plain }
}

/// Text for a terminal. An agent chooses file names and more: what [`is_unseen`] is escaped.
pub fn text(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// Whether a character acts without being seen: control characters (escape sequences), line separators, and
/// those that change the direction or the look of text (Unicode UAX #9) or carry text that nobody sees. The
/// latter are those with the property Default_Ignorable_Code_Point (Unicode 16,
/// DerivedCoreProperties.txt) but U+FE00..U+FE0F, which emoji need, and the interlinear annotations.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_speak_to_the_terminal() {
        let shown = terminal(Path::new("a\u{1b}]52;c;x\u{7}\n\u{9b}1m\u{202e}b"));
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert_eq!(terminal(Path::new("src/größe.rs")), "src/größe.rs");
    }
}
