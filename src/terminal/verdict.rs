//! Which control sequences an agent may send to the user's terminal.
//!
//! Names and numbers are those of xterm's "XTerm Control Sequences" (ctlseqs), ECMA-48 and the
//! documentation of the terminal that introduced the sequence.

use super::filter::Kind;

/// What becomes of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Drop,
    /// More of it has to be seen.
    Undecided,
}

impl Verdict {
    fn pass_if(allowed: bool) -> Self {
        if allowed { Self::Pass } else { Self::Drop }
    }
}

/// An escape sequence without a string: ESC, intermediate bytes, final byte.
///
/// `ESC %` selects the encoding (ISO 2022, 15.4). Any but UTF-8 (`G`, and `8` formerly) would make the
/// terminal see controls where the filter sees the middle of a character.
pub(super) fn escape(sequence: &[u8]) -> Verdict {
    let mut visible = sequence[1..].iter().filter(|byte| (b' '..=b'~').contains(byte));
    let coding = visible.next() == Some(&b'%');
    Verdict::pass_if(!coding || matches!(visible.next(), Some(b'G' | b'8')))
}

/// A control sequence, without its introducer: parameters, intermediates, final byte.
pub(super) fn csi(sequence: &[u8]) -> Verdict {
    // Controls in the middle of it are obeyed or skipped by terminals, not part of it.
    let visible: Vec<u8> = sequence.iter().copied().filter(|byte| (b' '..=b'~').contains(byte)).collect();
    let Some((&last, head)) = visible.split_last() else { return Verdict::Drop };
    let intermediate = head.last().filter(|byte| (b' '..=b'/').contains(byte));
    let numbers = || head.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty()).map(number);
    let dropped = match (intermediate, last) {
        // Window title and icon label, typed as if by the user: XTWINOPS 21 and 20.
        (None, b't') => {
            let takes_sizes = matches!(numbers().next(), Some(Some(3 | 4 | 8)));
            !takes_sizes && numbers().any(|number| !matches!(number, Some(0..=19 | 22..)))
        }
        // Media copy: sends the screen, or what follows, to a print command of the host.
        (None, b'i') => true,
        // DECRQCRA reads the screen back as checksums, what stood there before the agent too;
        // DECINVM replays a macro, which can hold any sequence.
        (Some(b'*'), b'y' | b'z') => true,
        // Tektronix and VT52 modes have another grammar than the one that is filtered here.
        (None, b'h') => head.contains(&b'?') && numbers().any(|number| matches!(number, None | Some(38))),
        (None, b'l') => head.contains(&b'?') && numbers().any(|number| matches!(number, None | Some(2))),
        _ => false,
    };
    Verdict::pass_if(!dropped)
}

/// The start of a control string, without its introducer; `ended` if it was all.
pub(super) fn string(kind: Kind, body: &[u8], ended: bool) -> Verdict {
    match kind {
        Kind::Csi => csi(body),
        Kind::Osc => osc(body, ended),
        Kind::Dcs => dcs(body, ended),
        Kind::Apc => apc(body, ended),
    }
}

/// Operating system commands: `number ; text`.
fn osc(body: &[u8], ended: bool) -> Verdict {
    // The Linux console's palette: "P" and seven hexadecimal digits, or "R".
    if matches!(body.first(), Some(b'P' | b'R')) {
        return Verdict::Pass;
    }
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = match (body.get(digits), ended) {
        (Some(b';'), _) => &body[digits + 1..],
        (None, true) => &body[digits..],
        (None, false) => return if digits > 5 { Verdict::Drop } else { Verdict::Undecided },
        (Some(_), _) => return Verdict::Drop,
    };
    match number(&body[..digits]) {
        // Titles; palette and colours with their queries, whose answers are numbers; working
        // directory; hyperlinks; pointer shape; text size; notifications of kitty; resets of
        // colours; prompt marks; context marks of systemd.
        Some(0..=2 | 4 | 5 | 7 | 8 | 10..=19 | 22 | 66 | 99 | 104 | 105 | 110..=119 | 133 | 3008) => Verdict::Pass,
        Some(9) => osc_9(text, ended),
        Some(21) => osc_21(text, ended),
        Some(777) => osc_777(text, ended),
        Some(1337) => osc_1337(text, ended),
        // Among them 3 (X property), 46 (log file), 50 (font), 51 (calls into Emacs or Vim), 52
        // and 5522 (clipboard), 20 and 7xx (extensions of rxvt), 633 (commands of VS Code).
        _ => Verdict::Drop,
    }
}

/// A notification of iTerm2's, or `number ; arguments` of ConEmu's: progress (4), working
/// directory (9) and prompt mark (12) pass; message boxes, macros and commands to run don't.
fn osc_9(text: &[u8], ended: bool) -> Verdict {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match (text.get(digits), digits) {
        (None, _) if !ended => {
            if digits > 5 {
                Verdict::Drop
            } else {
                Verdict::Undecided
            }
        }
        (None | Some(b';'), 1..) => Verdict::pass_if(matches!(number(&text[..digits]), Some(4 | 9 | 12))),
        (Some(byte), _) if byte.is_ascii_control() => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

/// kitty's colours. A query for an unknown name is answered with that name, so names are held to
/// the letters of real ones.
fn osc_21(text: &[u8], ended: bool) -> Verdict {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_=?;:#/,.@%() -".contains(byte);
    match (text.iter().all(plain), ended) {
        (false, _) => Verdict::Drop,
        (true, true) => Verdict::Pass,
        (true, false) => Verdict::Undecided,
    }
}

/// rxvt's extensions; only notifications are harmless.
fn osc_777(text: &[u8], ended: bool) -> Verdict {
    starts_with_one_of(text, &[b"notify;"], ended)
}

/// iTerm2's own. Out stay those that copy to the clipboard, download, ask for files, report
/// variables, open addresses or steal the focus.
fn osc_1337(text: &[u8], ended: bool) -> Verdict {
    const IMAGES: [&[u8]; 2] = [b"File=", b"MultipartFile="];
    const OTHERS: [&[u8]; 8] = [
        b"FilePart=",
        b"FileEnd",
        b"SetMark",
        b"CurrentDir=",
        b"CursorShape=",
        b"ReportCellSize",
        b"UnicodeVersion=",
        b"ShellIntegrationVersion=",
    ];
    let Some(image) = IMAGES.iter().find(|prefix| text.starts_with(prefix)) else {
        return starts_with_one_of(text, &[&IMAGES[..], &OTHERS[..]].concat(), ended);
    };
    // Without `inline=1` a file is saved among the user's downloads.
    let arguments = &text[image.len()..];
    let end = arguments.iter().position(|&byte| byte == b':');
    if end.is_none() && !ended {
        return Verdict::Undecided;
    }
    let arguments = &arguments[..end.unwrap_or(arguments.len())];
    let mut inline = arguments.split(|&byte| byte == b';').filter(|argument| argument.starts_with(b"inline"));
    Verdict::pass_if(inline.next() == Some(b"inline=1") && inline.next().is_none())
}

/// Device control strings: parameters, intermediates, final byte, data.
///
/// Everything unknown goes, because screen hands a DCS to the outer terminal, tmux unwraps
/// one, kitty takes commands in one, and iTerm2 enters modes in which it obeys the stream; DECUDK
/// programs keys, DECDMAC records macros, XTSETTCAP changes what keys send.
fn dcs(body: &[u8], ended: bool) -> Verdict {
    let header = body.iter().take_while(|byte| (b' '..=b'?').contains(byte)).count();
    let Some(last) = body.get(header) else {
        return if ended { Verdict::Drop } else { Verdict::Undecided };
    };
    let data = &body[header + 1..];
    let (parameters, intermediates) =
        body[..header].split_at(body.iter().take_while(|byte| **byte >= b'0').count().min(header));
    let answered = |valid: bool| match (valid, ended) {
        (false, _) => Verdict::Drop,
        (true, true) => Verdict::Pass,
        (true, false) => Verdict::Undecided,
    };
    match (parameters, intermediates, last) {
        // Sixel graphics.
        (_, b"", b'q') => Verdict::pass_if(parameters.iter().all(|byte| byte.is_ascii_digit() || *byte == b';')),
        // Synchronized updates.
        (b"=1" | b"=2", b"", b's') => Verdict::Pass,
        // DECRQSS: some terminals echo a request that they don't know.
        (b"", b"$", b'q') => answered(data.len() <= 3 && data.iter().all(|byte| (b' '..=b'~').contains(byte))),
        // XTGETTCAP: names in hexadecimal, echoed.
        (b"", b"+", b'q') => answered(data.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b';')),
        _ => Verdict::Drop,
    }
}

/// Application program commands: only kitty's graphics, and only with the data in the stream. By
/// name (`t=f`, `t=t`, `t=s`) the terminal would open, or remove, files of the host.
fn apc(body: &[u8], ended: bool) -> Verdict {
    let Some((b'G', control)) = body.split_first() else {
        return if body.is_empty() && !ended { Verdict::Undecided } else { Verdict::Drop };
    };
    let end = control.iter().position(|&byte| byte == b';');
    if control[..end.unwrap_or(control.len())].iter().any(|byte| !byte.is_ascii_graphic()) {
        return Verdict::Drop;
    }
    if end.is_none() && !ended {
        return Verdict::Undecided;
    }
    let mut keys = control[..end.unwrap_or(control.len())].split(|&byte| byte == b',');
    Verdict::pass_if(keys.all(|key| !key.starts_with(b"t") || key == b"t=d"))
}

fn starts_with_one_of(text: &[u8], prefixes: &[&[u8]], ended: bool) -> Verdict {
    if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
        Verdict::Pass
    } else if !ended && prefixes.iter().any(|prefix| prefix.starts_with(text)) {
        Verdict::Undecided
    } else {
        Verdict::Drop
    }
}

/// A decimal number of up to five digits, with or without leading zeros; longer ones wrap around
/// in some terminals and are nobody's.
fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}
