//! Cuts what is read from a socket into lines.

/// Bytes that may be reserved without being used while an unfinished line waits.
const SLACK: usize = 4096;

/// Cuts a stream into lines. Who takes lines until there is none after each read never holds more than the limit
/// and one read, however the stream is cut; who waits for the next line holds what came of that, and nothing if
/// nothing came.
#[derive(Debug, Default)]
pub struct Lines {
    held: Vec<u8>,
    /// Where the next line begins. What is before was handed out, and goes when no whole line is left.
    begin: usize,
    /// How far `held` has no line's end after `begin`.
    searched: usize,
}

/// A line is longer than allowed, or its limit was taken by other unfinished lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct LineTooLong {
    /// Bytes.
    pub limit: usize,
}

impl Lines {
    /// Bytes that were not handed out: the peer is charged for them.
    pub fn unfinished(&self) -> usize {
        self.held.len() - self.begin
    }

    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole line, without its end; see [`Lines::line`].
    ///
    /// # Errors
    /// If it has more than `limit` bytes, as far as it has come.
    pub fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, LineTooLong> {
        Ok(self.line(limit)?.map(<[u8]>::to_vec))
    }

    /// The next whole line, without its end, where it lies: nothing is copied for lines that came in one read.
    /// After an error there is nothing more to take, and the connection is to be closed.
    ///
    /// # Errors
    /// If it has more than `limit` bytes, as far as it has come.
    pub fn line(&mut self, limit: usize) -> Result<Option<&[u8]>, LineTooLong> {
        let Some(end) = memchr::memchr(b'\n', &self.held[self.searched..]) else {
            self.searched = self.held.len();
            if self.unfinished() > limit {
                return Err(LineTooLong { limit });
            }
            self.tidy();
            return Ok(None);
        };
        let (begin, end) = (self.begin, self.searched + end);
        if end - begin > limit {
            return Err(LineTooLong { limit });
        }
        (self.begin, self.searched) = (end + 1, end + 1);
        Ok(Some(&self.held[begin..end]))
    }

    /// Forgets what was handed out. What moves came in the last read, so each byte moves once.
    fn tidy(&mut self) {
        if self.begin == 0 {
            return;
        }
        if self.unfinished() == 0 {
            // An idle connection keeps nothing: there are thousands.
            self.held = Vec::new();
        } else {
            self.held.drain(..self.begin);
            self.held.shrink_to(self.held.len() + SLACK);
        }
        (self.begin, self.searched) = (0, self.held.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let text = b"one\ntwo\n\nthree";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for part in text.chunks(size) {
                lines.push(part);
                while let Some(line) = lines.next(16).unwrap() {
                    seen.push(line);
                }
            }
            assert_eq!(seen, [&b"one"[..], b"two", b""], "{size}");
            assert_eq!(lines.unfinished(), 5);
        }
    }

    #[test]
    fn a_line_without_an_end_is_refused_at_its_limit() {
        let mut lines = Lines::default();
        lines.push(&[b'a'; 17]);
        assert_eq!(lines.next(16), Err(LineTooLong { limit: 16 }));
    }

    #[test]
    fn a_line_of_the_limit_passes_and_a_longer_one_does_not_with_its_end_either() {
        let mut lines = Lines::default();
        lines.push(b"0123456789abcdef\n0123456789abcdefg\n");
        assert_eq!(lines.line(16), Ok(Some(&b"0123456789abcdef"[..])));
        assert_eq!(lines.line(16), Err(LineTooLong { limit: 16 }));
        assert_eq!(lines.line(16), Err(LineTooLong { limit: 16 }));
    }

    #[test]
    fn an_idle_connection_holds_nearly_nothing_after_a_large_line() {
        const LARGE: usize = 1 << 20;
        let mut lines = Lines::default();
        for rest in [&b""[..], b"begun"] {
            lines.push(&vec![b'a'; LARGE]);
            assert_eq!(lines.line(LARGE), Ok(None));
            lines.push(&[b"\n", rest].concat());
            assert_eq!(lines.line(LARGE).unwrap().map(<[u8]>::len), Some(LARGE));
            assert_eq!(lines.line(LARGE), Ok(None));
            assert!(lines.held.capacity() <= rest.len() + SLACK, "{}", lines.held.capacity());
            assert_eq!(lines.unfinished(), rest.len());
            lines.push(b"\n");
            assert_eq!(lines.line(LARGE), Ok(Some(rest)));
            assert_eq!(lines.line(LARGE), Ok(None));
            assert_eq!(lines.held.capacity(), 0);
        }
    }

    #[test]
    fn a_million_lines_in_one_read_are_cut_at_once() {
        let mut lines = Lines::default();
        lines.push(&b"{}\n".repeat(1_000_000));
        let begun = std::time::Instant::now();
        while let Some(line) = lines.line(16).unwrap() {
            assert_eq!(line, b"{}");
        }
        // A fraction of a second; what moves the rest for each line takes minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    /// The same by looking at the whole stream.
    fn naive(stream: &[u8], limit: usize) -> (Vec<Vec<u8>>, bool) {
        let mut parts: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
        let fits = parts.iter().take_while(|part| part.len() <= limit).count();
        let whole = fits == parts.len();
        parts.truncate(fits.min(parts.len() - 1));
        (parts.into_iter().map(<[u8]>::to_vec).collect(), whole)
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_lines_and_holds_no_more_than_the_limit_and_a_read(
            stream in prop::collection::vec(prop::sample::select(vec![b'\n', b'a', 0, 255]), 0..200),
            cuts in prop::collection::vec(0_usize..40, 1..20),
            limit in 0_usize..12,
        ) {
            let (mut lines, mut seen, mut failed) = (Lines::default(), Vec::new(), false);
            let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
            // The last one takes what is left, if all the cuts are empty.
            for turn in (0..200).rev() {
                let size = if turn == 0 { rest.len() } else { cuts.next().unwrap().min(rest.len()) };
                let (read, after) = rest.split_at(size);
                lines.push(read);
                prop_assert!(lines.held.len() <= limit + size, "{} held", lines.held.len());
                loop {
                    match lines.line(limit) {
                        Ok(Some(line)) => seen.push(line.to_vec()),
                        Ok(None) => break,
                        Err(_) => { failed = true; break }
                    }
                }
                if failed {
                    break;
                }
                rest = after;
            }
            prop_assert_eq!((seen, !failed), naive(&stream, limit));
        }
    }
}
