//! What a kept terminal has shown of late, for who comes to look.

use super::frame::{Frame, PAYLOAD_MAX};
use std::collections::VecDeque;

/// Bytes that are remembered: a few hundred full lines, which the terminal that gets them can scroll through.
const TAIL_MAX: usize = 128 << 10;

/// The last of it.
#[derive(Debug, Default)]
pub struct Screen {
    tail: VecDeque<u8>,
    cut: bool,
}

impl Screen {
    /// Adds what was shown.
    pub fn add(&mut self, bytes: &[u8]) {
        self.tail.extend(bytes);
        if self.tail.len() > TAIL_MAX {
            self.cut = true;
            self.tail.drain(..self.tail.len() - TAIL_MAX);
        }
    }

    /// All that is remembered, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        // What was cut may have been in the middle of a control sequence or a character.
        let skipped = match self.cut {
            true => self.tail.iter().position(|byte| *byte == b'\n').map_or(0, |position| position + 1),
            false => 0,
        };
        self.tail.iter().skip(skipped).copied().collect()
    }

    /// The same for one who comes.
    pub fn frames(&self) -> Vec<Frame> {
        self.bytes().chunks(PAYLOAD_MAX).map(|chunk| Frame::Past(chunk.to_vec())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_is_remembered_from_the_beginning_of_a_line_on() {
        let mut screen = Screen::default();
        screen.add(b"first\nsecond\n");
        assert_eq!(screen.bytes(), b"first\nsecond\n");
        screen.add(&vec![b'x'; TAIL_MAX]);
        screen.add(b"\nlast");
        assert_eq!(screen.bytes(), b"last");
    }
}
