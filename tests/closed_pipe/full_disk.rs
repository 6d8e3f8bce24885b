//! `/dev/full`, which only Linux has, is a disk without room.

use super::{home, rcc};
use std::process::Stdio;

#[test]
fn a_result_that_cannot_be_kept_is_an_error() {
    let home = home();
    for arguments in [["ps"].as_slice(), &["config", "show"], &["completions", "zsh"], &["init", "--print-unit"]] {
        let mut command = rcc(home.path(), arguments);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let failed = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(failed.status.code(), Some(125), "{arguments:?}");
        assert!(String::from_utf8_lossy(&failed.stderr).contains("No space left"), "{arguments:?}");
    }
}
