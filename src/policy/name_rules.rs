//! Rules for names, in the form that is looked up for each question.

use super::ruleset::{Transport, merged, transports};
use super::{DomainName, NamePattern, PortRange, Ports, Protocol};
use serde::Serialize;
use std::collections::BTreeMap;

/// What ports names open. Names with the same ports share a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameRules {
    /// The ports of each class: sorted, merged, never empty; no two classes are the same.
    pub classes: Vec<Vec<(Transport, PortRange)>>,
    /// The class of each pattern, as a position in `classes`.
    pub patterns: BTreeMap<NamePattern, usize>,
}

impl NameRules {
    /// One class for each combination of ports that some pattern has in all its rules together.
    pub(super) fn new<'a>(rules: impl Iterator<Item = (&'a NamePattern, &'a Ports, Protocol)>) -> Self {
        let mut ports_of: BTreeMap<&NamePattern, BTreeMap<Transport, Vec<PortRange>>> = BTreeMap::new();
        for (pattern, ports, protocol) in rules {
            for transport in transports(protocol) {
                ports_of.entry(pattern).or_default().entry(*transport).or_default().extend(ports.ranges());
            }
        }
        let mut classes: BTreeMap<Vec<(Transport, PortRange)>, Vec<&NamePattern>> = BTreeMap::new();
        for (pattern, ports) in ports_of {
            let each = ports
                .into_iter()
                .flat_map(|(transport, ports)| merged(ports).into_iter().map(move |range| (transport, range)));
            classes.entry(each.collect()).or_default().push(pattern);
        }
        let patterns = classes
            .values()
            .enumerate()
            .flat_map(|(class, patterns)| patterns.iter().map(move |pattern| ((*pattern).clone(), class)));
        Self { patterns: patterns.collect(), classes: classes.into_keys().collect() }
    }

    /// The classes of all patterns that cover `name`, ascending, each once; none if it has no rule.
    pub fn classes_of(&self, name: &DomainName) -> Vec<usize> {
        let found = NamePattern::covering(name).filter_map(|pattern| self.patterns.get(&pattern).copied());
        let mut classes: Vec<usize> = found.collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[(&str, &[&str], Protocol)]) -> NameRules {
        let list: Vec<(NamePattern, Ports, Protocol)> = list
            .iter()
            .map(|(pattern, ports, protocol)| {
                let ports = Ports::new(ports.iter().map(|text| text.parse().unwrap()).collect()).unwrap();
                (pattern.parse().unwrap(), ports, *protocol)
            })
            .collect();
        NameRules::new(list.iter().map(|(pattern, ports, protocol)| (pattern, ports, *protocol)))
    }

    fn opened(rules: &NameRules, name: &str) -> Vec<String> {
        let classes = rules.classes_of(&DomainName::new(name).unwrap());
        let ports = classes.iter().flat_map(|class| &rules.classes[*class]);
        ports.map(|(transport, ports)| format!("{} {ports}", transport.as_str())).collect()
    }

    #[test]
    fn names_with_the_same_ports_share_a_class_however_they_were_written() {
        let rules = rules(&[
            ("a.example", &["80-90"], Protocol::Tcp),
            ("b.example", &["85-90"], Protocol::Tcp),
            ("b.example", &["80-84"], Protocol::Tcp),
            ("c.example", &["80-90"], Protocol::Any),
        ]);
        assert_eq!(rules.classes.len(), 2);
        assert_eq!(rules.patterns[&"a.example".parse().unwrap()], rules.patterns[&"b.example".parse().unwrap()]);
    }

    #[test]
    fn a_name_opens_what_all_its_patterns_open_and_nothing_of_its_neighbours() {
        let rules = rules(&[
            ("*.example", &["443"], Protocol::Tcp),
            ("*.git.example", &["443"], Protocol::Tcp),
            ("git.example", &["22"], Protocol::Tcp),
        ]);
        assert_eq!(opened(&rules, "git.example"), ["tcp 22", "tcp 443"]);
        assert_eq!(opened(&rules, "a.git.example"), ["tcp 443"]);
        assert_eq!(opened(&rules, "example"), [""; 0]);
        assert_eq!(opened(&rules, "git.example.evil"), [""; 0]);
    }
}
