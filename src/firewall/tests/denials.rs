//! Denials from the packet to the record.

use super::{PUBLIC, WORK, World, as_identity, eventually, is_refused, policy, udp};
use crate::denials::{self, Denial, Follow, Reason, Recorder};
use crate::firewall::nft::{Class, log};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

/// The user of [`policy`].
const USER: u32 = 1000;

fn recorded(world: &World) -> Vec<Denial> {
    let read = denials::read(world.run(), &policy(), Some(USER)).unwrap();
    denials::summary::merged(read.into_iter().map(|listed| listed.denial))
}

fn recording(world: &World) -> Recorder {
    // As /run/rcc is.
    std::fs::set_permissions(world.run(), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.apply(&policy()).unwrap();
    Recorder::start(world.run(), &policy(), None).unwrap()
}

#[test]
fn a_denial_is_recorded_with_its_sender_destination_and_reason() {
    World::build(|world| {
        let _recorder = recording(world);
        assert!(is_refused("10.0.0.5:5432", PUBLIC) && is_refused("[2001:db8:1::9]:7", WORK));
        assert!(as_identity(WORK, || TcpStream::connect("203.0.113.5:22")).is_err());
        assert!(!is_refused("198.51.100.1:1", PUBLIC), "control: public");
        eventually("three lines", || recorded(world).len() == 3);
        let told = |denial: &Denial| {
            let place = denials::summary::place(denial);
            (denial.identity, place, denial.reason, denial.profile.clone(), denial.count)
        };
        let mut lines: Vec<_> = recorded(world).iter().map(told).collect();
        lines.sort_by_key(|line| line.1.clone());
        let expected = [
            (PUBLIC, "10.0.0.5:5432/udp", Class::Private, "public"),
            (WORK, "203.0.113.5:22/tcp", Class::Host, "work"),
            (WORK, "[2001:db8:1::9]:7/udp", Class::OnLink, "work"),
        ]
        .map(|(identity, place, class, profile)| {
            (identity, place.to_owned(), Reason::Address(class), profile.into(), 1)
        });
        assert_eq!(lines, expected);
    });
}

#[test]
fn a_flood_is_counted_slows_nobody_and_hides_no_other_sandboxs_denial() {
    World::build(|world| {
        let _recorder = recording(world);
        assert!(as_identity(WORK, || (0..20_000).all(|_| udp("10.0.0.1:1").is_err())));
        assert!(is_refused("10.0.0.2:2", PUBLIC));
        let of = |identity| recorded(world).into_iter().find(|denial| denial.identity == identity);
        eventually("the single denial", || of(PUBLIC).is_some_and(|denial| denial.count == 1 && !denial.at_least));
        eventually("the flood", || {
            of(WORK).is_some_and(|denial| denial.at_least && denial.count >= u64::from(log::BURST))
        });
        assert_eq!(denials::extent(world.run()).unwrap().unwrap().lost, 0);
    });
}

#[test]
fn a_record_is_its_users_and_roots_and_nobody_elses() {
    World::build(|world| {
        let _recorder = recording(world);
        assert!(is_refused("10.0.0.5:5432", PUBLIC));
        eventually("a line", || !recorded(world).is_empty());
        let read_as = |uid: u32| {
            let run = world.run().to_owned();
            as_identity(uid, move || denials::read(&run, &policy(), Some(USER)))
        };
        assert_eq!(read_as(USER).unwrap().len(), 1);
        for other in [USER + 1, PUBLIC] {
            assert!(read_as(other).unwrap_err().to_string().contains("denied"), "{other}");
        }
        let directory = world.run().join("denials");
        for uid in [USER, USER + 1, PUBLIC] {
            let directory = directory.clone();
            as_identity(uid, move || {
                let file = directory.join(format!("{USER}-{PUBLIC}.jsonl"));
                assert!(std::fs::read_dir(&directory).is_err(), "{uid} lists");
                assert!(std::fs::remove_file(&file).is_err(), "{uid} removes");
                assert!(std::fs::write(&file, "x").is_err(), "{uid} writes");
                assert!(std::fs::write(directory.join("extent.json"), "x").is_err(), "{uid} writes");
                assert!(std::fs::write(directory.join("new"), "x").is_err(), "{uid} creates");
            });
        }
        assert_eq!(recorded(world).len(), 1);
    });
}

#[test]
fn what_is_new_is_followed_across_a_restart() {
    World::build(|world| {
        let recorder = recording(world);
        let mut follow = Follow::new(world.run(), Some(USER));
        assert!(follow.next(&policy()).unwrap().is_empty());
        assert!(is_refused("10.0.0.5:1", PUBLIC));
        eventually("a line", || !recorded(world).is_empty());
        let ports = |follow: &mut Follow| -> Vec<_> {
            follow.next(&policy()).unwrap().iter().filter_map(|listed| listed.denial.port).collect()
        };
        assert_eq!(ports(&mut follow), [1]);
        assert!(ports(&mut follow).is_empty());
        assert!(Recorder::start(world.run(), &policy(), None).is_err(), "only one has the log");
        assert!(!recorder.has_ended());
        drop(std::fs::copy(file(world), world.run().join("copy")));
        std::fs::rename(world.run().join("copy"), file(world)).unwrap();
        assert!(ports(&mut follow).is_empty(), "a file in its place that says the same says nothing new");
    });
}

fn file(world: &World) -> std::path::PathBuf {
    world.run().join(format!("denials/{USER}-{PUBLIC}.jsonl"))
}

#[test]
fn without_a_listener_denials_are_denials_all_the_same() {
    World::build(|world| {
        world.apply(&policy()).unwrap();
        assert!(as_identity(PUBLIC, || (0..1000).all(|_| udp("10.0.0.1:1").is_err())));
    });
}
