//! Documents that a group shares.

use super::super::super::policy::{Pattern, Policy};
use super::*;
use std::collections::BTreeMap;
use std::path::Path;

fn world() -> World {
    let project = |name: &str| Pattern::Project(name.parse().unwrap());
    let groups = BTreeMap::from([("team".parse().unwrap(), vec![project("api"), project("web")])]);
    World::with(Policy { groups, ..Policy::default() })
}

fn put(group: &str, name: &str, text: &str) -> Value {
    json!({"type": "put", "group": group, "name": name, "text": text})
}

#[test]
fn a_document_is_where_the_members_read_it_and_they_are_told() {
    let world = world();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut reader = web.client();
    reader.done(json!({"type": "subscribe"}));
    let changed = api.client().done(put("team", "Plan.md", "# one"));
    assert_eq!(changed["what"], "added");
    let notice = reader.hear().unwrap();
    assert_eq!(
        (&notice["type"], &notice["name"], &notice["data"]["name"]),
        (&json!("notice"), &json!("worktable"), &json!("Plan.md"))
    );
    assert_eq!(notice["data"]["by"], "api-1");
    let table = web.worktable("team").expect("members have it");
    assert_eq!(std::fs::read_to_string(Path::new(&table).join("Plan.md")).unwrap(), "# one");
    assert_eq!(web.client().done(put("team", "Plan.md", "# two"))["what"], "replaced");
    web.client().done(json!({"type": "remove", "group": "team", "name": "Plan.md"}));
    assert!(!Path::new(&table).join("Plan.md").exists());
    assert_eq!(web.client().refused(json!({"type": "remove", "group": "team", "name": "Plan.md"})), "not-found");
}

#[test]
fn who_is_no_member_neither_writes_nor_reads() {
    let world = world();
    let (_api, other) = (world.session("api-1", "api"), world.session("x-1", "x"));
    assert!(other.worktable("team").is_none());
    assert_eq!(other.client().refused(put("team", "plan", "x")), "no-recipient");
    assert_eq!(other.client().refused(put("nobody", "plan", "x")), "no-recipient");
    for name in ["../x", ".hidden", "a/b", "", "/etc/passwd"] {
        assert_eq!(other.client().refused(put("team", name, "x")), "malformed", "{name}");
    }
}

#[test]
fn every_change_is_on_record_before_it_is_made() {
    let world = world();
    let api = world.session("api-1", "api");
    api.client().done(put("team", "plan", "hello"));
    let audit =
        std::fs::read_dir(world.place().audit()).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    let audit: String = audit.map(Result::unwrap_or_default).collect();
    let line = audit.lines().find(|line| line.contains(r#""event":"document""#)).expect("a line about it");
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert!(line.contains("api-1") && line.contains(digest), "{line}");
}

#[test]
fn what_was_on_record_and_is_not_done_is_on_record_too() {
    let world = world();
    let api = world.session("api-1", "api");
    api.client().refused(json!({"type": "remove", "group": "team", "name": "nothing"}));
    // It is written with what comes next.
    api.client().done(put("team", "plan", "x"));
    let audit = std::fs::read_dir(world.place().audit()).unwrap();
    let audit: String = audit.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default()).collect();
    let refused = audit.lines().find(|line| line.contains(r#""event":"refused""#)).expect("a line about it");
    assert!(refused.contains("not done") && refused.contains("api-1"), "{refused}");
}

#[test]
fn a_worktable_that_is_not_to_be_trusted_ends_no_session() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = world();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    api.client().send("web-1", "kept");
    let table = web.worktable("team").unwrap();
    world.stop();
    std::fs::set_permissions(&table, std::fs::Permissions::from_mode(0o777)).unwrap();
    world.start();
    assert_eq!(web.client().texts(), ["kept"]);
    assert_eq!(web.client().refused(put("team", "plan", "x")), "storage");
}
