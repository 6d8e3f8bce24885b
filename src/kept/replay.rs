//! Output of a terminal, shown at another one: without its questions, and with what must be undone in the end.
//!
//! A program asks its terminal who it is and where the cursor stands, and the answer comes as if it were typed. Asked
//! again at the terminal of somebody who only looks, the answer would be typed into whatever that one types into.

use std::collections::BTreeSet;
use vte::{Params, Parser, Perform};

/// Bytes of one control sequence; of a longer one the rest is not shown. Images in text are longer, and nobody asks
/// with one.
const HELD_MAX: usize = 64 << 10;

/// Modes that are undone by being reset (DECRST, xterm's control sequences): application keys, the other screens,
/// reports of the mouse and of focus, pasting in brackets, synchronised output, colours told.
const RESET: [u16; 17] = [1, 9, 47, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004, 2026, 2031];

/// Follows what a terminal is given.
#[derive(Default)]
pub struct Replay {
    parser: Parser,
    follower: Follower,
}

#[derive(Default)]
struct Follower {
    /// Since the last byte that ended something.
    held: Vec<u8>,
    /// What becomes of it, once it is known.
    done: Option<Fate>,
    cut: bool,
    /// In a string of a device's, which asks.
    asking: bool,
    /// What became of the string whose end, ESC and a backslash, has begun.
    ending: Option<Fate>,
    changed: Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Show,
    /// A question.
    Leave,
}

/// What was changed of the terminal.
#[derive(Debug, Default)]
struct Changed {
    modes: BTreeSet<u16>,
    hidden_cursor: bool,
    region: bool,
    keypad: bool,
    kitty_keys: u32,
    other_keys: bool,
}

impl Replay {
    /// What to show of this; with `live`, questions too, since their answers go to who asked.
    pub fn feed(&mut self, bytes: &[u8], live: bool) -> Vec<u8> {
        if live {
            // Whole, though a sequence may not be at its end.
            let mut shown = std::mem::take(&mut self.follower.held);
            shown.extend_from_slice(bytes);
            for byte in bytes {
                self.parser.advance(&mut self.follower, std::slice::from_ref(byte));
            }
            self.follower.held.clear();
            return shown;
        }
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let follower = &mut self.follower;
            if follower.held.len() < HELD_MAX {
                follower.held.push(*byte);
            } else {
                follower.cut = true;
            }
            self.parser.advance(follower, std::slice::from_ref(byte));
            if let Some(fate) = follower.done.take() {
                if fate == Fate::Show && !std::mem::take(&mut follower.cut) {
                    shown.extend_from_slice(&follower.held);
                }
                follower.held.clear();
            }
        }
        shown
    }

    /// What puts the terminal back into the state in which a shell wants it.
    pub fn restore(&self) -> Vec<u8> {
        let Changed { modes, hidden_cursor, region, keypad, kitty_keys, other_keys } = &self.follower.changed;
        // Ends whatever was begun, and the colours.
        let mut bytes = b"\x18\x1b[0m".to_vec();
        if *region {
            // It moves the cursor, which is put back.
            bytes.extend(b"\x1b7\x1b[r\x1b8");
        }
        for mode in modes {
            bytes.extend(format!("\x1b[?{mode}l").bytes());
        }
        if *keypad {
            bytes.extend(b"\x1b>");
        }
        if *kitty_keys > 0 {
            bytes.extend(format!("\x1b[<{kitty_keys}u").bytes());
        }
        if *other_keys {
            bytes.extend(b"\x1b[>4;0m");
        }
        if *hidden_cursor {
            bytes.extend(b"\x1b[?25h");
        }
        bytes
    }
}

impl Changed {
    fn csi(&mut self, params: &Params, intermediates: &[u8], action: char) {
        let numbers = || params.iter().filter_map(|param| param.first().copied());
        match (intermediates, action) {
            (b"?", 'h' | 'l') => numbers().for_each(|mode| self.mode(mode, action == 'h')),
            ([], 'r') => self.region = true,
            (b">", 'u') => self.kitty_keys = self.kitty_keys.saturating_add(1).min(100),
            (b"<", 'u') => {
                let popped = numbers().next().filter(|count| *count > 0).unwrap_or(1);
                self.kitty_keys = self.kitty_keys.saturating_sub(u32::from(popped));
            }
            (b">", 'm') => self.other_keys = numbers().nth(1).is_some_and(|level| level > 0),
            _ => {}
        }
    }

    fn mode(&mut self, mode: u16, on: bool) {
        if mode == 25 {
            self.hidden_cursor = !on;
        } else if on && RESET.contains(&mode) {
            self.modes.insert(mode);
        } else {
            self.modes.remove(&mode);
        }
    }
}

/// Whether a control sequence asks: DA, DSR and DECRQM in all their forms, DECREQTPARM, XTVERSION, kitty's keys,
/// and the questions among XTWINOPS, XTSMGRAPHICS, XTMODKEYS and XTCHECKSUM.
fn asks(params: &Params, intermediates: &[u8], action: char) -> bool {
    let first = || params.iter().next().and_then(|param| param.first().copied()).unwrap_or_default();
    match (intermediates, action) {
        (_, 'c' | 'n') | (b"" | b"?", 'x') | (b">", 'q') | (b"?", 'u' | 'S' | 'm') => true,
        (_, 'p') => intermediates.last() == Some(&b'$'),
        (_, 'w' | 'y' | 'z') => matches!(intermediates.last(), Some(b'$' | b'*')),
        ([], 't') => (11..=21).contains(&first()),
        _ => false,
    }
}

impl Follower {
    fn string(&mut self, asks: bool) {
        let fate = if asks { Fate::Leave } else { Fate::Show };
        self.done = Some(fate);
        self.ending = (self.held.last() == Some(&0x1b)).then_some(fate);
    }
}

impl Perform for Follower {
    fn print(&mut self, _: char) {
        self.done = Some(Fate::Show);
    }

    fn execute(&mut self, _: u8) {
        // In the middle of a sequence it is obeyed, and the sequence goes on.
        if self.held.len() <= 1 {
            self.done = Some(Fate::Show);
        }
    }

    fn hook(&mut self, _: &Params, intermediates: &[u8], _: bool, action: char) {
        // DECRQSS and XTGETTCAP.
        self.asking = action == 'q' && matches!(intermediates, b"$" | b"+");
    }

    fn unhook(&mut self) {
        let asks = std::mem::take(&mut self.asking);
        self.string(asks);
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        let asks = params.iter().skip(1).any(|param| *param == b"?" || param.ends_with(b"=?"));
        self.string(asks);
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        self.changed.csi(params, intermediates, action);
        self.done = Some(if asks(params, intermediates, action) { Fate::Leave } else { Fate::Show });
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        match (intermediates, byte) {
            ([], b'=') => self.changed.keypad = true,
            ([], b'>') => self.changed.keypad = false,
            ([], b'c') => self.changed = Changed::default(),
            _ => {}
        }
        // DECID is the oldest of the questions.
        let fate = if (intermediates, byte) == (&[], b'Z') { Fate::Leave } else { Fate::Show };
        self.done = Some(self.ending.take().filter(|_| byte == b'\\').unwrap_or(fate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut replay = Replay::default();
        // However it is cut.
        let shown: Vec<u8> = text.bytes().flat_map(|byte| replay.feed(&[byte], false)).collect();
        assert_eq!(shown, Replay::default().feed(text.as_bytes(), false));
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn what_is_no_question_is_shown_as_it_was() {
        for text in [
            "plain\r\n\ttext, ä 漢 🦀\n",
            "\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;5H",
            "\x1b]0;title\x07\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
            "\x1b(B\x1b7\x1b8\x1b[?2004h\x1b[3 q",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn questions_are_left_out() {
        for question in [
            "\x1b[c",
            "\x1b[>c",
            "\x1b[=0c",
            "\x1b[5n",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[?2026$p",
            "\x1b[4$p",
            "\x1b[>q",
            "\x1b[>0q",
            "\x1b[?u",
            "\x1b[18t",
            "\x1b[x",
            "\x1bZ",
            "\x1b]10;?\x07",
            "\x1b]4;1;?\x1b\\",
            "\x1b]21;foreground=?\x07",
        ] {
            let rest = shown(&format!("a{question}b"));
            assert_eq!(rest, "ab", "{question:?}");
        }
        assert_eq!(shown("a\x1bP$qm\x1b\\b\x1bP+q544e\x1b\\c"), "abc");
        assert_eq!(Replay::default().feed(b"\x1b[c", true), b"\x1b[c");
    }

    #[test]
    fn what_was_changed_is_put_back_and_nothing_else() {
        let restored = |text: &str| {
            let [restored, live] = [false, true].map(|live| {
                let mut replay = Replay::default();
                replay.feed(text.as_bytes(), live);
                String::from_utf8(replay.restore()).unwrap()
            });
            assert_eq!(restored, live);
            restored
        };
        assert_eq!(restored("plain"), "\x18\x1b[0m");
        assert_eq!(restored("\x1b[?1049h\x1b[?1049l\x1b[?25l\x1b[?25h\x1b[>1u\x1b[<u"), "\x18\x1b[0m");
        assert_eq!(restored("\x1b[?1049;2004h\x1b[?25l"), "\x18\x1b[0m\x1b[?1049l\x1b[?2004l\x1b[?25h");
        assert_eq!(restored("\x1b[5;10r"), "\x18\x1b[0m\x1b7\x1b[r\x1b8");
        assert_eq!(restored("\x1b[>1u\x1b[>4;2m\x1b="), "\x18\x1b[0m\x1b>\x1b[<1u\x1b[>4;0m");
    }

    #[test]
    fn a_sequence_without_an_end_takes_a_bounded_memory() {
        let mut replay = Replay::default();
        replay.feed(b"\x1b]0;", false);
        for _ in 0..10 {
            replay.feed(&[b'x'; HELD_MAX], false);
        }
        assert!(replay.follower.held.len() <= HELD_MAX);
        assert_eq!(replay.feed(b"\x07after", false), b"after");
    }
}
