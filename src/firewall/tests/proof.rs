//! Whether the rules are in force, asked as root and without privilege.

use super::{PUBLIC, WORK, World, as_identity, is_refused, policy, udp};
use crate::firewall::apply::update_in;
use crate::firewall::probe::{Expectation, NotInForce};
use crate::firewall::{State, probe};
use crate::policy::ruleset::Ruleset;
use crate::policy::{Policy, ProfileName};
use std::net::IpAddr;

#[test]
fn the_probe_tells_absent_from_other_and_from_leaking() {
    World::build(|world| {
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::Absent)));
        world.apply(&policy()).unwrap();
        let other = Policy { private: vec!["198.51.100.0/24".parse().unwrap()], ..policy() };
        assert!(matches!(world.check(&other, "public", PUBLIC), Err(NotInForce::OtherVersion)));
        assert!(matches!(world.check(&policy(), "public", WORK), Err(NotInForce::OtherVersion)), "another profile's");
        assert!(matches!(world.check(&policy(), "public", 1000), Err(NotInForce::Absent)), "a uid without rules");
        world.nft("insert rule inet rcc profile-public ip daddr 192.168.0.0/16 accept");
        assert!(matches!(
            world.check(&policy(), "public", PUBLIC),
            Err(NotInForce::Leaks { address: IpAddr::V4(address) }) if address.octets()[0] == 192
        ));
        world.nft("insert rule inet rcc output ip daddr 127.82.67.0/24 drop");
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::OtherVersion)));
    });
}

#[test]
fn the_probe_and_the_sets_follow_the_interfaces() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        world.ip("addr add 198.51.100.1/24 dev lan");
        assert!(matches!(world.check(&policy(), "public", PUBLIC), Err(NotInForce::OnLink)));
        assert!(!is_refused("198.51.100.2:1", PUBLIC));
        update_in(world.run(), &Ruleset::from(&policy()), &world.surroundings()).unwrap();
        world.check(&policy(), "public", PUBLIC).unwrap();
        assert!(is_refused("198.51.100.2:1", PUBLIC));
        assert_eq!(world.state(&policy()), State::InForce, "the dynamic sets are no drift");
    });
}

#[test]
fn drift_and_staleness_are_told_apart() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let other = Policy { vpn_interfaces: vec![], ..policy() };
        assert_eq!(world.state(&other), State::Stale);
        for tampering in [
            "add element inet rcc host4-work { 10.0.0.1 . tcp . 22 }",
            "insert rule inet rcc profile-public accept",
            "delete element inet rcc denied4 { 10.0.0.0/8 }",
            "add chain inet rcc extra",
        ] {
            world.apply(&policy()).unwrap();
            assert_eq!(world.state(&policy()), State::InForce);
            world.nft(tampering);
            assert_eq!(world.state(&policy()), State::Drifted, "{tampering}");
        }
        world.nft("flush table inet rcc");
        assert_eq!(world.state(&policy()), State::Stale);
    });
}

#[test]
fn a_flood_of_denials_does_not_silence_the_canary() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let expect = Expectation::new(&Ruleset::from(&policy()), &ProfileName::public());
        // The kernel sends at most 50 ICMP messages at once and 1000 a second.
        assert!(as_identity(WORK, || (0..5000).all(|_| udp("10.0.0.1:1").is_err())));
        as_identity(PUBLIC, move || (0..50).for_each(|_| probe::check(&expect).unwrap()));
    });
}
