//! The reference in `docs/` is made from the schema.

use crate::golden::assert_golden;
use rcc::config::schema::{ADMIN, Key, PROJECT, Type, USER};

const HEAD: &str = "\
# Configuration reference

Every key of the three files; [Configuration](configuration.md) explains them together. This page is made from the
table that the readers are tested against.
";

#[test]
fn the_reference_is_what_the_schema_says() {
    let mut page = HEAD.to_owned();
    for (title, root) in [
        ("`/etc/rcc/config.toml`", ADMIN),
        ("`~/.config/rcc/config.toml`", USER),
        ("`.rcc.toml` in the project", PROJECT),
    ] {
        page += &format!("\n## {title}\n");
        keys(&root, "", &mut page);
    }
    assert_golden("docs/reference.md", &page);
}

fn keys(table: &Type, prefix: &str, page: &mut String) {
    let Type::Table(keys) = table else { panic!("{table:?}") };
    for key in *keys {
        let name = format!("{prefix}{}", key.name);
        *page += &entry(key, &name);
        match key.kind {
            Type::Table(_) => self::keys(&key.kind, &format!("{name}."), page),
            Type::List(inner @ Type::Table(_)) | Type::List(Type::Any([_, inner @ Type::Table(_)])) => {
                self::keys(inner, &format!("{name}[]."), page);
            }
            Type::Map(inner @ Type::Table(_)) => self::keys(inner, &format!("{name}.NAME."), page),
            _ => {}
        }
    }
}

fn entry(key: &Key, name: &str) -> String {
    let mut text = format!("\n### `{name}`\n\n{}\n\n- takes {}\n", key.description, phrase(&key.kind));
    if let Some(default) = key.default {
        text += &format!("- default: `{default}`\n");
    }
    if let Some(example) = key.example {
        text += &format!("- example: `{} = {example}`\n", key.name);
    }
    text
}

fn phrase(kind: &Type) -> String {
    match kind {
        Type::Bool => "`true` or `false`".to_owned(),
        Type::False => "`false`".to_owned(),
        Type::String => "a string".to_owned(),
        Type::Path => "a path, as a string".to_owned(),
        Type::Int { min, max: i64::MAX } => format!("a whole number, at least {min}"),
        Type::Int { min, max } => format!("a whole number from {min} to {max}"),
        Type::Number { min, max } => format!("a number from {min} to {max}"),
        Type::Enum(texts) => texts.map_join(|text| format!("`\"{text}\"`")),
        Type::List(Type::Table(_)) => "a list of tables".to_owned(),
        Type::List(inner) => format!("a list; each element is {}", phrase(inner)),
        Type::Any(kinds) => kinds.map_join(phrase),
        Type::Table(_) => "a table".to_owned(),
        Type::Map(Type::Table(_)) => "a table of tables".to_owned(),
        Type::Map(inner) => format!("a table; each value is {}", phrase(inner)),
    }
}

trait MapJoin<T> {
    /// `a, b or c`.
    fn map_join(&self, text: impl Fn(&T) -> String) -> String;
}

impl<T> MapJoin<T> for [T] {
    fn map_join(&self, text: impl Fn(&T) -> String) -> String {
        let texts: Vec<String> = self.iter().map(text).collect();
        let (last, others) = texts.split_last().expect("one of them");
        if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) }
    }
}
