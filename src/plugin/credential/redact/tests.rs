use super::*;
use proptest::prelude::*;

fn secret(bytes: &[u8]) -> Secret {
    Secret::take(&mut bytes.to_vec()).unwrap()
}

fn redactor(secrets: &[&[u8]]) -> Redactor {
    let secrets: Vec<Secret> = secrets.iter().map(|bytes| secret(bytes)).collect();
    Redactor::new(&secrets.iter().collect::<Vec<_>>()).unwrap()
}

fn through(redactor: &Redactor, chunks: &[&[u8]]) -> Vec<u8> {
    let mut redactor = redactor.another();
    let mut printed = Vec::new();
    for chunk in chunks {
        redactor.push(chunk, &mut |part| printed.extend_from_slice(part));
    }
    redactor.finish(&mut |part| printed.extend_from_slice(part));
    printed
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Cut at these places, which need not be in order.
fn cut(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

/// What comes out by the plainest means: each place of the whole text compared with each form.
fn expected(forms: &[Vec<u8>], whole: &[u8]) -> Vec<u8> {
    let mut printed = Vec::new();
    let mut covered = 0;
    for at in 0..whole.len() {
        let longest = forms.iter().filter(|form| whole[at..].starts_with(form)).map(Vec::len).max();
        if let Some(length) = longest {
            if at >= covered {
                printed.extend(MARK.bytes());
            }
            covered = covered.max(at + length);
        }
        if at >= covered {
            printed.push(whole[at]);
        }
    }
    printed
}

fn forms_of(secrets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    secrets.iter().flat_map(|secret| forms::of(secret)).map(|form| form.bytes().to_vec()).collect()
}

const TOKEN: &[u8] = b"ghp_Zx81+/ab~Qw90";

#[test]
fn a_credential_is_removed_in_each_of_its_forms() {
    use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
    let redactor = redactor(&[TOKEN]);
    assert_eq!(text(&through(&redactor, &[b"a ", TOKEN, b" b"])), format!("a {MARK} b"));
    let shown = [
        HEXLOWER.encode(TOKEN),
        "https://user:ghp_Zx81%2B%2Fab~Qw90@host".to_owned(),
        "https://user:ghp_Zx81%2b%2fab%7eQw90@host".to_owned(),
        BASE64.encode(&[b"user:", TOKEN].concat()),
        BASE64.encode(&[b"user-1:", TOKEN, b"\n"].concat()),
        BASE64URL_NOPAD.encode(&[b"x-access-token:", TOKEN].concat()),
        r#"{"token":"ghp_Zx81+\/ab~Qw90"}"#.to_owned(),
    ];
    for shown in shown {
        let printed = text(&through(&redactor, &[shown.as_bytes()]));
        assert_eq!(printed.matches(MARK).count(), 1, "{shown}: {printed}");
        assert!(!printed.contains("Zx81") && !printed.contains("Qw90"), "{shown}: {printed}");
    }
}

#[test]
fn text_without_a_credential_is_handed_out_as_it_came_and_where_it_is() {
    let mut redactor = redactor(&[TOKEN]);
    let chunk = vec![b'.'; 1 << 16];
    let mut parts = Vec::new();
    redactor.push(&chunk, &mut |part| parts.push(part.as_ptr_range()));
    assert_eq!(parts, [chunk.as_ptr_range()]);
    assert_eq!(redactor.marks(), 0);
}

#[test]
fn only_what_a_form_begins_with_is_held_back() {
    let mut redactor = redactor(&[TOKEN]);
    let mut push = |chunk: &[u8]| {
        let mut printed = Vec::new();
        redactor.push(chunk, &mut |part| printed.extend_from_slice(part));
        text(&printed)
    };
    assert_eq!(push(b"Password: "), "Password: ");
    assert_eq!(push(b"$ g"), "$ ");
    assert_eq!(push(b"hp"), "");
    assert_eq!(push(b"?"), "ghp?");
    assert_eq!(push(&TOKEN[..12]), "");
    assert_eq!(push(&TOKEN[12..]), MARK);
    assert_eq!(push(b"$ "), "$ ");
}

#[test]
fn what_was_held_back_is_handed_out_at_the_end() {
    let mut redactor = redactor(&[TOKEN]);
    let mut printed = Vec::new();
    redactor.push(&TOKEN[..TOKEN.len() - 1], &mut |part| printed.extend_from_slice(part));
    assert_eq!(printed, b"");
    redactor.finish(&mut |part| printed.extend_from_slice(part));
    assert_eq!(printed, &TOKEN[..TOKEN.len() - 1]);
    redactor.push(&TOKEN[TOKEN.len() - 1..], &mut |part| printed.extend_from_slice(part));
    assert_eq!(text(&printed), text(TOKEN), "the end of one text and the beginning of the next are no credential");
}

#[test]
fn a_longer_credential_that_begins_like_another_is_removed_whole() {
    let redactor = redactor(&[b"password", b"password-and-more"]);
    for (shown, printed) in [
        ("password-and-more.", format!("{MARK}.")),
        ("password-and-less.", format!("{MARK}-and-less.")),
        ("password", MARK.to_owned()),
        ("passwordpassword", format!("{MARK}{MARK}")),
    ] {
        let bytes: Vec<&[u8]> = shown.as_bytes().chunks(1).collect();
        assert_eq!(text(&through(&redactor, &bytes)), printed);
        assert_eq!(text(&through(&redactor, &[shown.as_bytes()])), printed);
    }
}

#[test]
fn without_credentials_everything_goes_through() {
    assert_eq!(through(&redactor(&[]), &[b"a", b"", TOKEN]), [b"a", TOKEN].concat());
}

#[test]
fn what_would_redact_too_much_is_no_credential() {
    let refused = |bytes: &[u8]| Redactor::new(&[&secret(bytes)]).err();
    assert!(matches!(refused(b"1234567"), Some(RedactError::Secret(SecretError::TooShort))));
    assert!(matches!(refused(b"credential"), Some(RedactError::Mark)));
    assert!(refused(b"12345678").is_none());
}

#[test]
fn a_private_key_is_removed_line_by_line_however_it_is_printed() {
    let letter = |at: usize| char::from(b'A' + u8::try_from(at * at % 23).unwrap());
    let line = |number: usize| (0..70).map(|at| letter(at + number * 3)).collect::<String>();
    let lines: Vec<String> = (0..150).map(line).collect();
    let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n", lines.join("\n"));
    let redactor = redactor(&[key.as_bytes()]);
    assert_eq!(text(&through(&redactor, &[b"<", key.as_bytes(), b">"])), format!("<{MARK}>"));
    let printed = text(&through(&redactor, &[key.replace('\n', "\r\n   ").as_bytes()]));
    assert!(lines.iter().all(|line| !printed.contains(&line[..20])), "{printed}");
    assert!(printed.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\r\n"), "{printed}");
}

#[test]
fn a_form_that_repeats_itself_costs_no_more_than_its_length() {
    let redactor = redactor(&[&[b'a'; 4096]]);
    let chunk = vec![b'a'; 4095];
    assert_eq!(through(&redactor, &[&chunk[..], b"b"]), [&chunk[..], b"b"].concat());
    assert_eq!(text(&through(&redactor, &[&chunk[..], b"a", &chunk])), MARK);
}

proptest! {
    /// Over two letters everything overlaps with everything.
    #[test]
    fn no_cut_makes_a_difference_and_nothing_of_a_credential_is_left(
        secrets in prop::collection::vec("[ab]{8,11}", 1..4),
        whole in "[ab]{0,120}",
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let secrets: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
        let redactor = redactor(&secrets.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let chunks = cut(whole.as_bytes(), &places);
        let printed = through(&redactor, &chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let forms = forms_of(&secrets);
        prop_assert_eq!(text(&printed), text(&expected(&forms, whole.as_bytes())));
        prop_assert!(!forms.iter().any(|form| printed.windows(form.len()).any(|window| window == form)));
    }

    #[test]
    fn credentials_of_any_bytes_are_removed_from_any_text_in_any_form(
        first in prop::collection::vec(any::<u8>(), 8..80),
        second in "[ -~]{8,40}",
        pieces in prop::collection::vec((any::<prop::sample::Index>(), 0..100_usize, ".{0,5}"), 0..12),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let forms = forms_of(&[first.clone(), second.clone().into_bytes()]);
        let mut whole = Vec::new();
        for (form, length, between) in pieces {
            let form = form.get(&forms);
            whole.extend(&form[..form.len().min(length)]);
            whole.extend(between.bytes());
        }
        let secrets = [first.as_slice(), second.as_bytes()].map(secret);
        let Ok(redactor) = Redactor::new(&[&secrets[0], &secrets[1]]) else { return Ok(()) };
        let chunks = cut(&whole, &places);
        let printed = through(&redactor, &chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(printed, expected(&forms, &whole));
    }
}
