use super::*;

const ALL: Limits = Limits { memory: Some(1 << 30), pids: Some(100), cpus: Some(0.5) };

fn own(available: &str, handed_down: &str) -> Own {
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    let dir = "/sys/fs/cgroup/a".into();
    Own { dir, writable: true, root: false, available: words(available), handed_down: words(handed_down) }
}

/// A stand-in for a directory of the hierarchy, whose files are only files.
fn fake() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, content) in [("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "cpu memory pids")] {
        fs::write(dir.path().join(file), content).unwrap();
    }
    dir
}

#[test]
fn the_own_directory_is_found_below_the_cgroup2_mount() {
    let mounts = "30 23 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                  31 23 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    let found = directory(mounts, "8:pids:/x\n0::/user.slice/a.scope\n");
    assert_eq!(found.unwrap(), Path::new("/sys/fs/cgroup/unified/user.slice/a.scope"));
    assert_eq!(directory(mounts, "8:pids:/x\n"), None, "v1 only");
    assert_eq!(directory(mounts, "0::/../outside\n"), None, "outside of the cgroup namespace");
    let below = "31 23 0:27 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(directory(below, "0::/docker/ab/c\n").unwrap(), Path::new("/sys/fs/cgroup/c"));
    assert_eq!(directory(below, "0::/elsewhere\n"), None);
}

#[test]
fn the_cgroup_of_one_sandbox_is_told_from_others() {
    let seen_from = |own: &str, dir: &str| {
        let hierarchy = Hierarchy { mounts: String::new(), own: Some(own.into()) };
        hierarchy.sandboxs(Path::new(dir)).map(|dir| dir.file_name().unwrap().to_str().unwrap().to_owned())
    };
    let found = |dir: &str| seen_from("/sys/fs/cgroup/user.slice/session.scope", dir);
    let id = "4f".repeat(32);
    for name in ["rcc-a-1f00.scope", "libpod-4f.scope", "docker-4f.scope", &id] {
        assert_eq!(found(&format!("/sys/fs/cgroup/user.slice/{name}")).as_deref(), Some(name));
    }
    assert_eq!(found("/sys/fs/cgroup/user.slice/libpod-4f.scope/container").as_deref(), Some("libpod-4f.scope"));
    for dir in ["/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup/rcc-a/b/c"] {
        assert_eq!(found(dir), None, "{dir}");
    }
    let around = "/sys/fs/cgroup/docker-4f.scope";
    assert_eq!(seen_from(around, around), None, "a container that rcc itself runs in");
    assert_eq!(seen_from(&format!("{around}/init"), around), None);
    assert_eq!(seen_from("/sys/fs/cgroup/docker-4f.scope2", around).as_deref(), Some("docker-4f.scope"));
}

#[test]
fn the_lowest_of_the_surrounding_ceilings_holds() {
    let outer = fake();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(outer.path().join("memory.max"), "4096\n").unwrap();
    fs::write(inner.join("memory.max"), "max\n").unwrap();
    let surroundings = Surroundings(vec![inner.clone(), outer.path().to_owned()]);
    assert_eq!((surroundings.lowest("memory.max"), surroundings.lowest("pids.max")), (Some(4096), None));
    fs::write(inner.join("memory.max"), "1024").unwrap();
    assert_eq!(surroundings.lowest("memory.max"), Some(1024));
}

#[test]
fn without_limits_nothing_is_needed() {
    assert_eq!(plan(&Host { own: None, bus: None }, &Limits::default()), Ok(None));
}

#[test]
fn a_delegated_cgroup_is_used_directly() {
    let host = Host { own: Some(own("cpu memory pids", "cpu memory pids")), bus: None };
    let place = plan(&host, &ALL).unwrap().unwrap().place;
    assert_eq!(place, Place::Child { of: "/sys/fs/cgroup/a".into(), enable: vec![] });
}

#[test]
fn only_the_root_cgroup_hands_controllers_down_beside_processes() {
    let mut root = own("cpu memory pids", "pids");
    let missing = plan(&Host { own: Some(root.clone()), bus: None }, &ALL).unwrap_err();
    assert!(missing.why.contains("has processes"), "{missing}");
    root.root = true;
    let place = plan(&Host { own: Some(root), bus: None }, &ALL).unwrap().unwrap().place;
    assert!(matches!(place, Place::Child { enable, .. } if enable == ["memory", "cpu"]));
}

#[test]
fn what_is_missing_is_named() {
    let hybrid = plan(&Host { own: Some(own("", "")), bus: None }, &ALL).unwrap_err();
    assert!(hybrid.to_string().contains("none of the controllers memory, pids, cpu"), "{hybrid}");
    let service = plan(&Host { own: Some(own("memory pids", "")), bus: None }, &ALL).unwrap_err();
    assert!(service.to_string().contains("lacks the controller cpu;"), "{service}");
    let none = plan(&Host { own: None, bus: None }, &ALL).unwrap_err();
    assert!(none.to_string().contains("no cgroup v2"), "{none}");
    let mut foreign = own("cpu memory pids", "cpu memory pids");
    foreign.writable = false;
    let foreign = plan(&Host { own: Some(foreign), bus: None }, &ALL).unwrap_err();
    assert!(foreign.to_string().contains("not ours to write"), "{foreign}");
}

#[test]
fn only_the_controllers_of_the_limits_that_are_set_are_needed() {
    let pids = Limits { pids: Some(10), ..Limits::default() };
    let host = Host { own: Some(own("pids", "pids")), bus: None };
    assert!(plan(&host, &pids).unwrap().is_some());
    assert!(plan(&host, &ALL).is_err());
}

#[test]
fn control_files_are_written_in_the_kernels_units() {
    let parent = fake();
    let cgroup = child(parent.path(), &[], &ALL, "s1").unwrap();
    let read = |file: &str| fs::read_to_string(cgroup.dir().join(file)).unwrap();
    assert_eq!(read("memory.max"), "1073741824");
    assert_eq!(read("pids.max"), "100");
    assert_eq!(read("cpu.max"), "50000 100000");
}

#[test]
fn a_session_cannot_name_another_cgroup() {
    let parent = fake();
    let place = Place::Child { of: parent.path().to_owned(), enable: vec![] };
    let plan = Plan { place, limits: ALL };
    for session in ["", "..", "a/b", "../x", "a\0", "a b", "é"] {
        assert!(matches!(plan.enter(1, session), Err(CgroupError::Name(_))), "{session:?}");
    }
    assert!(!parent.path().join("rcc-").exists());
}

#[test]
fn a_limit_that_does_not_stick_is_an_error() {
    let parent = fake();
    let cgroup = child(parent.path(), &[], &ALL, "s1").unwrap();
    fs::write(cgroup.dir().join("memory.max"), "max\n").unwrap();
    assert!(matches!(cgroup.check("memory.max"), Err(CgroupError::NotEnforced { .. })));
    assert!(cgroup.check("pids.max").is_ok());
}

#[test]
fn only_abandoned_cgroups_are_swept() {
    let parent = fake();
    for name in ["rcc-old", "rcc-new", "other"] {
        fs::create_dir(parent.path().join(name)).unwrap();
    }
    let past = SystemTime::now() - ABANDONED - Duration::from_secs(1);
    for name in ["rcc-old", "other"] {
        fs::File::open(parent.path().join(name)).unwrap().set_modified(past).unwrap();
    }
    sweep(parent.path());
    let left = ["rcc-old", "rcc-new", "other"].map(|name| parent.path().join(name).exists());
    assert_eq!(left, [false, true, true]);
}

#[test]
fn the_process_limit_stands_in_where_it_counts_the_sandbox_alone() {
    assert!(rlimit_counts_processes(1000, (5, 14)));
    assert!(!rlimit_counts_processes(1000, (5, 13)));
    assert!(!rlimit_counts_processes(0, (6, 1)));
}

#[test]
fn a_limit_of_others_holds_if_it_is_no_higher() {
    for (found, wanted) in
        [("100\n", "100"), ("99", "100"), ("50000 100000\n", "50000 100000"), ("10000 50000", "50000 100000")]
    {
        assert!(holds(found, wanted), "{found} {wanted}");
    }
    for (found, wanted) in [
        ("max\n", "100"),
        ("101", "100"),
        ("", "100"),
        ("max 100000", "50000 100000"),
        ("60000 100000", "50000 100000"),
    ] {
        assert!(!holds(found, wanted), "{found} {wanted}");
    }
}

#[test]
fn where_a_process_has_no_cgroup_no_limit_is_in_force() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pids.max"), "10\n").unwrap();
    let limits = Limits { memory: None, pids: Some(10), cpus: None };
    in_force(Some(directory.path()), &limits).unwrap();
    assert!(matches!(in_force(None, &limits), Err(CgroupError::NotEnforced { .. })));
    in_force(None, &Limits { pids: None, ..limits }).unwrap();
}
