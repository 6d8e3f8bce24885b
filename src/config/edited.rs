//! A text that is changed in one place and is otherwise as it was written.

use toml_edit::DocumentMut;

/// A byte order mark, which TOML's grammar leaves to the file's encoding (RFC 3629, 6).
const BOM: char = '\u{feff}';

/// The text after the change; `None` if that cannot be made, or the text is no TOML.
pub(super) fn edited(text: &str, change: impl FnOnce(&mut DocumentMut) -> Option<()>) -> Option<String> {
    let body = text.strip_prefix(BOM).unwrap_or(text);
    let mut document: DocumentMut = body.parse().ok()?;
    change(&mut document)?;
    let mut after = document.to_string();
    // toml_edit ends the lines that it writes with a single newline.
    let crlf = body.matches("\r\n").count();
    if crlf > 0 && crlf == body.matches('\n').count() {
        after = after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if body.len() < text.len() {
        after.insert(0, BOM);
    }
    Some(after)
}
