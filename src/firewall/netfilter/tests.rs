//! What is read: the kernel's own words, but user data that anybody with the right may have written.

use super::*;
use proptest::prelude::*;

fn element(key: &[u8], comment: &str) -> Element {
    let remaining = Some(Duration::from_millis(1500));
    Element { key: key.to_vec(), remaining, comment: Some(comment.to_owned()) }
}

#[test]
fn what_is_written_is_what_is_read() {
    let long = "a".repeat(127);
    let elements = vec![element(&[1, 2, 3, 4], "git.corp.lan"), element(&[5; 24], &long), element(&[9; 4], "")];
    let mut batch = Batch::default();
    batch.add("set", &elements);
    let read: Vec<Message<'_>> = messages(&batch.bytes).collect();
    assert_eq!(read.len(), 1);
    assert!(read[0].is(NFT_MSG_NEWSETELEM) && !read[0].is(NFT_MSG_DELSETELEM));
    assert_eq!(listed_elements(read[0].content()), elements);
    let set = attributes(read[0].content()).find(|(kind, _)| *kind == NFTA_SET_ELEM_LIST_SET).unwrap();
    assert_eq!(text(set.1).as_deref(), Some("set"));
}

#[test]
fn a_batch_of_any_size_is_cut_into_attributes_that_fit() {
    let elements: Vec<Element> = (0..450_u32).map(|n| element(&n.to_be_bytes(), &"b".repeat(127))).collect();
    let mut batch = Batch::default();
    batch.add("set", &elements);
    let read: Vec<Element> = messages(&batch.bytes).flat_map(|message| listed_elements(message.content())).collect();
    assert_eq!(read, elements);
}

#[test]
fn user_data_that_is_no_comment_is_none() {
    for bytes in [
        &b""[..],
        &[UDATA_COMMENT],
        &[UDATA_COMMENT, 0],
        &[UDATA_COMMENT, 4, b'a', b'b'],
        &[UDATA_COMMENT, 2, b'a', b'b'],
        &[UDATA_COMMENT, 3, b'a', 0, 0],
        &[UDATA_COMMENT, 2, 0xff, 0],
        &[1, 255, 0],
        &[1, 1, b'x'],
    ] {
        assert_eq!(comment(bytes), None, "{bytes:?}");
    }
    assert_eq!(comment(&[1, 1, b'x', UDATA_COMMENT, 2, b'a', 0]).as_deref(), Some("a"), "behind another kind");
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let read = messages(&bytes).map(|message| listed_elements(message.content()).len() + attributes(message.content()).count());
        prop_assert!(read.sum::<usize>() <= bytes.len());
        prop_assert!(comment(&bytes).is_none_or(|comment| comment.len() < bytes.len()));
        prop_assert!(listed_elements(&bytes).len() <= bytes.len());
    }
}
