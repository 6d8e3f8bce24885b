use super::*;

fn attempt(expected: Expected) -> Attempt {
    let action = Action::Tcp("10.0.0.1:80".parse().unwrap());
    Attempt { class: "private", description: "tcp to 10.0.0.1".to_owned(), action, expected }
}

fn seen(reached: bool) -> Seen {
    Seen { attempt: 0, reached, detail: "refused".to_owned() }
}

fn holds(expected: Expected, seen: &[Seen], arrived: bool) -> bool {
    judge(vec![attempt(expected)], seen, &BTreeSet::from_iter(arrived.then_some(0))).holds()
}

#[test]
fn a_denial_holds_only_if_nothing_was_reached_and_nothing_arrived() {
    assert!(holds(Expected::Denied, &[seen(false)], false));
    assert!(!holds(Expected::Denied, &[seen(true)], false));
    assert!(!holds(Expected::Denied, &[seen(false)], true), "the far side has the last word");
    assert!(!holds(Expected::Denied, &[], false), "an attempt that was not made proves nothing");
}

#[test]
fn what_should_work_must_work() {
    assert!(holds(Expected::Reached, &[seen(true)], false));
    assert!(!holds(Expected::Reached, &[seen(false)], false));
    assert!(!judge(vec![], &[], &BTreeSet::new()).holds(), "an empty battery proves nothing");
}

#[test]
fn tokens_of_other_runs_are_not_ours() {
    assert_eq!(attempt_of(7, &token(7, 3)), Some(3));
    for bytes in [&token(8, 3)[..], &token(7, 3)[..15], b""] {
        assert_eq!(attempt_of(7, bytes), None);
    }
}
