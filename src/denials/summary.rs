//! What is told of denials: one row for what is the same, one line for a session. Pure.

use super::record::Denial;
use crate::shown;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Denials that differ in time and number only are made one; ordered by the first time. Names that
/// were learned later are kept.
pub fn merged(denials: impl IntoIterator<Item = Denial>) -> Vec<Denial> {
    let mut rows: BTreeMap<_, Denial> = BTreeMap::new();
    for denial in denials {
        let Denial { session, identity, reason, protocol, address, port, .. } = &denial;
        let name = address.is_none().then(|| denial.names.clone());
        let key = (session.clone(), *identity, *reason, protocol.clone(), *address, *port, name);
        match rows.get_mut(&key) {
            None => drop(rows.insert(key, denial)),
            Some(row) => {
                row.first = row.first.min(denial.first);
                row.last = row.last.max(denial.last);
                row.count = row.count.saturating_add(denial.count);
                row.at_least |= denial.at_least;
                if !denial.names.is_empty() {
                    row.names = denial.names;
                }
            }
        }
    }
    let mut rows: Vec<Denial> = rows.into_values().collect();
    rows.sort_by_key(|row| row.first);
    rows
}

/// Where to, for people: `10.0.0.5:5432/tcp`; the name, if a name was denied.
pub fn place(denial: &Denial) -> String {
    let to = match (denial.address, denial.port) {
        (Some(address), Some(port)) => SocketAddr::new(address, port).to_string(),
        (Some(address), None) => address.to_string(),
        (None, _) if denial.protocol == "dns" => denial.names.first().cloned().unwrap_or_else(|| "(more names)".into()),
        (None, _) => return "(more destinations)".to_owned(),
    };
    shown::text(&format!("{to}/{}", denial.protocol))
}

/// How often, for people.
pub fn count(denial: &Denial) -> String {
    format!("{}{}", denial.count, if denial.at_least { "+" } else { "" })
}

/// One line about a session, or nothing if it was denied nothing.
pub fn sentence(session: &str, denials: impl IntoIterator<Item = Denial>) -> Option<String> {
    let rows = merged(denials.into_iter().filter(|denial| denial.session.as_deref() == Some(session)));
    let first = rows.first()?;
    let total: u64 = rows.iter().fold(0, |total, row| total.saturating_add(row.count));
    let more = if rows.iter().any(|row| row.at_least) { "at least " } else { "" };
    let times = if total == 1 { "attempt" } else { "attempts" };
    let places = match rows.len() {
        1 => String::new(),
        several => format!("{several} destinations; first "),
    };
    let place = place(first);
    let reason = first.reason;
    Some(format!(
        "the network denied {more}{total} {times} ({places}{place}, {reason}): `rcc denials --session {}`",
        shown::text(session)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denials::record::{NameReason, Reason};
    use crate::firewall::nft::Class;

    fn denial(first: u64, host: u8, count: u64) -> Denial {
        Denial {
            first,
            last: first + 1,
            session: Some("shop-1".into()),
            profile: "public".into(),
            identity: 7,
            reason: Reason::Address(Class::Private),
            protocol: "tcp".into(),
            address: Some([10, 0, 0, host].into()),
            port: Some(5432),
            names: vec![],
            count,
            at_least: false,
        }
    }

    #[test]
    fn what_is_the_same_is_one_row() {
        let named = Denial { names: vec!["db.".into()], ..denial(30, 5, 3) };
        let rows = merged([denial(20, 6, 1), denial(10, 5, 2), named]);
        assert_eq!(rows.len(), 2);
        let Denial { first: 10, last: 31, count: 5, ref names, .. } = rows[0] else { panic!("{rows:?}") };
        assert_eq!(names, &["db."]);
    }

    #[test]
    fn a_session_is_summed_up_in_one_line() {
        let other = Denial { session: None, ..denial(1, 9, 100) };
        let line = sentence("shop-1", [denial(10, 5, 2), denial(20, 6, 12), other.clone()]).unwrap();
        assert_eq!(
            line,
            "the network denied 14 attempts (2 destinations; first 10.0.0.5:5432/tcp, private): \
             `rcc denials --session shop-1`"
        );
        let flood = Denial { at_least: true, ..denial(1, 5, 60) };
        let line = sentence("shop-1", [flood]).unwrap();
        assert!(line.starts_with("the network denied at least 60 attempts (10.0.0.5:5432/tcp, private)"), "{line}");
        assert_eq!(sentence("shop-1", [other]), None);
    }

    #[test]
    fn names_that_an_agent_chose_cannot_speak_to_the_terminal() {
        let name = Denial {
            address: None,
            port: None,
            protocol: "dns".into(),
            names: vec!["a\u{1b}]52;c;x\u{7}.evil\u{202e}".into()],
            reason: Reason::Name(NameReason::NameNotAllowed),
            ..denial(1, 1, 1)
        };
        let shown = [place(&name), sentence("shop-1", [name]).unwrap()].concat();
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
    }
}
