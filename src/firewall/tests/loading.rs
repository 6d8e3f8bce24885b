//! Loading and removing the rules: whole, or not at all.

use super::{PUBLIC, WORK, World, as_identity, exception, policy};
use crate::firewall::apply::{ApplyError, apply_in, reset_in};
use crate::firewall::leases::Leases;
use crate::firewall::{State, nft};
use crate::policy::identity::{BLOCK_START, RANGE_LENGTH, SLOTS, UserRange};
use crate::policy::ruleset::{Ruleset, Transport};
use crate::policy::{Lease, Policy, Profile, ProfileName, Reach, Surroundings};
use std::process::Command;

#[test]
fn applying_twice_is_applying_once() {
    World::build(|world| {
        assert_eq!(world.state(&policy()), State::Absent);
        for _ in 0..2 {
            world.apply(&policy()).unwrap();
            assert_eq!(world.state(&policy()), State::InForce);
            world.check(&policy(), "public", PUBLIC).unwrap();
            world.check(&policy(), "work", WORK + SLOTS - 1).unwrap();
        }
        for _ in 0..2 {
            reset_in(world.run()).unwrap();
            assert_eq!(world.state(&policy()), State::Absent);
        }
    });
}

#[test]
fn an_identity_in_use_keeps_its_profile() {
    World::build(|world| {
        let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
        let before = Policy { users: vec![range], ..policy() };
        world.apply(&before).unwrap();
        let slots = world.run().join("0/slots");
        std::fs::create_dir_all(&slots).unwrap();
        let slot = std::fs::File::create(slots.join(WORK.to_string())).unwrap();
        let mut after = before.clone();
        after
            .profiles
            .insert(1, Profile { name: ProfileName::new("new").unwrap(), exceptions: vec![], reach: Reach::Public });
        slot.lock().unwrap();
        let refused = world.apply(&after);
        assert!(matches!(refused, Err(ApplyError::InUse { uid: 0, identity: WORK, .. })), "{refused:?}");
        assert_eq!(world.state(&before), State::InForce);
        world.apply(&before).unwrap();
        slot.unlock().unwrap();
        world.apply(&after).unwrap();
        assert_eq!(world.state(&after), State::InForce);
    });
}

#[test]
fn a_link_in_a_users_directory_leads_nowhere() {
    World::build(|world| {
        let range = UserRange::new(0, BLOCK_START, RANGE_LENGTH).unwrap();
        let before = Policy { users: vec![range], ..policy() };
        world.apply(&before).unwrap();
        std::os::unix::fs::symlink("/proc/self", world.run().join("0/slots")).unwrap();
        let after = Policy { profiles: before.profiles[..1].to_vec(), ..before };
        world.apply(&after).unwrap();
        assert_eq!(world.state(&after), State::InForce);
    });
}

#[test]
fn rules_that_nft_refuses_leave_the_old_ones() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        let overlapping = Surroundings {
            on_link: vec!["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()],
            ..Surroundings::default()
        };
        let refused = apply_in(world.run(), &policy(), &overlapping);
        assert!(
            matches!(&refused, Err(ApplyError::Nft(error)) if error.to_string().contains("unchanged")),
            "{refused:?}"
        );
        assert_eq!(world.state(&policy()), State::InForce);
        world.check(&policy(), "public", PUBLIC).unwrap();
    });
}

#[test]
fn only_root_applies() {
    World::build(|world| {
        let run = world.run().to_owned();
        let refused = as_identity(1000, move || apply_in(&run, &policy(), &Surroundings::default()));
        assert!(matches!(refused, Err(ApplyError::NotRoot)));
    });
}

#[test]
fn killed_at_any_moment_nft_leaves_the_old_rules_or_the_new() {
    World::build(|world| {
        let many = (0..1000_u32).map(|n| exception(&format!("10.{}.{}.7/32", n / 250, n % 250), "443")).collect();
        let large = |port: &str| {
            let mut policy = policy();
            policy.profiles[1].exceptions = Vec::clone(&many);
            policy.profiles[1].exceptions.push(exception("10.200.0.0/16", port));
            policy
        };
        let (old, new) = (large("1"), large("2"));
        // A lease that both keep is there whatever happens.
        let lease: Lease = "10.250.0.1 tcp 443 public".parse().unwrap();
        let kept = [nft::Held {
            key: nft::HeldKey::Address {
                contents: nft::Contents::of_lease(&lease),
                identity: None,
                address: [10, 250, 0, 1].into(),
                port: Some((Transport::Tcp, 443)),
            },
            comment: lease.to_string(),
            remaining: std::time::Duration::from_secs(3600),
        }];
        let rendered = |policy: &Policy| {
            let ruleset = Ruleset::from(policy);
            nft::json(&nft::replace_keeping(&ruleset, &nft::version(&ruleset), &Surroundings::default(), &kept))
        };
        let (old_text, new_text) = (rendered(&old), rendered(&new));
        let started = std::time::Instant::now();
        load_and_kill(&old_text, None);
        let usual = started.elapsed();
        let mut survived = [false; 2];
        for round in 0..30 {
            load_and_kill(&old_text, None);
            load_and_kill(&new_text, Some(usual * round / 24));
            let states = [&old, &new].map(|policy| world.state(policy) == State::InForce);
            assert!(states[0] != states[1], "round {round}: {states:?}");
            survived[usize::from(states[1])] = true;
            let left = Leases::open_in(world.run()).unwrap().list().unwrap();
            assert!(left.len() == 1 && left[0].lease == lease, "round {round}: {left:?}");
        }
        assert_eq!(survived, [true, true], "the kills must have come both before and after the commit");
    });
}

/// What a kill of `apply` and of everything that it started does.
fn load_and_kill(rules: &[u8], after: Option<std::time::Duration>) {
    use std::io::Write;
    let mut nft = Command::new("nft")
        .args(["-j", "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = nft.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // The pipe breaks when the reader is killed.
        scope.spawn(move || stdin.write_all(rules).unwrap_or_default());
        if let Some(after) = after {
            std::thread::sleep(after);
            nft.kill().unwrap();
        }
        assert!(nft.wait().unwrap().success() || after.is_some());
    });
}
