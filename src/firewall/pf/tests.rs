use super::*;
use crate::firewall::golden::{assert_golden, policy};

#[test]
fn the_anchor_is_as_it_was() {
    assert_golden("pf.conf", &render(&Ruleset::from(&policy())));
}

#[test]
fn an_exception_for_a_prefix_comes_after_the_host_is_shut() {
    let text = render(&Ruleset::from(&policy()));
    let line =
        |part: &str| text.lines().position(|line| line.contains("<rcc_my_work>") && line.contains(part)).unwrap();
    assert!(line("10.0.0.5/32") < line("self") && line("self") < line("192.168.10.0/24"));
    assert!(line("192.168.10.0/24") < line("<rcc_denied>") && line("<rcc_denied>") < line("to any"));
}
