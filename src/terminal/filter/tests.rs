use super::*;
use proptest::prelude::*;

fn filtered(input: &[u8]) -> Vec<u8> {
    let (mut filter, mut out) = (Filter::default(), Vec::new());
    filter.feed(input, &mut out);
    out
}

/// Every way to write an introducer.
fn spellings(sequence: &str) -> [Vec<u8>; 3] {
    let (introducer, rest) = sequence.split_at(1);
    let control = introducer.as_bytes()[0] + 0x40;
    let join = |head: &[u8]| [head, rest.as_bytes()].concat();
    [join(&[ESC, control - 0x40]), join(&[control]), join(&[0xc2, control])]
}

#[track_caller]
fn dropped(sequence: &str) {
    for spelled in spellings(sequence) {
        let input = [&b"before "[..], &spelled, b"after"].concat();
        assert_eq!(filtered(&input), b"before after", "{:?}", String::from_utf8_lossy(&input));
    }
}

#[track_caller]
fn passed(sequence: &str) {
    for spelled in spellings(sequence) {
        let input = [&b"before "[..], &spelled, b"after"].concat();
        assert_eq!(filtered(&input), input, "{:?}", String::from_utf8_lossy(&input));
    }
}

#[test]
fn the_clipboard_is_out_of_reach() {
    for end in ["\x07", "\x1b\\", "\u{9c}"] {
        for body in
            ["52;c;aGVsbG8=", "52;c;?", "52;;x", "052;c;x", "52", "5522;type=read", "000052;c;x", "4294967348;c;x"]
        {
            dropped(&format!("]{body}{end}"));
        }
    }
    dropped("]1337;Copy=:aGVsbG8=\x07");
    dropped("]1337;CopyToClipboard=general\x07");
}

#[test]
fn bytes_that_terminals_skip_hide_nothing() {
    assert_eq!(filtered(b"\x1b\x00]52;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b\x7f\r]52;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b]\x0052;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b]5\x002;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b[2\x001\x0at."), b".");
    assert_eq!(filtered(b"\x1b[2\x181t."), b"\x181t.");
    assert_eq!(filtered("\x1b[2²1t.".as_bytes()), "²1t.".as_bytes());
    assert_eq!(filtered("\x1bÝ52;c;x".as_bytes()), "Ý52;c;x".as_bytes());
}

#[test]
fn wrapped_and_nested_sequences_are_out_too() {
    dropped("Ptmux;\x1b\x1b]52;c;x\x07\x1b\\");
    dropped("Ptmux;\x1b\x1b]52;c;x\x1b\x1b\\\x1b\\");
    dropped("P\x1b]52;c;x\x07\x1b\\\x1b\\".trim_end_matches("\x1b\\"));
    assert_eq!(filtered(b"\x1b]0;title\x1b]52;c;x\x07."), b"\x1b]0;title.");
    assert_eq!(filtered(b"\x1bPq#0\x1b]52;c;x\x07."), b"\x1bPq#0.");
    assert_eq!(filtered(b"\x1b]0;t\x9d52;c;x\x07."), b"\x1b]0;t.");
    assert_eq!(filtered("\x1b]0;t\u{9d}52;c;x\x07.".as_bytes()), b"\x1b]0;t.");
    assert_eq!(filtered(b"\x1b[\x1b]52;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b]52;c;\x1b]52;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b(\x1b]52;c;x\x07."), b".");
    assert_eq!(filtered(b"\x1b\x1b]52;c;x\x07]52;c;x\x07"), b"]52;c;x\x07", "no introducer is left to meet the rest");
}

#[test]
fn malformed_utf_8_hides_nothing() {
    assert_eq!(filtered(b"\xe0\x82\x9d52;c;x\x07."), b"\xe0\x82.");
    assert_eq!(filtered(b"\xc3\x1b]52;c;x\x07."), b"\xc3.");
    assert_eq!(filtered(b"\xc2\xc2\x9d52;c;x\x07."), b"\xc2.");
    assert_eq!(filtered(b"\xf0\x9d\x9d52;c;x\x07."), b"\xf0\x9d\x9d52;c;x\x07.", "a cut character of three bytes");
    assert_eq!(filtered(b"\xc3\x9d\x9d52;c;x\x07."), b"\xc3\x9d.");
}

#[test]
fn the_terminal_types_no_text_of_the_agent_s() {
    for sequence in ["[21t", "[20t", "[021t", "[;21t", "[4294967317t", "[18;21t", "[?21t"] {
        dropped(sequence);
    }
    dropped("P|17/6c730d\x1b\\");
    dropped("P$qfoobar\r\x1b\\");
    dropped("P+qzz\r\x1b\\");
    dropped("]50;?\x07");
    dropped("]21;rm -rf ~\r=?\x07");
    dropped("]1337;ReportVariable=x\x07");
}

#[test]
fn commands_files_printers_macros_and_other_grammars_are_out() {
    for sequence in [
        "P@kitty-cmd{\"cmd\":\"launch\"}\x1b\\",
        "P1000p\x1b\\",
        "P2000p\x1b\\",
        "P+p6b\x1b\\",
        "P0;1;1!z1b5d\x1b\\",
        "[1*z",
        "[1;1;1;1;9;9*y",
        "[5i",
        "[?5i",
        "[i",
        "[?38h",
        "[?1;38h",
        "[?2l",
        "]46;/tmp/x\x07",
        "]51;E find-file\x07",
        "]777;spawn;x\x07",
        "]9;7;calc\x07",
        "]9;6;x\x07",
        "]633;E;rm\x07",
        "]1337;File=name=eA==:AAAA\x07",
        "]1337;File=inline=1;inline=0:AAAA\x07",
        "]1337;StealFocus\x07",
        "_Ga=T,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
        "_Gt=t,a=q;L3RtcA==\x1b\\",
        "_Ga=T,t=\x1b\\",
        "_title\x1b\\",
        "]foo\x07",
        "]\x07",
    ] {
        dropped(sequence);
    }
    assert_eq!(filtered(b"\x1b%@\xc3\x9d"), b"\xc3\x9d");
    assert_eq!(filtered(b"\x1b%/G."), b".");
}

#[test]
fn what_agents_use_is_untouched() {
    for sequence in [
        "[31;1m",
        "[38;2;1;2;3m",
        "[38:2::1:2:3m",
        "[?1049h",
        "[?2004h",
        "[?2026l",
        "[>1u",
        "[=5;1u",
        "[<u",
        "[?u",
        "[c",
        "[>0q",
        "[6n",
        "[18t",
        "[22;0t",
        "[23;0t",
        "[8;21;80t",
        "[4;20;20t",
        "[2 q",
        "[?25$p",
        "[1;20;3;21;7$t",
        "[?2h",
        "]0;title é\x07",
        "]2;title\x1b\\",
        "]2;Ü in it\x1b\\",
        "]8;id=1;https://example.com/é\x1b\\",
        "]8;;\x07",
        "]9;4;1;50\x07",
        "]9;done: é\x07",
        "]9;é\x07",
        "]9;5 items\x07",
        "]133;A\x07",
        "]11;?\x1b\\",
        "]4;1;?\x07",
        "]104\x07",
        "]7;file://host/tmp\x07",
        "]99;i=1;text\x1b\\",
        "]777;notify;a;b\x07",
        "]21;foreground=?\x1b\\",
        "]1337;File=name=eA==;inline=1:AAAA\x07",
        "]1337;SetMark\x07",
        "Pq#0;2;0;0;0~~$-\x1b\\",
        "P0;1;0q\"1;1;9;9#0~\x1b\\",
        "P$qm\x1b\\",
        "P$q q\x1b\\",
        "P+q544e;636f\x1b\\",
        "P=1s\x1b\\",
        "_Ga=T,f=100,m=1;AAAA\x1b\\",
        "_Gm=0;AAAA\x1b\\",
        "_Ga=q,t=d,i=1;AAAA\x1b\\",
        "_Ga=d\x1b\\",
    ] {
        passed(sequence);
    }
    for sequence in [
        "\x1b7\x1b8\x1b=\x1b>\x1bM\x1bc",
        "\x1b(0lqk\x1b(B",
        "\x1b%G",
        "\x1b#8",
        "\x1bkname\x1b\\",
        "\x1b\x1b[A",
        "\u{84}",
    ] {
        assert_eq!(filtered(sequence.as_bytes()), sequence.as_bytes());
    }
}

#[test]
fn a_dropped_string_without_an_end_gives_way_to_the_next_sequence() {
    assert_eq!(filtered(b"\x1b]52;c;xxxx\x1b[mtext"), b"\x1b[mtext");
}

#[test]
fn memory_is_bounded() {
    for start in ["\x1b[", "\x1b(", "\x1b]21;", "\x1bP+q", "\x1b_Ga=T,", "\x1b]52;", "\x1b]1337;File="] {
        let (mut filter, mut out) = (Filter::default(), Vec::new());
        filter.feed(start.as_bytes(), &mut out);
        for _ in 0..100 {
            filter.feed(&[b'1'; 1000], &mut out);
            assert!(filter.held.len() <= HELD_MAX + 1, "{start:?}");
        }
    }
}

/// Bytes that are likely to form sequences.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just(b"\x1b".to_vec()),
        Just(b"]52;c;x\x07".to_vec()),
        Just(b"[21t".to_vec()),
        Just(b"\x1b\\".to_vec()),
        Just(b"Pq".to_vec()),
        Just(b"Ptmux;\x1b\x1b".to_vec()),
        Just(b"_Ga=T;".to_vec()),
        Just(b"]0;".to_vec()),
        Just(b"\xc2".to_vec()),
        Just(b"\x9d".to_vec()),
        "[ -~é世]{0,6}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_the_same_output(stream in stream(), cuts in proptest::collection::vec(1_usize..5, 1..20)) {
        let (mut filter, mut out) = (Filter::default(), Vec::new());
        let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            filter.feed(chunk, &mut out);
            rest = after;
        }
        prop_assert_eq!(out, filtered(&stream));
    }

    #[test]
    fn text_without_controls_is_unchanged(text in "[^\\x1b\\x80-\\x9f]*") {
        prop_assert_eq!(filtered(text.as_bytes()), text.as_bytes());
    }

    #[test]
    fn what_was_filtered_holds_no_clipboard_sequence(stream in stream()) {
        let out = filtered(&stream);
        for needle in [&b"\x1b]52;"[..], b"\x1b[21t", b"\xc2\x9d52;", b"\x1bPtmux;"] {
            prop_assert!(!out.windows(needle.len()).any(|window| window == needle));
        }
    }

    #[test]
    fn filtering_twice_changes_nothing(stream in stream()) {
        let once = filtered(&stream);
        let (mut filter, mut twice) = (Filter::default(), Vec::new());
        filter.feed(&once, &mut twice);
        twice.append(&mut filter.held);
        prop_assert_eq!(twice, once);
    }
}
