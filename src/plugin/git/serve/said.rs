//! What git and the upstream say, as it is passed on.

use super::hidden;
use crate::shown;
use std::io::BufRead;

use crate::plugin::git::pktline::read_text_line;

/// Bytes of a line that are read, so that no credential is cut before it is looked for.
const READ_MAX: u64 = 256 << 10;
/// Characters of a line that are passed on.
const LINE_MAX: usize = 1 << 10;
/// Lines of an answer.
const LINES_MAX: usize = 400;

/// One line without credentials and without what acts on a terminal.
pub(super) fn plain(line: &str) -> String {
    let cut: String = hidden::clean(line).chars().take(LINE_MAX).collect();
    shown::text(cut.trim_end())
}

/// What a program said on standard error.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What the upstream said through it (`remote: …`), without that prefix.
    pub(super) remote: Vec<String>,
    /// Its own words.
    pub(super) own: Vec<String>,
}

impl Said {
    /// Reads all, keeps so much, and hands each line of the upstream's on as it comes.
    pub(super) fn read(mut from: impl BufRead, mut heard: impl FnMut(&str)) -> Self {
        let mut said = Self::default();
        while let Ok(Some(line)) = read_text_line(&mut from, READ_MAX) {
            if said.remote.len() + said.own.len() >= LINES_MAX {
                continue;
            }
            // Progress ends its lines with carriage returns; the last one counts.
            let line = plain(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default());
            match line.strip_prefix("remote:") {
                Some(remote) => {
                    let remote = remote.strip_prefix(' ').unwrap_or(remote).to_owned();
                    heard(&remote);
                    said.remote.push(remote);
                }
                None => said.own.push(line),
            }
        }
        said
    }

    /// Why it failed, in one line.
    pub(super) fn reason(&self) -> String {
        let cause = |line: &&String| line.starts_with("fatal: ") || line.starts_with("error: ");
        let line = self.own.iter().find(cause).or(self.own.last()).or(self.remote.last());
        let Some(line) = line else { return "git said nothing of why".to_owned() };
        let line = line.strip_prefix("fatal: ").or(line.strip_prefix("error: ")).unwrap_or(line);
        line.strip_prefix("remote error: ").unwrap_or(line).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_words_are_told_from_gits_and_cannot_speak_to_the_terminal() {
        let text = b"remote: Counting: 1%\rremote: Counting: 100%, done.   \nremote: \x1b]52;c;eA==\x07hi\n\
            warning: w\nfatal: Authentication failed for 'https://h/'\n";
        let mut heard = Vec::new();
        let said = Said::read(&text[..], |line| heard.push(line.to_owned()));
        assert_eq!(heard, said.remote);
        assert_eq!(said.remote[0], "Counting: 100%, done.");
        assert!(said.remote[1].ends_with("hi") && !said.remote[1].contains(['\u{1b}', '\u{7}']), "{said:?}");
        assert_eq!(said.reason(), "Authentication failed for 'https://h/'");
    }

    #[test]
    fn a_flood_is_read_and_not_kept() {
        let text = "x\n".repeat(100_000) + &"y".repeat(1 << 20);
        assert_eq!(Said::read(text.as_bytes(), |_| ()).own.len(), LINES_MAX);
    }
}
