//! The words for the tool and its answers.

use super::answers::{self, ANSWER_MAX, AnswerError, Vmnet};
use super::arguments::{self, ArgumentError, Spec};
use super::laid::{self, Laid};
use super::networks::{NetworksError, behind_bridges};
use crate::firewall::pf::Surroundings;
use crate::policy::{Policy, Profile, ProfileName, Reach};
use crate::project::scan::Mask;
use crate::runtime::Image;
use crate::settings::Limits;
use crate::view::{Access, Mount, Tree, View, What};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const PROJECT: &str = "/Users/a/my project";

fn mount(target: &str, what: What) -> Mount {
    Mount { target: target.into(), what }
}

fn tree(read_only: &[&str], masks: &[&str]) -> What {
    What::Tree(Tree {
        source: PROJECT.into(),
        access: Access::Writable,
        pins: Vec::new(),
        read_only: read_only.iter().map(PathBuf::from).collect(),
        substitutes: Vec::new(),
        masks: masks.iter().map(|path| Mask { path: path.into() }).collect(),
    })
}

fn bind(target: &str, access: Access) -> Mount {
    mount(target, What::Bind { source: target.into(), access })
}

fn divided(mounts: Vec<Mount>) -> (Vec<Laid>, Vec<laid::Left>) {
    laid::divide(&View { mounts }, &|path| path.extension().is_none())
}

/// One call to a line.
fn lines(calls: &[Vec<OsString>]) -> String {
    let line = |call: &Vec<OsString>| {
        let words: Vec<&str> = call.iter().map(|word| word.to_str().unwrap()).collect();
        serde_json::to_string(&words).unwrap() + "\n"
    };
    calls.iter().map(line).collect()
}

fn spec_of<'a>(
    mounts: &'a [Laid],
    limits: Limits,
    environment: &'a BTreeMap<OsString, OsString>,
    image: &'a Image,
) -> Spec<'a> {
    Spec {
        session: "my-project-4711",
        runtime_dir: Path::new("/Users/a/.local/share/rcc/run"),
        image,
        user: (501, 20),
        network: Some("rcc-my-project-4711"),
        limits,
        mounts,
        environment,
        command: &["/run/rcc/rcc-guest", "container", "--", "make"],
        terminal: true,
    }
}

fn created(mounts: &[Laid], limits: Limits) -> Result<Vec<OsString>, ArgumentError> {
    let environment =
        [("HOME", "/Users/a"), ("A", "b=c d"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into()));
    let image = "localhost/agent@sha256:00".parse().unwrap();
    arguments::create(&spec_of(mounts, limits, &environment.into(), &image))
}

#[test]
fn the_words_for_a_session_are_as_they_were() {
    let (laid, left) = divided(vec![
        mount(PROJECT, tree(&[], &[])),
        bind("/Users/a/tools", Access::ReadOnly),
        mount("/tmp", What::Tmpfs { mode: 0o1777, noexec: false }),
        mount("/proc", What::Processes { read_only: vec![], masked: vec![] }),
        mount("/dev", What::Devices { noexec: false }),
    ]);
    assert_eq!(left, []);
    let limits = Limits { memory: Some((4 << 30) + 5), pids: Some(512), cpus: Some(2.0) };
    let session = "my-project-4711";
    let calls = [
        arguments::VERSION.map(OsString::from).to_vec(),
        arguments::create_network(session, &ProfileName::public()),
        arguments::NETWORKS.map(OsString::from).to_vec(),
        created(&laid, limits).unwrap(),
        arguments::start(session),
        arguments::CONTAINERS.map(OsString::from).to_vec(),
        arguments::kill(session),
        arguments::delete(session),
        arguments::delete_network(session),
    ];
    crate::golden::assert_golden("src/runtime/apple/calls.jsonl", &lines(&calls));
}

#[test]
fn without_a_network_there_is_none_rather_than_the_tools_own() {
    let (environment, image) = (BTreeMap::new(), "agent".parse().unwrap());
    let spec = Spec { network: None, ..spec_of(&[], Limits::default(), &environment, &image) };
    let words = arguments::create(&spec).unwrap();
    assert!(words.windows(2).any(|pair| pair == ["--network", "none"]));
}

#[test]
fn what_the_tool_would_misread_is_refused() {
    let directory = |path: &str| Laid::Directory { source: path.into(), target: path.into(), read_only: true };
    for path in ["/Users/a/x,target=/etc", "/Users/a/x,readonly", "/Users/a/a=b", "/Users/a/x\n", "relative"] {
        let refused = created(&[directory(path)], Limits::default());
        assert_eq!(refused, Err(ArgumentError::Path { path: path.into() }), "{path:?}");
    }
    for cpus in [0.5, 1.5, f64::NAN, f64::INFINITY, 0.0] {
        let refused = created(&[], Limits { cpus: Some(cpus), ..Limits::default() });
        assert!(matches!(refused, Err(ArgumentError::Cpus { .. })), "{cpus}");
    }
    let refused = created(&[], Limits { memory: Some(4096), ..Limits::default() });
    assert_eq!(refused, Err(ArgumentError::Memory { bytes: 4096 }));
}

#[test]
fn what_the_tool_cannot_lay_is_left_over_and_not_dropped() {
    let mounts = vec![
        mount("/run", What::Directory),
        mount("/bin", What::Symlink { to: "usr/bin".into() }),
        mount("/etc/hosts", What::File { text: String::new() }),
        mount("/dev/shm", What::Tmpfs { mode: 0o1777, noexec: true }),
        mount("/run/keys", What::Ramfs { mode: 0o700 }),
        bind("/Users/a/file.txt", Access::ReadOnly),
        bind("/Users/a/inert", Access::Inert),
        bind("/Users/a/noexec", Access::WritableNoexec),
        mount(PROJECT, tree(&[".git/hooks"], &[".env"])),
    ];
    let (laid, left) = divided(mounts);
    assert_eq!(laid.len(), 1, "the project itself: {laid:?}");
    let targets: Vec<&str> = left.iter().map(|left| left.target.to_str().unwrap()).collect();
    let expected = [
        "/run",
        "/bin",
        "/etc/hosts",
        "/dev/shm",
        "/run/keys",
        "/Users/a/file.txt",
        "/Users/a/inert",
        "/Users/a/noexec",
        "/Users/a/my project/.git/hooks",
        "/Users/a/my project/.env",
    ];
    assert_eq!(targets, expected);
}

/// As the tool of version 1.2 lists a network.
fn network(session: &str, profile: &str, subnet: &str, gateway: &str) -> Value {
    json!({
        "id": format!("rcc-{session}"),
        "configuration": {
            "name": format!("rcc-{session}"),
            "mode": "nat",
            "creationDate": "2026-08-01T10:00:00Z",
            "labels": { "rcc.session": session, "rcc.profile": profile },
            "plugin": "container-network-vmnet",
            "options": {},
        },
        "status": { "ipv4Subnet": subnet, "ipv4Gateway": gateway, "ipv6Subnet": "fd12:3456:789a:1::/64" },
    })
}

fn others() -> Value {
    let mut default = network("x", "public", "192.168.64.0/24", "192.168.64.1");
    default["configuration"]["name"] = "default".into();
    default["configuration"]["labels"] = json!({ "com.apple.container.resource.role": "builtin" });
    default
}

fn listed(networks: &[Value]) -> Result<Vec<Vmnet>, AnswerError> {
    answers::networks(Value::from(networks.to_vec()).to_string().as_bytes())
}

#[test]
fn the_anchor_is_on_the_bridges_of_the_tools_networks() {
    let mut second = network("b", "my-work", "192.168.66.0/24", "192.168.66.1");
    second["status"].as_object_mut().unwrap().remove("ipv6Subnet");
    let waiting = network("c", "public", "10.7.0.0/24", "10.7.0.1");
    let mut waiting_v4 = waiting.clone();
    waiting_v4["status"]["ipv6Subnet"] = Value::Null;
    let networks = listed(&[others(), network("a", "public", "192.168.65.0/24", "192.168.65.1"), second, waiting_v4]);
    let addresses = [("en0", "192.168.1.7/24"), ("bridge100", "192.168.65.1/24"), ("bridge101", "192.168.66.1/24")]
        .map(|(name, net)| (name.to_owned(), net.parse().unwrap()));
    let networks = behind_bridges(&networks.unwrap(), &addresses).unwrap();
    let public = Profile { name: ProfileName::public(), exceptions: vec![], reach: Reach::Public };
    let work = Profile { name: ProfileName::new("my-work").unwrap(), ..public.clone() };
    let policy =
        Policy { profiles: vec![public, work], users: vec![], private: vec![], vpn_interfaces: vec![], bridging: None };
    let ruleset = crate::policy::ruleset::Ruleset::from(&policy);
    let surroundings = Surroundings { networks, ..Surroundings::default() };
    let anchor = crate::firewall::pf::Anchor::new(&ruleset, &surroundings);
    crate::golden::assert_golden("src/runtime/apple/pf.conf", &anchor.text());
}

#[test]
fn networks_that_cannot_be_told_apart_have_no_rules() {
    let two = |a: &str, b: &str| {
        let gateway = |net: &str| net.replace(".0/", ".1/").split('/').next().unwrap().to_owned();
        let mut networks = [network("a", "public", a, &gateway(a)), network("b", "public", b, &gateway(b))];
        networks.iter_mut().for_each(|network| network["status"]["ipv6Subnet"] = Value::Null);
        listed(&networks).unwrap()
    };
    let overlap = behind_bridges(&two("10.7.0.0/24", "10.7.0.0/16"), &[]);
    assert!(matches!(overlap, Err(NetworksError::Overlap { .. })), "{overlap:?}");
    for interface in ["en0", "bridge", "utun3", "bridge0x"] {
        let addresses = [(interface.to_owned(), "10.7.0.1/24".parse().unwrap())];
        let refused = behind_bridges(&two("10.7.0.0/24", "10.8.0.0/24"), &addresses);
        assert!(matches!(refused, Err(NetworksError::NoBridge { .. })), "{interface}");
    }
}

#[test]
fn a_network_with_our_label_that_is_not_ours_is_an_error_and_others_are_none_of_our_business() {
    assert_eq!(listed(&[others()]).unwrap(), []);
    let good = || network("a", "public", "192.168.65.0/24", "192.168.65.1");
    assert_eq!(listed(&[good()]).unwrap()[0].subnets().len(), 2);
    let changes: [(&str, Value); 12] = [
        ("/configuration/name", "rcc-b".into()),
        ("/configuration/mode", "hostOnly".into()),
        ("/configuration/plugin", "mine".into()),
        ("/configuration/labels/rcc.profile", "no such/profile".into()),
        ("/configuration/labels", json!({ "rcc.profile": "public" })),
        ("/configuration/labels", json!({ "rcc.session": "a" })),
        ("/status/ipv4Subnet", "0.0.0.0/0".into()),
        ("/status/ipv4Subnet", "8.8.8.0/24".into()),
        ("/status/ipv4Subnet", "192.168.65.7/24".into()),
        ("/status/ipv4Gateway", "192.168.1.1".into()),
        ("/status/ipv6Subnet", "::/0".into()),
        ("/status/ipv6Subnet", "2001:db8::/64".into()),
    ];
    for (place, value) in changes {
        let mut network = good();
        *network.pointer_mut(place).unwrap() = value.clone();
        assert!(matches!(listed(&[network]), Err(AnswerError::Network { .. })), "{place} {value}");
    }
}

#[test]
fn answers_of_another_shape_or_without_end_are_refused() {
    for answer in ["", "{}", "[{}]", r#"[{"configuration":{"name":"x"},"status":null}]"#, "[[[["] {
        assert!(matches!(answers::networks(answer.as_bytes()), Err(AnswerError::Shape { .. })), "{answer}");
    }
    assert!(matches!(answers::networks(&vec![b' '; ANSWER_MAX + 1]), Err(AnswerError::TooLong { .. })));
    let deep = "[".repeat(100_000);
    assert!(matches!(answers::containers(deep.as_bytes()), Err(AnswerError::Shape { .. })));
}

#[test]
fn a_version_is_taken_where_its_answers_are_known() {
    let version = |text: &str| {
        let components = json!([{ "appName": "container-apiserver", "version": "x" },
            { "appName": "container", "version": text, "commit": "c", "buildType": "release" }]);
        answers::version(components.to_string().as_bytes())
    };
    for good in ["1.0.0", "1.2.2", "2.0.0-rc1"] {
        assert_eq!(version(good).unwrap(), good);
    }
    for bad in ["0.12.3", "", "one", "1"] {
        assert!(matches!(version(bad), Err(AnswerError::Version { .. })), "{bad}");
    }
}

#[test]
fn only_containers_with_both_labels_are_ours() {
    let container = |labels: Value, state: &str| json!({ "id": "rcc-a", "configuration": { "id": "rcc-a", "labels": labels }, "status": { "state": state, "networks": [] } });
    let ours = json!({ "rcc.session": "a", "rcc.runtime-dir": "/Users/a/run" });
    let list = json!([
        container(ours.clone(), "running"),
        container(ours, "stopped"),
        container(json!({ "rcc.session": "a" }), "running"),
        container(json!({}), "running"),
    ]);
    let found = answers::containers(list.to_string().as_bytes()).unwrap();
    assert_eq!(found.iter().map(|ours| ours.running).collect::<Vec<_>>(), [true, false]);
    assert_eq!((found[0].id.as_str(), found[0].runtime_dir.as_str()), ("rcc-a", "/Users/a/run"));
}
