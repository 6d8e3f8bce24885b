//! Messages that are sent later.

use super::*;

#[test]
fn a_scheduled_message_is_sent_once_when_its_time_has_come() {
    let mut world = World::new();
    let (api, web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    let schedule = |text: &str| json!({"type": "schedule", "to": "web-1", "text": text, "in": "1s"});
    client.done(schedule("later"));
    let cancelled = client.done(schedule("never"))["id"].clone();
    assert_eq!(web.client().refused(json!({"type": "cancel", "id": cancelled})), "not-found");
    client.done(json!({"type": "cancel", "id": cancelled}));
    assert_eq!(web.client().texts(), [""; 0]);
    world.stop();
    world.start();
    let listed = api.client().done(json!({"type": "query", "query": "reload_schedule"}));
    let listed = listed["schedules"].as_array().unwrap();
    assert!(listed.iter().all(|schedule| schedule["id"] != cancelled), "{listed:?}");
    until("it was sent", || web.client().texts() == ["later"]);
    world.stop();
    world.start();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(web.client().texts(), ["later"]);
}

#[test]
fn a_time_is_one_that_comes() {
    let world = World::new();
    let (api, _web) = (world.session("api-1", "api"), world.session("web-1", "web"));
    let mut client = api.client();
    for wrong in [
        json!({}),
        json!({"at": "2001-01-01T00:00:00Z"}),
        json!({"in": "soon"}),
        json!({"every": "* * *"}),
        json!({"in": "1m", "every": "* * * * *"}),
    ] {
        let mut schedule = json!({"type": "schedule", "to": "web-1", "text": "x"});
        schedule.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(client.refused(schedule), "malformed");
    }
}
