//! Git's frames, pkt-lines (gitprotocol-common(5)).

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// The longest payload of a packet, in bytes (`LARGE_PACKET_MAX` less the length itself).
pub const DATA_MAX: usize = 65516;

/// One packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A payload.
    Data(Vec<u8>),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of a response, where requests are sent one at a time (gitremote-helpers(7)).
    ResponseEnd,
}

impl Packet {
    /// The payload as text, without a line feed at its end.
    pub fn line(&self) -> Option<&str> {
        let Self::Data(data) = self else { return None };
        std::str::from_utf8(data.strip_suffix(b"\n").unwrap_or(data)).ok()
    }
}

/// Reads a packet; nothing at the end of the stream.
///
/// # Errors
/// If reading fails, or what is read is no packet.
pub fn read(from: &mut impl BufRead) -> io::Result<Option<Packet>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let digits = length.iter().all(u8::is_ascii_hexdigit).then_some(&length[..]);
    let length = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    match length.and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
        Some(0) => Ok(Some(Packet::Flush)),
        Some(1) => Ok(Some(Packet::Delimiter)),
        Some(2) => Ok(Some(Packet::ResponseEnd)),
        Some(length) if (4..=DATA_MAX + 4).contains(&length) => {
            let mut data = vec![0; length - 4];
            from.read_exact(&mut data)?;
            Ok(Some(Packet::Data(data)))
        }
        _ => Err(io::Error::new(ErrorKind::InvalidData, "this is not git's protocol")),
    }
}

/// Writes a packet.
///
/// # Errors
/// If writing fails, or the payload has more than [`DATA_MAX`] bytes.
pub fn write(to: &mut impl Write, packet: &Packet) -> io::Result<()> {
    match packet {
        Packet::Flush => to.write_all(b"0000"),
        Packet::Delimiter => to.write_all(b"0001"),
        Packet::ResponseEnd => to.write_all(b"0002"),
        Packet::Data(data) if data.len() <= DATA_MAX => {
            write!(to, "{:04x}", data.len() + 4)?;
            to.write_all(data)
        }
        Packet::Data(_) => Err(io::Error::new(ErrorKind::InvalidInput, "a packet of git's is too long")),
    }
}

/// Writes a line as a packet.
///
/// # Errors
/// Those of [`write`].
pub fn write_line(to: &mut impl Write, line: &str) -> io::Result<()> {
    write(to, &Packet::Data(format!("{line}\n").into_bytes()))
}

/// A line at a time of at most so many bytes; a longer one is cut. Nothing at the end of the stream.
///
/// # Errors
/// If reading fails.
pub fn read_text_line(from: &mut impl BufRead, bytes_max: u64) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.by_ref().take(bytes_max).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        from.skip_until(b'\n')?;
    }
    Ok(Some(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut bytes: &[u8]) -> io::Result<Vec<Packet>> {
        std::iter::from_fn(|| read(&mut bytes).transpose()).collect()
    }

    #[test]
    fn packets_are_read_as_the_protocol_has_them() {
        let packets = all(b"0006a\n0000000100020004000bfoobar\n").unwrap();
        let data = |text: &str| Packet::Data(text.into());
        let expected = [data("a\n"), Packet::Flush, Packet::Delimiter, Packet::ResponseEnd, data(""), data("foobar\n")];
        assert_eq!(packets, expected);
        assert_eq!(packets[0].line(), Some("a"));
    }

    #[test]
    fn what_is_no_packet_is_an_error_and_takes_no_memory() {
        for bad in [&b"0003"[..], b"zzzz", b"+005a", b"fff5", b"ffff", b"00", b"0009a", b"HTTP/1.1 200"] {
            all(bad).unwrap_err();
        }
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_whole() {
        let mut text = &b"aaaaaaaa\nb\n\nc"[..];
        let lines: Vec<String> = std::iter::from_fn(|| read_text_line(&mut text, 4).unwrap()).collect();
        assert_eq!(lines, ["aaaa", "b", "", "c"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Vec::new();
            write(&mut bytes, &Packet::Data(data.clone())).unwrap();
            prop_assert_eq!(all(&bytes).unwrap(), [Packet::Data(data)]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = all(&bytes);
        }
    }
}
