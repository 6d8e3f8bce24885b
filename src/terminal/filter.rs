//! What an agent writes to the user's terminal, without the sequences that reach past it.
//!
//! A terminal obeys whoever writes to it: it can set or type out the clipboard, run commands, read
//! files of the host, program keys, or type attacker-chosen text into the shell that follows the
//! agent. The filter holds a control sequence back until [`verdict`] can tell what it is, then
//! lets every byte of it through or none. Control strings are let through from an allowlist,
//! since terminals invent new ones; CSI sequences, whose bulk is harmless, from a denylist.
//!
//! The grammar is ECMA-48's, read as widely as any terminal reads it: an introducer counts in its
//! 7-bit form, as a C1 byte outside of UTF-8 text, and as a UTF-8 encoded C1 character; it counts
//! also in the middle of a string that was let through; bytes that some terminals skip inside a
//! sequence don't end it. The terminal is taken to be in UTF-8 mode, and leaving that mode is one of the
//! things that the filter doesn't let through.

use super::utf8::Utf8;
use super::verdict::{self, Verdict};

/// Longest sequence that is held back undecided, in bytes. A longer one is dropped. Real ones stay
/// below 200 bytes: after that many a verdict is always known.
const HELD_MAX: usize = 1024;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;
/// First byte of the UTF-8 encoding of U+0080 to U+00BF.
const C1_LEAD: u8 = 0xc2;

/// A kind of control string or sequence, by its introducer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Csi,
    Osc,
    Dcs,
    Apc,
}

impl Kind {
    /// By the byte after ESC, or by the C1 control, which is that byte plus 0x40 (ECMA-48, 5.3).
    fn of(introducer: u8) -> Option<Self> {
        match introducer {
            b'[' => Some(Self::Csi),
            b']' => Some(Self::Osc),
            b'P' => Some(Self::Dcs),
            b'_' => Some(Self::Apc),
            _ => None,
        }
    }

    fn of_c1(control: u8) -> Option<Self> {
        (0x80..0xa0).contains(&control).then(|| Self::of(control - 0x40)).flatten()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Text, and the bodies of strings that were let through.
    #[default]
    Ground,
    /// [`C1_LEAD`] is held: the next byte tells whether it is a C1 control.
    Lead,
    /// ESC is held, with intermediate bytes and ignored ones.
    Escape,
    /// An introducer is held; what follows it starts at `body`.
    Held { kind: Kind, body: usize },
    /// In a string that was not let through.
    Swallow { kind: Kind, escape: bool },
}

/// The filter of one stream. Its memory is bounded. A sequence that is unfinished when the stream
/// ends was held back, and so can't take its continuation from what others write next.
#[derive(Debug, Default)]
pub struct Filter {
    state: State,
    held: Vec<u8>,
    utf8: Utf8,
}

impl Filter {
    /// Appends to `out` what of `input` may reach the terminal. How the stream is cut into inputs
    /// makes no difference.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let mut rest = input;
        while let Some(&byte) = rest.first() {
            if self.state == State::Ground && self.utf8.at_boundary() {
                let plain = rest.iter().position(|&byte| byte == ESC || byte >= 0x80).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if plain > 0 {
                    continue;
                }
            }
            self.step(byte, out);
            rest = &rest[1..];
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.state {
            State::Ground => self.ground(byte, out),
            State::Lead => self.lead(byte, out),
            State::Escape => self.escape(byte, out),
            State::Held { kind: Kind::Csi, body } => self.csi(byte, body, out),
            State::Held { kind, body } => self.header(byte, kind, body, out),
            State::Swallow { kind, escape } => self.swallow(byte, kind, escape, out),
        }
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.utf8.continues(byte) {
            return out.push(byte);
        }
        if byte == ESC {
            self.hold(byte, State::Escape);
        } else if byte == C1_LEAD {
            self.utf8 = Utf8::default();
            self.hold(byte, State::Lead);
        } else if let Some(kind) = Kind::of_c1(byte) {
            self.hold(byte, State::Held { kind, body: 1 });
        } else {
            out.push(byte);
        }
    }

    fn lead(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Some(kind) = Kind::of_c1(byte) {
            self.hold(byte, State::Held { kind, body: 2 });
        } else {
            self.release(out);
            if (0x80..0xc0).contains(&byte) { out.push(byte) } else { self.step(byte, out) }
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            // It starts anew. The first stays held with it: let through alone, it would join with
            // what follows if the second's sequence is dropped.
            ESC => self.hold(byte, State::Escape),
            // Some terminals take a high byte for its lower half, and ']' out of U+00DD.
            CAN | SUB | 0x80.. => self.abandon(byte, out),
            0x00..0x20 | DEL | b' '..=b'/' => self.hold(byte, State::Escape),
            b'0'..=b'~' => {
                let start = self.held.iter().rposition(|&held| held == ESC).unwrap_or_default();
                let intermediates = self.held[start..].iter().any(|held| (b' '..=b'/').contains(held));
                match Kind::of(byte).filter(|_| !intermediates) {
                    Some(kind) => {
                        let body = self.held.len() + 1;
                        self.hold(byte, State::Held { kind, body });
                    }
                    None => {
                        self.held.push(byte);
                        if verdict::escape(&self.held[start..]) == Verdict::Pass {
                            self.release(out)
                        } else {
                            self.drop_held()
                        }
                    }
                }
            }
        }
        self.bound();
    }

    fn csi(&mut self, byte: u8, body: usize, out: &mut Vec<u8>) {
        match byte {
            ESC => {
                self.drop_held();
                self.hold(byte, State::Escape);
            }
            CAN | SUB | 0x80.. => self.abandon(byte, out),
            b'@'..=b'~' => {
                self.held.push(byte);
                if verdict::csi(&self.held[body..]) == Verdict::Pass { self.release(out) } else { self.drop_held() }
            }
            _ => self.hold(byte, State::Held { kind: Kind::Csi, body }),
        }
        self.bound();
    }

    /// The start of a control string, of which too little is known yet.
    fn header(&mut self, byte: u8, kind: Kind, body: usize, out: &mut Vec<u8>) {
        if matches!(byte, CAN | SUB) {
            return self.abandon(byte, out);
        }
        let ends = byte == ESC || (byte == BEL && kind == Kind::Osc);
        if !ends {
            self.held.push(byte);
        }
        match verdict::string(kind, &self.held[body..], ends) {
            Verdict::Pass => {
                // What ends or isn't ASCII belongs to the text that follows the header.
                let header = !ends && byte.is_ascii();
                if !ends && !header {
                    self.held.pop();
                }
                self.release(out);
                if !header {
                    self.step(byte, out);
                }
            }
            Verdict::Undecided if self.held.len() < HELD_MAX => {}
            Verdict::Undecided | Verdict::Drop => {
                self.drop_held();
                self.state = State::Swallow { kind, escape: false };
                self.step(byte, out);
            }
        }
    }

    fn swallow(&mut self, byte: u8, kind: Kind, escape: bool, out: &mut Vec<u8>) {
        let stay = State::Swallow { kind, escape: false };
        if escape {
            self.state = match byte {
                b'\\' => State::Ground,
                // tmux wraps sequences in a DCS and doubles each ESC of theirs.
                ESC if kind == Kind::Dcs => stay,
                _ => {
                    self.hold(ESC, State::Escape);
                    return self.step(byte, out);
                }
            };
            return;
        }
        if self.utf8.continues(byte) {
            // U+009C, the string terminator, is the only one whose encoding ends the string.
            if self.utf8.completed() == Some(0x9c) {
                self.state = State::Ground;
            }
            return;
        }
        match byte {
            ESC => self.state = State::Swallow { kind, escape: true },
            CAN | SUB => self.abandon(byte, out),
            BEL if kind == Kind::Osc => self.state = State::Ground,
            0x9c => self.state = State::Ground,
            _ => {}
        }
    }

    fn hold(&mut self, byte: u8, state: State) {
        self.held.push(byte);
        self.state = state;
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.state = State::Ground;
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.state = State::Ground;
    }

    /// Drops the held sequence, which `byte` breaks off, and goes on with that byte.
    fn abandon(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.drop_held();
        self.step(byte, out);
    }

    fn bound(&mut self) {
        if self.held.len() > HELD_MAX {
            self.drop_held();
        }
    }
}

#[cfg(test)]
mod tests;
