//! Which rules the service puts into force, on record.

use crate::permit::audit::{Log, Rules, State, Who};

/// What was recorded last.
pub(super) struct Versions {
    log: Log,
    last: Option<String>,
}

impl Versions {
    /// `loaded` is what the kernel had before the service loaded anything, as far as that is known.
    pub(super) fn new(log: Log, loaded: Option<String>) -> Self {
        Self { log, last: loaded }
    }

    /// Records what is in force now if that is something else. Rules hold whether that can be
    /// recorded or not; it is tried once.
    pub(super) fn follow(&mut self, tag: String) {
        if self.last.as_ref() == Some(&tag) {
            return;
        }
        let rules = Rules { action: "service", from: self.last.replace(tag.clone()), to: Some(tag) };
        if let Err(error) = self.log.add(&Who::calling(), &rules, State::Done) {
            tracing::warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_the_rules_in_force_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/policy.log");
        let log = Log::at(path.clone(), rustix::process::geteuid().as_raw());
        let mut versions = Versions::new(log, Some("a".to_owned()));
        for tag in ["a", "b", "b", "c"] {
            versions.follow(tag.to_owned());
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let changes: Vec<_> = lines.iter().map(|line| [&line["from"], &line["to"], &line["action"]]).collect();
        assert_eq!(changes, [["a", "b", "service"], ["b", "c", "service"]]);
    }

    #[test]
    fn rules_hold_without_a_record() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), "in the way").unwrap();
        let log = Log::at(dir.path().join("log/policy.log"), rustix::process::geteuid().as_raw());
        let mut versions = Versions::new(log, None);
        versions.follow("a".to_owned());
        assert_eq!(versions.last.as_deref(), Some("a"));
    }
}
