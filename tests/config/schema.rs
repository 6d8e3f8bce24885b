//! The schema says what the readers do, key by key.

use crate::golden::assert_golden;
use crate::world::{World, render};
use rcc::config;
use rcc::config::schema::{ADMIN, Key, PROJECT, Type, USER};
use rcc::relay::policy::Policy;
use std::collections::BTreeSet;

/// A file that a text can be put into.
#[derive(Clone, Copy)]
enum File {
    Admin,
    User,
    Project,
}

const FILES: [(File, Type); 3] = [(File::Admin, ADMIN), (File::User, USER), (File::Project, PROJECT)];

impl File {
    fn with(self, text: &str) -> World {
        match self {
            Self::Admin => World::new().admin(text),
            Self::User => World::new().user(text),
            Self::Project => World::new().project(text),
        }
    }
}

/// Makes the text of a file from the body of one of its tables (`a = 1, b = 2`).
type Place<'a> = &'a dyn Fn(&str) -> String;

/// Visits every table of a file.
fn tables(kind: &Type, place: Place, visit: &mut dyn FnMut(&[Key], Place)) {
    let Type::Table(keys) = kind else { panic!("{kind:?} is no table") };
    visit(keys, place);
    for key in *keys {
        let (inner, open, close) = match key.kind {
            inner @ Type::Table(_) => (inner, "", ""),
            Type::List(inner @ Type::Table(_)) => (*inner, "[", "]"),
            Type::List(Type::Any([_, inner @ Type::Table(_)])) => (*inner, "[", "]"),
            Type::Map(inner @ Type::Table(_)) => (*inner, "{ name = ", " }"),
            _ => continue,
        };
        let below = |body: &str| {
            let own = format!("{} = {open}{{ {body} }}{close}", key.name);
            place(&std::iter::once(own).chain(companions(key, keys)).collect::<Vec<_>>().join(", "))
        };
        tables(&inner, &below, visit);
    }
}

fn every_table(mut visit: impl FnMut(File, &[Key], Place)) {
    for (file, root) in FILES {
        tables(&root, &str::to_owned, &mut |keys, place| visit(file, keys, place));
    }
}

/// Visits every key, with what makes a file from its value, or from none.
fn every_key(mut visit: impl FnMut(File, &Key, &dyn Fn(Option<&str>) -> String)) {
    every_table(|file, keys, place| {
        for key in keys {
            visit(file, key, &|value| {
                let value = value.map(|value| format!("{} = {value}", key.name));
                place(&value.into_iter().chain(companions(key, keys)).collect::<Vec<_>>().join(", "))
            });
        }
    });
}

/// What must stand beside this key of a table.
fn companions(key: &Key, table: &[Key]) -> Option<String> {
    let beside = |name: &str| table.iter().any(|key| key.name == name);
    let text = match key.name {
        "address" | "domain" => "ports = [1]",
        "groups" | "names" if beside("default") => r#"default = "deny""#,
        "ports" | "protocol" if beside("name") => r#"name = "x.example""#,
        "ports" => r#"address = "10.0.0.1""#,
        "protocol" => r#"address = "10.0.0.1", ports = [1]"#,
        "from" => r#"to = "*""#,
        "to" => r#"from = "*""#,
        "kinds" if beside("from") => r#"from = "*", to = "*""#,
        "kinds" => r#"name = "a", one = { project = "/srv/a" }, other = { project = "/srv/b" }"#,
        "name" if beside("one") => r#"one = { project = "/srv/a" }, other = { project = "/srv/b" }"#,
        "one" => r#"name = "a", other = { project = "/srv/b" }"#,
        "other" => r#"name = "a", one = { project = "/srv/a" }"#,
        "user" => r#"project = "/srv/api""#,
        "backend" => r#"host = "a", servers = ["tls://a"]"#,
        "host" => r#"backend = "nats", servers = ["tls://a"]"#,
        "servers" => r#"backend = "nats", host = "a""#,
        "credentials" | "ca" | "prefix" => r#"backend = "nats", host = "a", servers = ["tls://a"]"#,
        "target" | "mode" => r#"source = "/srv""#,
        _ => return None,
    };
    Some(text.to_owned())
}

#[test]
fn the_readers_know_exactly_these_keys() {
    every_table(|file, keys, place| {
        let unknown = "a_key_that_is_far_from_every_other";
        let text = place(&format!("{unknown} = 1"));
        let refusal = file.with(&text).refused();
        let known = refusal.split("known here: ").nth(1).and_then(|rest| rest.lines().next());
        let known: BTreeSet<&str> = known.unwrap_or_else(|| panic!("{text}\n{refusal}")).split(", ").collect();
        assert_eq!(known, keys.iter().map(|key| key.name).collect(), "{text}");
    });
}

#[test]
fn every_example_is_accepted_and_none_is_what_holds_anyway() {
    every_key(|file, key, text| {
        let below = matches!(key.kind, Type::Table(_));
        assert_eq!(key.example.is_none(), below, "{}", key.name);
        assert_ne!(key.example.or(Some("")), key.default, "{}", key.name);
        if let Some(example) = key.example {
            file.with(&text(Some(example))).loaded();
        }
    });
}

#[test]
fn every_default_is_what_holds_without_the_key() {
    let meaning = |world: World| {
        let loaded = world.loaded();
        let settings = format!("{:?}", loaded.settings).replace(world.path("").to_str().unwrap(), "/");
        (
            settings,
            format!("{:?} {:?} {:?}", loaded.admin.users, loaded.admin.limits, loaded.admin.policy(vec![])),
            relays(&world),
        )
    };
    let mut defaults = 0;
    every_key(|file, key, text| {
        if key.default.is_some() {
            defaults += 1;
            assert_eq!(meaning(file.with(&text(key.default))), meaning(file.with(&text(None))), "{}", key.name);
        }
    });
    assert!(defaults > 10);
}

#[test]
fn what_the_types_say_is_what_the_readers_take() {
    every_key(|file, key, text| {
        for value in candidates(&key.kind) {
            let text = text(Some(&value));
            let outcome = file.with(&text).load();
            match accepts(&key.kind, &value) {
                Some(true) => assert!(outcome.is_ok(), "{text} was refused:\n{}", render(&outcome.unwrap_err())),
                Some(false) => assert!(outcome.is_err(), "{text} was accepted"),
                None => {}
            }
        }
    });
}

/// What the system's relay and the user's own do.
fn relays(world: &World) -> (Policy, Policy) {
    let sources = &world.sources;
    let system = config::load_relay_admin(&sources.admin, sources.admin_owner).unwrap();
    let own = config::load_relay_user(&sources.config_dir, &sources.home, sources.uid).unwrap();
    (system.policy, own.policy)
}

/// Values of every type, and those at the bounds of this one.
fn candidates(kind: &Type) -> Vec<String> {
    let mut values = ["true", "false", "1", "-1", "1.5", "\"x\"", "[]", "{}", "1979-05-27"].map(str::to_owned).to_vec();
    match kind {
        Type::Int { min, max } => {
            let numbers = [min.checked_sub(1), Some(*min), Some(*max), max.checked_add(1)];
            values.extend(numbers.into_iter().flatten().map(|number| number.to_string()));
        }
        Type::Number { min, max } => {
            values.extend([min / 2.0, *min, *max, max + 1.0].map(|number| format!("{number:?}")));
        }
        Type::Enum(texts) => values.extend(texts.iter().map(|text| format!("{text:?}"))),
        Type::List(inner) => values.extend(candidates(inner).iter().map(|value| format!("[{value}]"))),
        Type::Map(inner) => values.extend(candidates(inner).iter().map(|value| format!("{{ name = {value} }}"))),
        Type::Any(kinds) => values.extend(kinds.iter().flat_map(candidates)),
        Type::Path => values.push("\"relative/path\"".to_owned()),
        Type::Bool | Type::False | Type::String | Type::Table(_) => {}
    }
    values
}

/// Whether a value is of this type; `None` where that alone does not decide.
fn accepts(kind: &Type, value: &str) -> Option<bool> {
    let within = |open: &str, close: &str| value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    match kind {
        Type::Bool => Some(matches!(value, "true" | "false")),
        Type::False => Some(value == "false"),
        Type::String if value.starts_with('"') => None,
        Type::Path if value.starts_with("\"/") => None,
        Type::String | Type::Path => Some(false),
        Type::Int { min, max } => Some(value.parse().is_ok_and(|number: i64| (min..=max).contains(&&number))),
        Type::Number { min, max } => Some(value.parse().is_ok_and(|number: f64| (min..=max).contains(&&number))),
        Type::Enum(texts) => Some(texts.iter().any(|text| value == format!("{text:?}"))),
        Type::List(_) if value == "[]" => None,
        Type::List(inner) => within("[", "]").map_or(Some(false), |item| accepts(inner, item)),
        Type::Map(_) if value == "{}" => Some(true),
        Type::Map(inner) => within("{ name = ", " }").map_or(Some(false), |item| accepts(inner, item)),
        Type::Table(_) if value == "{}" => None,
        Type::Table(_) => Some(false),
        Type::Any(kinds) => {
            let each: Vec<_> = kinds.iter().map(|kind| accepts(kind, value)).collect();
            if each.contains(&Some(true)) { Some(true) } else { (!each.contains(&None)).then_some(false) }
        }
    }
}

#[test]
fn the_nix_modules_have_the_schema_of_roots_file() {
    assert_golden("modules/settings.json", &format!("{}\n", serde_json::to_string_pretty(&ADMIN).unwrap()));
}
