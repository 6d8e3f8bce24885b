//! Tells the continuation bytes of UTF-8 from C1 control bytes.

/// A decoder that only follows along (Unicode 16, table 3-7: well-formed byte sequences).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// Continuation bytes that are still due.
    due: u8,
    /// Bounds of the next one.
    low: u8,
    high: u8,
    /// The character so far.
    value: u32,
}

impl Utf8 {
    /// Between two characters.
    pub(super) fn at_boundary(self) -> bool {
        self.due == 0
    }

    /// The character that the last byte completed.
    pub(super) fn completed(self) -> Option<u32> {
        self.at_boundary().then_some(self.value)
    }

    /// Takes the next byte. True if it continues a character; a byte that doesn't may start one.
    pub(super) fn continues(&mut self, byte: u8) -> bool {
        if self.due > 0 && (self.low..=self.high).contains(&byte) {
            let value = (self.value << 6) | u32::from(byte & 0x3f);
            *self = Self { due: self.due - 1, low: 0x80, high: 0xbf, value };
            return true;
        }
        let (due, low, high) = match byte {
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            _ => (0, 0, 0),
        };
        let payload = if due == 0 { 0 } else { byte & (0x3f >> due) };
        *self = Self { due, low, high, value: u32::from(payload) };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continuation_bytes_are_known_from_the_standard_library_s_view_of_each_character() {
        for character in ('\0'..=char::MAX).step_by(7).chain("\u{9c}\u{dd}\u{ffff}\u{10000}\u{10ffff}".chars()) {
            let (mut utf8, mut bytes) = (Utf8::default(), [0; 4]);
            let bytes = character.encode_utf8(&mut bytes).as_bytes();
            assert!(!utf8.continues(bytes[0]), "{character:?}");
            for &byte in &bytes[1..] {
                assert!(utf8.continues(byte), "{character:?}");
            }
            assert!(utf8.at_boundary(), "{character:?}");
            if bytes.len() > 1 {
                assert_eq!(utf8.completed(), Some(u32::from(character)));
            }
        }
    }

    #[test]
    fn overlong_and_cut_characters_have_no_continuation() {
        for bytes in [&b"\xc0\x9b"[..], b"\xc1\x9b", b"\xe0\x82", b"\xf0\x80", b"\xed\xa0", b"\xf4\x90", b"\xc3A"] {
            let mut utf8 = Utf8::default();
            assert!(!utf8.continues(bytes[0]) && !utf8.continues(bytes[1]), "{bytes:x?}");
        }
    }
}
