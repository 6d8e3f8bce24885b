//! What `rcc image list` shows. Pure.

use super::contents::LABEL;
use super::engine::Stored;
use serde::Serialize;
use std::collections::BTreeSet;

/// One name of an image, or an image without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `REPOSITORY:TAG`.
    pub name: Option<String>,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Octets, with those that it shares with others.
    pub size_bytes: u64,
    /// Seconds since 1970.
    pub created: i64,
    /// The version of rcc that built it for this user.
    pub built_by_rcc: Option<String>,
    /// Whether the user's configuration names this very image.
    pub configured: bool,
    /// Whether it does so by digest or id.
    pub pinned: bool,
}

/// The image that the user's configuration names, where the engine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Its id.
    pub id: String,
    /// See [`Row::pinned`].
    pub pinned: bool,
}

/// The rows, the newest first.
pub fn rows(images: &[Stored], built: &BTreeSet<String>, configured: Option<&Configured>) -> Vec<Row> {
    let mut rows = Vec::new();
    for image in images {
        let is_configured = configured.is_some_and(|configured| configured.id == image.id);
        let label = image.labels.get(LABEL).filter(|_| built.contains(&image.id));
        let row = |name: Option<String>| Row {
            name,
            id: image.id.clone(),
            size_bytes: image.size,
            created: image.created,
            built_by_rcc: label.cloned(),
            configured: is_configured,
            pinned: is_configured && configured.is_some_and(|configured| configured.pinned),
        };
        if image.names.is_empty() {
            rows.push(row(None));
        }
        rows.extend(image.names.iter().map(|name| row(Some(name.clone()))));
    }
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
    rows
}

impl Row {
    /// What is to be said about it.
    pub fn notes(&self) -> String {
        let by_rcc = self.built_by_rcc.as_ref().map(|version| format!("built by rcc {version}"));
        let configured =
            self.configured.then(|| if self.pinned { "configured, pinned" } else { "configured" }.to_owned());
        by_rcc.into_iter().chain(configured).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> [Stored; 2] {
        let own = Stored {
            id: "5e".repeat(32),
            names: vec!["localhost/rcc:0.1.0".into(), "localhost/agent:latest".into()],
            digests: vec![],
            size: 213 << 20,
            created: 1_790_000_000,
            labels: [(LABEL.to_owned(), "0.1.0".to_owned())].into(),
        };
        [Stored { id: "7a".repeat(32), names: vec![], created: 1_780_000_000, ..own.clone() }, own]
    }

    #[test]
    fn a_label_alone_does_not_make_an_image_rccs() {
        let built = BTreeSet::from(["5e".repeat(32)]);
        let rows = rows(&images(), &built, None);
        let by = |at: usize| (rows[at].name.as_deref(), rows[at].built_by_rcc.as_deref());
        assert_eq!(by(0), (Some("localhost/agent:latest"), Some("0.1.0")));
        assert_eq!(by(1), (Some("localhost/rcc:0.1.0"), Some("0.1.0")));
        assert_eq!(by(2), (None, None));
    }

    #[test]
    fn the_configured_one_is_told_by_its_id_under_each_name() {
        let configured = Configured { id: "5e".repeat(32), pinned: true };
        let rows = rows(&images(), &BTreeSet::new(), Some(&configured));
        assert_eq!(
            rows.iter().map(|row| row.notes()).collect::<Vec<_>>(),
            ["configured, pinned", "configured, pinned", ""]
        );
    }

    #[test]
    fn json_is_for_programs() {
        let configured = Configured { id: "5e".repeat(32), pinned: false };
        let built = BTreeSet::from(["5e".repeat(32)]);
        let json = serde_json::to_string_pretty(&rows(&images()[1..], &built, Some(&configured))[..1]).unwrap();
        let id = "5e".repeat(32);
        let expected = format!(
            r#"[
  {{
    "name": "localhost/agent:latest",
    "id": "{id}",
    "size_bytes": 223346688,
    "created": 1790000000,
    "built_by_rcc": "0.1.0",
    "configured": true,
    "pinned": false
  }}
]"#
        );
        assert_eq!(json, expected);
    }
}
