//! What an `apply` keeps, what it does not believe, and how much it holds.

use super::*;

#[test]
fn an_apply_keeps_what_the_new_policy_allows_and_cuts_no_flow_of_that() {
    with_neighbour(|world| {
        let before = with_names();
        world.apply(&before).unwrap();
        let mut names = Names::of(world, &before);
        let mut leases = Leases::open_in(world.run()).unwrap();
        names.grant(2, "example.com", FAR, 60).unwrap();
        names.grant(2, "www.example.org", FAR_V6, 60).unwrap();
        names.grant(1, "x.lab.lan", PRIVATE_V6, 60).unwrap();
        leases.add(&names.ruleset, &lease("10.60.0.1 tcp 443 @1919090752"), Duration::from_secs(60)).unwrap();
        leases.add(&names.ruleset, &lease("a.tmp.lan tcp 443 public"), Duration::from_secs(3600)).unwrap();
        let mut flows = [FAR, FAR_V6, PRIVATE].map(|to| connect(to, LOCKED).unwrap());
        let mut lab = connect(PRIVATE_V6, WORK).unwrap();
        let mut after = before.clone();
        let Reach::Listed(list) = &mut after.profiles[2].reach else { unreachable!() };
        // One name goes, one stays with another list of ports, one is new.
        list.remove(0);
        list[0] = listed("*.example.org", "443,8000-9000");
        list.push(listed("new.example.net", "443"));
        for _ in 0..2 {
            world.apply(&after).unwrap();
        }
        let [gone, stays, leased] = &mut flows;
        echoes(stays).unwrap();
        echoes(leased).unwrap();
        echoes(&mut lab).unwrap();
        assert!(echoes(gone).is_err() && is_cut(FAR, LOCKED));
        assert_eq!(world.state(&after), State::InForce);
        let left = leases.list().unwrap();
        assert_eq!(
            left.iter().map(|it| it.lease.to_string()).collect::<Vec<_>>(),
            ["10.60.0.1 tcp 443 @1919090752", "a.tmp.lan tcp 443 public",]
        );
        assert!(left[1].time < Duration::from_secs(3600) && left[1].time > Duration::from_secs(3580), "{left:?}");
        assert!(matches!(names.grant(2, "example.com", FAR, 60), Err(GrantError::NotLoaded)), "an answer of before");
        assert!(is_cut(FAR, LOCKED));
    });
}

#[test]
fn foreign_elements_and_comments_are_neither_believed_nor_in_the_way() {
    World::build(|world| {
        world.apply(&with_names()).unwrap();
        let element = |set: &str, key: &str, comment: &str| {
            world.nft(&format!("add element inet rcc {set} {{ {key} timeout 600s comment \"{comment}\" }}"));
        };
        element("leasednames", "1 . 2", "evil.lan tcp 443 public");
        element("lease4-public", "10.9.9.9 . tcp . 22", "10.1.1.1 tcp 443 work");
        element("lease4-public", "10.9.9.8 . tcp . 22", "; flush ruleset");
        element("leased4-public", "10.9.9.7 . tcp . 22", "gone.lan tcp 22 public");
        let mut batch = Batch::default();
        let hostile = Element {
            key: vec![1; 8],
            remaining: Some(Duration::from_secs(600)),
            comment: Some("\u{1b}[2J\n".repeat(20)),
        };
        batch.add(LEASED_NAMES, &[hostile]);
        Netfilter::open().unwrap().execute(&batch).unwrap();
        let mut leases = Leases::open_in(world.run()).unwrap();
        let texts = |leases: &mut Leases| -> Vec<String> {
            leases.list().unwrap().iter().map(|it| it.lease.to_string()).filter(|it| !it.is_empty()).collect()
        };
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public", "10.9.9.9 tcp 22 public"], "by their keys");
        world.apply(&with_names()).unwrap();
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public", "10.9.9.9 tcp 22 public"]);
        assert!(leases.revoke(&lease("10.9.9.9 tcp 22 public")).unwrap());
        assert_eq!(texts(&mut leases), ["10.9.9.8 tcp 22 public"]);
        assert_eq!(world.state(&with_names()), State::InForce);
        assert!(Netfilter::open().unwrap().elements("leased4-public").unwrap().is_empty());
    });
}

#[test]
fn ten_thousand_exceptions_and_a_thousand_names_hold_together() {
    World::build(|world| {
        let mut policy = with_names();
        let address = |number: u32| exception(&format!("10.{}.{}.7/32", number / 250, number % 250), "443");
        policy.profiles[1].exceptions.extend((0..10_000).map(address));
        let name = |number: u16| by_name(&format!("n{number}.corp.lan"), &number.to_string());
        policy.profiles[1].exceptions.extend((1..=500).map(name));
        let Reach::Listed(list) = &mut policy.profiles[2].reach else { unreachable!() };
        list.extend((1..=500).map(|number| listed(&format!("n{number}.example.net"), "443")));
        world.apply(&policy).unwrap();
        let mut names = Names::of(world, &policy);
        names.grant(2, "n500.example.net", "198.51.100.9:443", 60).unwrap();
        world.apply(&policy).unwrap();
        assert_eq!(world.state(&policy), State::InForce);
    });
}
