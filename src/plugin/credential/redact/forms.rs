//! The forms in which a credential shows.

use crate::plugin::credential::pages::Wiped;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

/// Lines of a credential of several (a private key) are looked for by themselves from this length on: programs
/// indent them and end them with CR LF.
const LINE_MIN: usize = 24;
/// What base64 makes of a prefix of 0, 1 and 2 bytes is partly the prefix's: so many characters.
const FOREIGN: [usize; 3] = [0, 2, 3];

/// The characters that encoders of URLs leave as they are, besides letters and digits.
const KEPT: [&[u8]; 4] = [
    // RFC 3986, section 2.3.
    b"-._~",
    // encodeURIComponent and encodeURI (ECMA-262, 19.2.6).
    b"-._~!*'()",
    b"-._~!*'();/?:@&=+$,#",
    // application/x-www-form-urlencoded (URL Standard, 5.2), which has a plus for a space.
    b"-._*",
];

/// Which characters a writer of JSON escapes beyond what it must (RFC 8259, section 7).
#[derive(Clone, Copy)]
struct Escapes {
    /// The slash.
    slash: bool,
    /// What HTML has a meaning for.
    html: bool,
    /// All that is not ASCII.
    ascii: bool,
}

/// Every form of a credential, of `SECRET_MIN` bytes or more; none is shorter than that, and none twice.
pub fn of(secret: &[u8]) -> Vec<Wiped> {
    let mut forms = vec![plain(secret)];
    for prefix in 0..FOREIGN.len() {
        forms.push(base64(secret, prefix, &BASE64));
        forms.push(base64(secret, prefix, &BASE64URL));
    }
    for encoding in [HEXLOWER, HEXUPPER] {
        let mut form = vec![0; encoding.encode_len(secret.len())];
        encoding.encode_mut(secret, &mut form);
        forms.push(Wiped::from(form));
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        forms.push(percent(secret, digits, |_| false, false));
        for kept in KEPT {
            forms.push(percent(
                secret,
                digits,
                |byte| byte.is_ascii_alphanumeric() || kept.contains(&byte),
                kept == KEPT[3],
            ));
        }
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        for choice in 0..8 {
            let escapes = Escapes { slash: choice & 1 != 0, html: choice & 2 != 0, ascii: choice & 4 != 0 };
            forms.push(json(text, escapes));
        }
    }
    if secret.contains(&b'\n') {
        let lines = secret.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        forms.extend(lines.filter(|line| line.len() >= LINE_MIN && !line.starts_with(b"-----")).map(plain));
    }
    forms.sort_unstable_by(|one, other| one.bytes().cmp(other.bytes()));
    forms.dedup_by(|one, other| one.bytes() == other.bytes());
    forms
}

fn plain(bytes: &[u8]) -> Wiped {
    Wiped::from(bytes.to_vec())
}

/// What base64 makes of the credential behind so many bytes (or three times any number more) and before others,
/// as `user:token` of the scheme `Basic` is: the characters that the credential alone determines. So it is the same
/// with padding and without. Up to four bits of its first and of its last byte are in characters of both,
/// and stay.
fn base64(secret: &[u8], prefix: usize, encoding: &data_encoding::Encoding) -> Wiped {
    let mut source = Wiped::with_room(prefix + secret.len());
    (0..prefix).for_each(|_| source.push(0));
    source.extend(secret);
    let mut encoded = vec![0; encoding.encode_len(source.bytes().len())];
    encoding.encode_mut(source.bytes(), &mut encoded);
    let encoded = Wiped::from(encoded);
    let whole = source.bytes().len() * 8 / 6;
    plain(&encoded.bytes()[FOREIGN[prefix]..whole])
}

fn percent(secret: &[u8], digits: &[u8; 16], keep: impl Fn(u8) -> bool, plus: bool) -> Wiped {
    let mut form = Wiped::with_room(3 * secret.len());
    for byte in secret {
        match byte {
            b' ' if plus => form.push(b'+'),
            byte if keep(*byte) => form.push(*byte),
            byte => form.extend(&[b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        }
    }
    form
}

fn json(text: &str, escapes: Escapes) -> Wiped {
    use std::io::Write;
    // The longest escape of a byte has six.
    let mut form = Wiped::with_room(6 * text.len());
    for character in text.chars() {
        let short = match character {
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            '/' if escapes.slash => Some(b'/'),
            '\n' => Some(b'n'),
            '\r' => Some(b'r'),
            '\t' => Some(b't'),
            '\u{8}' => Some(b'b'),
            '\u{c}' => Some(b'f'),
            _ => None,
        };
        let long = character < ' '
            || (escapes.html && "<>&\u{2028}\u{2029}".contains(character))
            || (escapes.ascii && !matches!(character, ' '..='~'));
        let mut units = [0; 2];
        if let Some(letter) = short {
            form.extend(&[b'\\', letter]);
        } else if long {
            for unit in character.encode_utf16(&mut units) {
                let mut escape = *b"\\u0000";
                let _ = write!(&mut escape[2..], "{unit:04x}");
                form.extend(&escape);
            }
        } else {
            let mut bytes = [0; 4];
            form.extend(character.encode_utf8(&mut bytes).as_bytes());
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(secret: &[u8], form: &[u8]) -> bool {
        of(secret).iter().any(|known| known.bytes() == form)
    }

    #[test]
    fn a_token_has_few_forms_and_none_twice() {
        let forms = of(b"ghp_0123456789abcdefghijABCDEFGHIJ012345");
        assert_eq!(forms.len(), 8);
        assert!(forms.iter().all(|form| form.bytes().len() >= crate::plugin::credential::SECRET_MIN));
    }

    #[test]
    fn base64_is_found_at_every_place_before_anything_in_both_alphabets() {
        let secret = b"\xff\xfe?>token?";
        let forms = of(secret);
        for before in 0..7 {
            for after in 0..4 {
                for encoding in [BASE64, data_encoding::BASE64_NOPAD, BASE64URL, data_encoding::BASE64URL_NOPAD] {
                    let text = [&b"u:ser::"[..before], secret, &b"abc"[..after]].concat();
                    let text = encoding.encode(&text);
                    let shown = |form: &Wiped| {
                        let bytes = form.bytes();
                        bytes.len() >= 12 && text.as_bytes().windows(bytes.len()).any(|window| window == bytes)
                    };
                    assert!(forms.iter().any(shown), "{text}");
                }
            }
        }
    }

    #[test]
    fn encoders_of_urls_json_and_hexadecimal_make_these() {
        let secret = "pä/s <w>~*\"rd\n!".as_bytes();
        let expected: [&str; 12] = [
            "p%C3%A4%2Fs%20%3Cw%3E~%2A%22rd%0A%21",
            "p%c3%a4%2fs%20%3cw%3e~%2a%22rd%0a%21",
            "p%C3%A4%2Fs%20%3Cw%3E~*%22rd%0A!",
            "p%C3%A4/s%20%3Cw%3E~*%22rd%0A!",
            "p%C3%A4%2Fs+%3Cw%3E%7E*%22rd%0A%21",
            "%70%C3%A4%2F%73%20%3C%77%3E%7E%2A%22%72%64%0A%21",
            "70c3a42f73203c773e7e2a2272640a21",
            "70C3A42F73203C773E7E2A2272640A21",
            r#"pä/s <w>~*\"rd\n!"#,
            r#"pä\/s <w>~*\"rd\n!"#,
            r#"pä/s \u003cw\u003e~*\"rd\n!"#,
            r#"p\u00e4/s <w>~*\"rd\n!"#,
        ];
        for form in expected {
            assert!(has(secret, form.as_bytes()), "{form}");
        }
        let written = serde_json::to_string("\u{1}\u{7f}\t\u{8}\u{c}\r\"token").unwrap();
        assert!(has("\u{1}\u{7f}\t\u{8}\u{c}\r\"token".as_bytes(), written.trim_matches('"').as_bytes()), "{written}");
    }

    #[test]
    fn long_lines_of_a_key_are_forms_and_its_frame_is_none() {
        let line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU";
        let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\r\n{line}\r\nAAAA\n-----END OPENSSH PRIVATE KEY-----");
        assert!(has(key.as_bytes(), line.as_bytes()));
        assert!(!has(key.as_bytes(), b"AAAA"));
        assert!(!has(key.as_bytes(), b"-----END OPENSSH PRIVATE KEY-----"));
    }
}
