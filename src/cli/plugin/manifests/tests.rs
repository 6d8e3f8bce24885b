use super::super::PluginCommand;
use super::*;
use crate::facts::User;
use clap::Parser;

fn facts(root: &Path) -> Facts {
    Facts {
        user: User { uid: rustix::process::geteuid().as_raw(), gid: 0, name: "alice".into(), home: root.into() },
        cwd: root.into(),
        environment: Default::default(),
        config_dir: root.join("config"),
        data_dir: root.join("data"),
    }
}

fn typed(line: &str) -> Result<PluginCommand, clap::Error> {
    match crate::cli::Arguments::try_parse_from(line.split(' '))?.command {
        crate::cli::Command::Plugin(command) => Ok(command),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_arguments_of_a_call_are_not_rccs() {
    let PluginCommand::Check { arguments, .. } = typed("rcc plugin check gh -- pr list --user -- --help").unwrap()
    else {
        panic!()
    };
    assert_eq!(arguments.unwrap(), ["pr", "list", "--user", "--", "--help"]);
    for line in ["rcc plugin check gh pr list", "rcc plugin check -- pr", "rcc plugin check --user", "rcc plugin add"] {
        assert!(typed(line).is_err(), "{line}");
    }
}

#[test]
fn check_tells_good_manifests_and_calls_from_bad_ones() {
    let root = tempfile::tempdir().unwrap();
    let facts = facts(root.path());
    let directory = root.path().join("config/plugins");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("tool.toml");
    let run = |line: &str| typed(line).unwrap().run_as(&facts).map_err(|error| error.to_string());
    assert!(run("rcc plugin check tool").unwrap_err().contains("there is no plugin tool"));

    std::fs::write(
        &file,
        "version = 1\nkind = \"exec\"\nprogram = \"sh\"\n[options]\nstyle = \"go\"\nflags = [\"-a\"]",
    )
    .unwrap();
    assert_eq!(run("rcc plugin check tool").unwrap(), ExitCode::SUCCESS);
    let other = root.path().join("other.toml");
    std::fs::write(&other, "version = 1\nkind = \"exec\"\nprogram = \"not-here\"\nexecutes = [\"/nor/this\"]").unwrap();
    assert_eq!(run(&format!("rcc plugin check {}", other.display())).unwrap(), ExitCode::FAILURE);
    assert_eq!(run(&format!("rcc plugin check --elsewhere {}", other.display())).unwrap(), ExitCode::SUCCESS);
    std::fs::write(&other, "version = 1\nkind = \"exec\"\nprograms = \"sh\"").unwrap();
    assert_eq!(run(&format!("rcc plugin check --elsewhere {}", other.display())).unwrap(), ExitCode::FAILURE);
    assert_eq!(run("rcc plugin check tool -- -a x").unwrap(), ExitCode::SUCCESS);
    assert_eq!(run("rcc plugin check tool -- -c x").unwrap(), ExitCode::FAILURE);
    std::fs::write(&file, "version = 1\nkind = \"git\"").unwrap();
    assert_eq!(run("rcc plugin check tool").unwrap(), ExitCode::FAILURE);
    assert_eq!(run("rcc plugin check").unwrap(), ExitCode::FAILURE);
}

#[test]
fn a_file_elsewhere_is_checked_as_roots_unless_it_is_to_be_the_users() {
    let places = Places::new(&facts(Path::new("/home/alice")));
    let whose = |file: &str, user: bool| {
        let (_, origin, in_place) = find(&places, file, user).unwrap();
        (origin, in_place)
    };
    assert_eq!(whose("/etc/rcc/plugins/gh.toml", false), (Origin::Admin, true));
    assert_eq!(whose("/home/alice/config/plugins/gh.toml", false), (Origin::User, true));
    assert_eq!(whose("./gh.toml", false), (Origin::Admin, false));
    assert_eq!(whose("gh.toml", true), (Origin::User, false));
}
