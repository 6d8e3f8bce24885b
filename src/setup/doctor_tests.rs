use super::super::observe::{Pasta, Switches};
use super::super::userns::Refusal;
use super::*;
use crate::facts::User;

/// A host that lacks nothing.
fn host() -> Observations {
    Observations {
        user: User { uid: 1000, gid: 1000, name: "alice".into(), home: "/home/alice".into() },
        privileged: false,
        rcc: "rcc".into(),
        declared: false,
        systemd: true,
        family: Some(Family::Apt),
        kernel: "6.1.0-18-amd64".into(),
        missing_calls: Vec::new(),
        namespaces: Ok(()),
        switches: Switches::default(),
        confined_by: None,
        seccomp: true,
        landlock: Some(2),
        mappers: [("newuidmap", Mapper::Ready), ("newgidmap", Mapper::Ready)],
        identities: Ok(true),
        foreign_subid: None,
        pasta: Some(Pasta { version: "pasta unknown version".into(), lacking: Vec::new() }),
        tun: Tun::Open,
        nft: Some("nftables v1.0.6 (Lester Gooch #5)".into()),
        nft_kernel: Some(Ok(())),
        cgroup: Delegation::Whole("/sys/fs/cgroup/x".into()),
        can_download: true,
    }
}

/// The one requirement that a change spoils, as `name: verdict: remedy`.
fn spoiled(change: impl FnOnce(&mut Observations)) -> String {
    let mut host = host();
    change(&mut host);
    let found = judge(&host, &Contributions::default());
    let bad: Vec<&Requirement> = found.iter().filter(|it| it.verdict != Verdict::Ok).collect();
    let [only] = bad[..] else { panic!("not one requirement: {bad:?}") };
    format!("{}: {:?}: {}", only.name, only.verdict, only.remedy.as_deref().unwrap())
}

#[test]
fn a_host_that_lacks_nothing_is_ready() {
    let contributions = Contributions { firewall: Some(Ok(())), agent: Some(Some("/opt/claude".into())) };
    assert!(judge(&host(), &contributions).iter().all(|it| it.verdict == Verdict::Ok && it.remedy.is_none()));
}

#[test]
fn each_lack_spoils_one_requirement_and_names_one_remedy() {
    type Spoil = fn(&mut Observations);
    let cases: [(&str, Spoil); 14] = [
        ("kernel: TooOld: install a kernel of 5.12 or later", |host| host.kernel = "5.10.0-28-amd64".into()),
        ("kernel: Missing: start this container", |host| host.missing_calls = vec!["openat2"]),
        ("seccomp: Missing: boot", |host| host.seccomp = false),
        ("Landlock: Degraded: boot", |host| host.landlock = None),
        ("newuidmap, newgidmap: Missing: sudo apt-get install uidmap", |host| host.mappers[1].1 = Mapper::Absent),
        ("newuidmap, newgidmap: Missing: sudo chmod u+s", |host| host.mappers[0].1 = Mapper::Powerless),
        ("network identities: Missing: sudo rcc init --user 1000", |host| host.identities = Ok(false)),
        ("network identities: Missing: make `subid: files`", |host| host.foreign_subid = Some("sss".into())),
        ("pasta: Missing: sudo apt-get install passt", |host| host.pasta = None),
        ("pasta: TooOld: sudo apt-get", |host| {
            host.pasta = Some(Pasta { version: "pasta 2023_02_27.c538ee8".into(), lacking: Vec::new() })
        }),
        ("/dev/net/tun: Missing: sudo chmod 0666 /dev/net/tun", |host| host.tun = Tun::Closed(0o600)),
        ("nft: TooOld: sudo apt-get install nftables", |host| host.nft = Some("nftables v0.9.8 (E.D.S.)".into())),
        ("nftables in the kernel: Missing: boot", |host| host.nft_kernel = Some(Err("no".into()))),
        ("cgroup v2: Degraded: log in", |host| host.cgroup = Delegation::None),
    ];
    for (expected, change) in cases {
        let found = spoiled(change);
        assert!(found.starts_with(expected), "{found}\nexpected {expected}");
    }
}

#[test]
fn refused_namespaces_name_the_switch_that_refuses_them() {
    let refused = |stage, switches| {
        spoiled(move |host| {
            host.namespaces = Err(Refusal { stage, errno: libc::EPERM });
            host.switches = switches;
        })
    };
    let none = Switches::default();
    for (stage, switches, remedy) in [
        (Stage::User, Switches { maximum: Some(0), ..none }, "sudo sysctl -w user.max_user_namespaces=15000"),
        (Stage::User, Switches { clone: Some(0), ..none }, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (Stage::Further, Switches { apparmor: Some(1), ..none }, "sudo rcc init"),
        (Stage::Proc, Switches { apparmor: Some(1), ..none }, "start this container with its /proc unmasked"),
        (Stage::User, none, "allow user namespaces"),
    ] {
        let found = refused(stage, switches);
        assert!(found.starts_with(&format!("user namespaces: Missing: {remedy}")), "{found}");
    }
}

#[test]
fn namespaces_that_a_profile_of_apparmor_refuses_name_that_profile() {
    let found = spoiled(|host| {
        host.namespaces = Err(Refusal { stage: Stage::User, errno: libc::EACCES });
        host.confined_by = Some("work-tools".into());
        // Its own profile for rcc would change nothing.
        host.switches.apparmor = Some(1);
    });
    let remedy = "user namespaces: Missing: allow `userns,` in the AppArmor profile work-tools";
    assert!(found.starts_with(remedy), "{found}");
}

#[test]
fn root_is_not_told_to_use_sudo() {
    let found = spoiled(|host| (host.privileged, host.pasta) = (true, None));
    assert_eq!(found, "pasta: Missing: apt-get install passt");
}

#[test]
fn an_unknown_distribution_gets_a_name_and_no_command() {
    let found = spoiled(|host| (host.family, host.nft) = (None, None));
    assert_eq!(found, "nft: Missing: install the package that is called nftables elsewhere");
}

#[test]
fn on_a_declared_machine_nothing_is_edited_the_module_is_named() {
    let mut host = host();
    (host.declared, host.family) = (true, None);
    (host.identities, host.pasta) = (Ok(false), None);
    let found = judge(&host, &Contributions { firewall: Some(Err(Unguarded::Rules("absent".into()))), agent: None });
    let bad: Vec<&Requirement> = found.iter().filter(|it| !it.is_ready()).collect();
    let expected = [
        ("pasta", "services.rcc.enable = true;"),
        ("network identities", "services.rcc.users = [ \"alice\" ];"),
        ("firewall rules", "services.rcc.enable = true;"),
    ];
    assert_eq!(bad.len(), expected.len());
    for (requirement, (name, option)) in bad.into_iter().zip(expected) {
        assert_eq!((requirement.name, requirement.mender), (name, Mender::Person));
        assert!(requirement.remedy.as_ref().unwrap().contains(option), "{requirement:?}");
    }
}

#[test]
fn absent_rules_and_an_absent_agent_are_missing() {
    let contributions = Contributions { firewall: Some(Err(Unguarded::Rules("absent".into()))), agent: Some(None) };
    let found = judge(&host(), &contributions);
    let bad: Vec<_> = found.iter().filter(|it| !it.is_ready()).map(|it| (it.name, it.mender)).collect();
    assert_eq!(bad, [("firewall rules", Mender::Init), ("Claude Code", Mender::Agent)]);
}

#[test]
fn without_a_resolver_the_service_is_started_by_whoever_can() {
    let lacking = |systemd, declared| {
        let contributions = Contributions { firewall: Some(Err(Unguarded::Resolver("refused".into()))), agent: None };
        let found = judge(&Observations { systemd, declared, ..host() }, &contributions);
        assert!(found.iter().any(|it| it.name == "firewall rules" && it.is_ready()));
        let bad: Vec<&Requirement> = found.iter().filter(|it| !it.is_ready()).collect();
        let [only] = bad[..] else { panic!("not one requirement: {bad:?}") };
        format!("{}: {:?}: {}", only.name, only.mender, only.remedy.as_deref().unwrap())
    };
    assert_eq!(lacking(true, false), "resolver: Init: sudo systemctl restart rcc-firewall");
    assert_eq!(lacking(true, true), "resolver: Person: sudo systemctl restart rcc-firewall");
    let kept = "keep `sudo rcc firewall apply --watch` running, from before any login, by whatever runs services here";
    assert_eq!(lacking(false, false), format!("resolver: Person: {kept}"));
}
