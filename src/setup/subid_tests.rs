use super::*;

const SECOND: u32 = BLOCK_START + RANGE_LENGTH;

fn tables(uids: &str, gids: &str) -> Tables {
    let accounts = Accounts::parse("alice:x:1000:100::/home/alice:/bin/sh\n");
    Tables { uids: uids.into(), gids: gids.into(), accounts }
}

fn line(uid: u32, start: u32) -> String {
    format!("{uid}:{start}:1024\n")
}

fn starts(tables: &Tables, users: &[u32]) -> Vec<u32> {
    tables.allot(users, &[]).unwrap().1.iter().map(|range| range.start).collect()
}

#[test]
fn both_files_get_the_same_range_and_foreign_lines_stay() {
    let before = tables("alice:100000:65536\n# \u{fc}ber\n\nbroken", "alice:100000:65536\n");
    let (after, ranges) = before.allot(&[1000, 0], &[]).unwrap();
    let ours = line(1000, BLOCK_START) + &line(0, SECOND);
    assert_eq!(after.uids, format!("alice:100000:65536\n# \u{fc}ber\n\nbroken\n{ours}").into_bytes());
    assert_eq!(after.gids, format!("alice:100000:65536\n{ours}").into_bytes());
    assert_eq!(after.ranges(), ranges);
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let before = Tables { uids: b"\xff\xfe:1:2\r\n\x00".to_vec(), ..Tables::default() };
    let (after, _) = before.allot(&[1000], &[]).unwrap();
    assert!(after.uids.starts_with(b"\xff\xfe:1:2\r\n\x00\n"));
    assert_eq!(after.without(|_| true).uids, b"\xff\xfe:1:2\r\n\x00\n");
}

#[test]
fn a_second_run_changes_no_byte() {
    let (once, first) = tables("bob:1:2", "").allot(&[1000, 1001], &[]).unwrap();
    let (twice, second) = once.allot(&[1001, 1000], &[]).unwrap();
    assert_eq!(once, twice);
    assert_eq!(first, [second[1], second[0]]);
}

#[test]
fn ranges_that_reach_into_the_block_are_stepped_over() {
    for foreign in [
        format!("bob:{}:1\n", BLOCK_START + 1023),
        format!("bob:{}:2\n", BLOCK_START - 1),
        format!("1001:{BLOCK_START}:1024\n"),
        format!("bob:{}:{}\n", 100_000, BLOCK_START - 100_000 + 1),
    ] {
        assert_eq!(starts(&tables(&foreign, ""), &[1000]), [SECOND], "{foreign}");
        assert_eq!(starts(&tables("", &foreign), &[1000]), [SECOND], "{foreign}");
    }
    let adjacent = format!("bob:{}:1\n", BLOCK_START - 1);
    assert_eq!(starts(&tables(&adjacent, ""), &[1000]), [BLOCK_START]);
}

#[test]
fn real_accounts_in_the_block_are_stepped_over() {
    let accounts = account_ids(format!("corp:x:{}:5:::\nbroken\n", BLOCK_START + 7).as_bytes());
    let (_, ranges) = Tables::default().allot(&[1000], &accounts).unwrap();
    assert_eq!(ranges[0].start, SECOND);
}

#[test]
fn a_range_that_another_line_reaches_into_is_given_up() {
    let stolen = line(1000, BLOCK_START) + &format!("eve:{}:1\n", BLOCK_START + 5);
    let before = tables(&stolen, &line(1000, BLOCK_START));
    assert!(before.ranges().is_empty());
    let (after, ranges) = before.allot(&[1000], &[]).unwrap();
    assert_eq!(ranges[0].start, SECOND);
    assert_eq!(after.uids, format!("eve:{}:1\n{}", BLOCK_START + 5, line(1000, SECOND)).into_bytes());
}

#[test]
fn halves_and_duplicates_are_repaired() {
    let good = line(1000, BLOCK_START);
    let others = line(1000, SECOND);
    for before in [
        tables(&good, ""),
        tables("", &good),
        tables(&(good.clone() + &good), &good),
        tables(&(good.clone() + &others), &good),
        tables(&good, &others),
    ] {
        let (after, _) = before.allot(&[1000], &[]).unwrap();
        assert_eq!((after.count(1000), after.ranges().len()), ([1, 1], 1), "{before:?}");
    }
}

#[test]
fn a_full_block_is_an_error_and_so_is_a_user_inside_it() {
    let all = format!("bob:{BLOCK_START}:{}\n", BLOCK_END - BLOCK_START);
    assert_eq!(tables(&all, "").allot(&[1000], &[]), Err(SubidError::Exhausted));
    assert_eq!(Tables::default().allot(&[BLOCK_START], &[]), Err(SubidError::UserInsideBlock(BLOCK_START)));
}

#[test]
fn only_the_canonical_line_is_ours() {
    for odd in ["01000", "+1000", " 1000", "bob", "alice "] {
        let content = format!("{odd}:{BLOCK_START}:1024\n");
        assert!(tables(&content, &content).ranges().is_empty(), "{odd}");
    }
}

#[test]
fn a_login_name_stands_for_its_uid() {
    let named = format!("alice:{BLOCK_START}:1024\n");
    let before = tables(&named, &line(1000, BLOCK_START));
    assert_eq!(before.ranges(), [UserRange { uid: 1000, start: BLOCK_START }]);
    let (after, ranges) = before.allot(&[1000, 1001], &[]).unwrap();
    assert_eq!(after.uids, (named + &line(1001, SECOND)).into_bytes(), "the named line stays as it is");
    assert_eq!(ranges.len(), 2);
    assert!(after.without(|_| true).uids.is_empty());
}

#[test]
fn numbers_beyond_the_uid_space_do_not_wrap() {
    let wild = format!("1000:{BLOCK_START}:18446744073709551615\nbob:4294967296000:1\n1000:-1:1024\n");
    assert!(tables(&wild, &wild).ranges().is_empty());
    assert_eq!(tables(&wild, "").allot(&[1000], &[]), Err(SubidError::Exhausted));
}
