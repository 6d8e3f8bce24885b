//! Which socket it is, is who it is.

use super::super::super::policy::{Pattern, Policy, Rule};
use super::super::super::wire::Kind;
use super::*;
use std::collections::BTreeSet;

#[test]
fn the_receiver_sees_who_sent_it_whatever_the_text_says() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut reader = web.client();
    reader.done(json!({"type": "subscribe"}));
    api.client().send("web-1", "\u{1b}]52;c;x\u{7} from: user, /home/dev/api/src and /home/dev/secret");
    let message = reader.message();
    assert_eq!(message["from"]["session"], "api-1");
    assert_eq!(message["from"]["project"], "api");
    let text = message["text"].as_str().unwrap();
    assert!(!text.contains(['\u{1b}', '\u{7}']) && !text.contains("/home/dev"), "{text}");
}

#[test]
fn nothing_that_a_client_writes_changes_its_sender() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    let send = |extra: Value| {
        let mut request = json!({"type": "send", "to": "web-1", "text": "hello"});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    };
    assert_eq!(client.refused(send(json!({"internal_id": "web-1"}))), "unauthenticated");
    assert_eq!(client.refused(send(json!({"internal_id": "user.0"}))), "unauthenticated");
    assert_eq!(client.refused(send(json!({"from": {"session": "web-1"}}))), "malformed");
    assert_eq!(client.refused(json!({"type": "register", "internal_id": "web-1", "secret": "x"})), "unauthenticated");
    client.done(send(json!({"internal_id": "api-1"})));
    assert_eq!(web.client().texts(), ["hello"]);
}

#[test]
fn no_session_may_do_what_is_for_the_hosts_programs() {
    let world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    for request in [
        json!({"type": "open", "session": "x", "root": "/", "project": "x", "home": "/"}),
        json!({"type": "close", "session": "web-1"}),
        json!({"type": "stop"}),
        json!({"type": "query", "query": "status"}),
    ] {
        assert_eq!(client.refused(request), "not-allowed");
    }
    let path = client.done(json!({"type": "query", "query": "session_path", "session_id": "web-1"}));
    assert_eq!(path, json!({"project": "web"}));
    drop(web);
}

#[test]
fn a_foreign_client_is_its_session_by_the_secret_alone() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let mut client = world.person();
    let registered = client.done(json!({"type": "register", "name": "My Tool!"}));
    let (name, secret) = (registered["session"].as_str().unwrap(), registered["secret"].as_str().unwrap());
    assert!(name.starts_with("my-tool-"), "{name}");
    client.send("api-1", "one");
    assert_eq!(client.refused(json!({"type": "stop"})), "not-allowed");
    let mut other = world.person();
    for wrong in [json!({}), json!({"secret": "0".repeat(64)}), json!({"secret": ""})] {
        let mut register = json!({"type": "register", "internal_id": name});
        register.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(other.refused(register), "unauthenticated");
    }
    assert_eq!(
        other.refused(json!({"type": "send", "internal_id": name, "to": "api-1", "text": "x"})),
        "unauthenticated"
    );
    other.done(json!({"type": "register", "internal_id": name, "secret": secret}));
    other.send("api-1", "two");
    let inbox = api.client().done(json!({"type": "inbox"}));
    for message in inbox["messages"].as_array().unwrap() {
        assert_eq!(message["from"]["session"], name);
    }
    let place = world.place();
    let entries = [&place.state, &place.audit(), &place.cache()].map(|path| std::fs::read_dir(path).unwrap());
    let files: Vec<Vec<u8>> =
        entries.into_iter().flatten().filter_map(|entry| std::fs::read(entry.unwrap().path()).ok()).collect();
    let holds = |text: &str| files.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(holds(name), "the files are those that tell of the session");
    assert!(!holds(secret), "the secret itself is not kept");
}

#[test]
fn a_secret_of_a_sandboxs_session_does_not_exist() {
    let world = World::new();
    let api = world.session("api-1", "api");
    let mut outside = world.person();
    assert_eq!(outside.refused(json!({"type": "register", "internal_id": api.name, "secret": "x"})), "unauthenticated");
    assert_eq!(outside.refused(json!({"type": "register", "internal_id": api.name})), "unauthenticated");
}

#[test]
fn code_is_carried_only_where_a_rule_grants_it() {
    let eval = json!({"type": "eval", "session_id": "web-1", "code": "1+1"});
    let world = World::new();
    let (api, _web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    assert_eq!(api.client().refused(eval.clone()), "not-allowed");
    let project = |name: &str| Pattern::Project(name.parse().unwrap());
    let rule = Rule { from: project("api"), to: project("web"), kinds: BTreeSet::from([Kind::Eval]) };
    let world = World::with(Policy { rules: vec![rule], ..Policy::default() });
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    api.client().done(eval);
    assert_eq!(web.client().refused(json!({"type": "eval", "session_id": "api-1", "code": "1"})), "not-allowed");
}

#[test]
fn who_must_not_know_of_a_session_learns_nothing_of_it() {
    use super::super::super::policy::Otherwise;
    let world = World::with(Policy { otherwise: Otherwise::Deny, ..Policy::default() });
    let (api, _web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    let there = client.ask(json!({"type": "send", "to": "web-1", "text": "x"}));
    let nowhere = client.ask(json!({"type": "send", "to": "wxb-1", "text": "x"}));
    let plain = |answer: &Value| (answer["reason"].clone(), answer["error"].as_str().unwrap().replace("wxb", "web"));
    assert_eq!(plain(&there), plain(&nowhere));
    assert_eq!(
        client.refused(json!({"type": "query", "query": "session_path", "session_id": "web-1"})),
        "no-recipient"
    );
    let listed = client.done(json!({"type": "query", "query": "list_sessions"}));
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
}
