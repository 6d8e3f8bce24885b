use super::*;

fn image() -> Image {
    "localhost/agent".parse().unwrap()
}

fn socket(path: &str) -> Option<Socket> {
    Some(Socket { path: path.into(), leads_to: path.into() })
}

/// A Mac with everything.
fn all() -> Found {
    Found {
        version: "26.1".parse().ok(),
        container: Some("/usr/local/bin/container".into()),
        orbstack: socket("/Users/a/.orbstack/run/docker.sock"),
        docker_desktop: socket("/Users/a/.docker/run/docker.sock"),
        named: None,
    }
}

fn chosen(runtime: Runtime, found: &Found) -> Result<Choice, ChoiceError> {
    choose(runtime, Some(&image()), found, false)
}

fn json(choice: &Choice) -> String {
    serde_json::to_string_pretty(choice).unwrap() + "\n"
}

#[test]
fn auto_takes_the_best_that_is_there_and_tells_what_speaks_against_the_better_ones() {
    let mut found = all();
    let mut told = json(&chosen(Runtime::Auto, &found).unwrap());
    found.version = "15.6.1".parse().ok();
    told += &json(&chosen(Runtime::Auto, &found).unwrap());
    found.container = None;
    found.version = "26.0".parse().ok();
    told += &json(&chosen(Runtime::Auto, &found).unwrap());
    found.orbstack = None;
    told += &json(&chosen(Runtime::Auto, &found).unwrap());
    crate::golden::assert_golden("src/runtime/machine/choice/auto.txt", &told);
    found.docker_desktop = None;
    let Err(ChoiceError::Nothing { seen }) = chosen(Runtime::Auto, &found) else { panic!("nothing is there") };
    assert_eq!(seen.len(), 3);
}

#[test]
fn auto_never_takes_an_open_machine_even_where_docker_desktops_socket_leads_to_it() {
    let leads = Socket { path: "/var/run/docker.sock".into(), leads_to: "/Users/a/.colima/default/docker.sock".into() };
    let endpoint = Endpoint::Socket(leads.clone());
    let named = Some(Named { by: By::Context("colima".into()), endpoint });
    let found = Found { docker_desktop: Some(leads), named, ..Found::default() };
    for i_know in [false, true] {
        let error = choose(Runtime::Auto, Some(&image()), &found, i_know).unwrap_err();
        assert!(error.to_string().contains("/var/run/docker.sock leads to Colima"), "{error}");
    }
}

#[test]
fn an_open_machine_that_is_asked_for_needs_the_users_word() {
    let endpoint = Endpoint::Socket(socket("/Users/a/.colima/default/docker.sock").unwrap());
    let found = Found { named: Some(Named { by: By::Context("colima".into()), endpoint }), ..all() };
    let refused = ChoiceError::Untrusted(Untrusted::Open { machine: Open::Colima });
    assert_eq!(chosen(Runtime::Docker, &found), Err(refused));
    let taken = choose(Runtime::Docker, Some(&image()), &found, true).unwrap();
    assert!(matches!(taken, Choice::Docker { context: Some(context), .. } if context == "colima"));
}

#[test]
fn what_was_asked_for_is_never_replaced() {
    let found = Found { container: None, ..all() };
    assert_eq!(chosen(Runtime::Apple, &found), Err(ChoiceError::NoContainer));
    for version in [None, "15.9".parse().ok()] {
        assert!(matches!(chosen(Runtime::Apple, &Found { version, ..all() }), Err(ChoiceError::TooOld { .. })));
    }
    assert_eq!(chosen(Runtime::Orbstack, &Found { orbstack: None, ..all() }), Err(ChoiceError::NoOrbstack));
    assert_eq!(chosen(Runtime::Docker, &Found { docker_desktop: None, ..all() }), Err(ChoiceError::NoDocker));
    for runtime in [Runtime::Embedded, Runtime::Podman] {
        assert_eq!(chosen(runtime, &all()), Err(ChoiceError::LinuxOnly { runtime }));
    }
    for runtime in [Runtime::Auto, Runtime::Apple, Runtime::Orbstack, Runtime::Docker] {
        assert!(matches!(choose(runtime, None, &all(), true), Err(ChoiceError::NoImage { .. })), "{runtime}");
        assert!(chosen(runtime, &all()).is_ok(), "{runtime}");
    }
}

#[test]
fn docker_follows_the_users_environment_and_to_this_machine_alone() {
    let named = |endpoint| Found { named: Some(Named { by: By::Variable, endpoint }), ..all() };
    let other = Endpoint::Socket(socket("/Users/a/d.sock").unwrap());
    let taken = chosen(Runtime::Docker, &named(other)).unwrap();
    assert!(matches!(&taken, Choice::Docker { socket, why, .. }
        if socket.ends_with("d.sock") && why.contains("DOCKER_HOST")));
    for (endpoint, said) in [
        (Endpoint::Other("tcp://10.0.0.1:2375".into()), "DOCKER_HOST names the engine at 'tcp://10.0.0.1:2375'"),
        (Endpoint::Missing("/gone.sock".into()), "DOCKER_HOST names the socket /gone.sock, and there is none"),
        (Endpoint::Unknown, "DOCKER_HOST is not described"),
    ] {
        let error = chosen(Runtime::Docker, &named(endpoint)).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
