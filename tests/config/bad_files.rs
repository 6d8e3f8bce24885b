//! Files that are not what they should be, or that somebody else could have put there.

use crate::world::{World, chmod, says};
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;

/// Makes a path somebody else's: by giving it away, which takes root, else by expecting another owner.
fn give_away(world: &mut World, path: &Path) -> String {
    let us = rustix::process::geteuid();
    if us.is_root() {
        lchown(path, Some(1234), None).unwrap();
        return "it belongs to uid 1234, not to".to_owned();
    }
    (world.sources.admin_owner, world.sources.uid) = (us.as_raw() + 1, us.as_raw() + 1);
    format!("it belongs to uid {}, not to", us.as_raw())
}

#[test]
fn no_files_mean_the_defaults() {
    let loaded = World::new().loaded();
    assert_eq!(loaded.settings.profile.as_str(), "public");
    assert_eq!(loaded.admin.profiles.len(), 2);
    assert_eq!(loaded.admin.vpn_interfaces.len(), 8);
    assert!(loaded.admin.users.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn text_that_is_not_utf8_is_placed() {
    let bytes = b"users = []\n# caf\xe9\n";
    let says_where = &["is not UTF-8", "byte 16, in line 2"];
    says(&World::new().admin(bytes).refused(), says_where);
    says(&World::new().user(bytes).refused(), says_where);
    says(&World::new().project(bytes).refused(), says_where);
}

#[test]
fn a_nul_is_shown_as_what_it_is() {
    let printed = World::new().project("exclude = [\"a\0b\"]").refused();
    says(&printed, &["not valid TOML", "/w/home/project/.rcc.toml:1:", "a\\u{0}b"]);
    assert!(!printed.contains('\0'));
}

#[test]
fn a_directory_or_fifo_is_no_file_and_is_not_waited_for() {
    for (make, kind) in [("directory", "a directory"), ("fifo", "a fifo")] {
        for file in ["admin", "user", "project"] {
            let world = World::new();
            let path = match file {
                "admin" => world.sources.admin.clone(),
                "user" => world.user_path(),
                _ => world.project_path(),
            };
            match make {
                "directory" => std::fs::create_dir(&path).unwrap(),
                _ => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
            }
            says(&world.refused(), &[kind, "not a regular file"]);
        }
    }
}

#[test]
fn files_have_a_size_limit() {
    says(&World::new().admin(vec![b'#'; (16 << 20) + 1]).refused(), &["larger than 16384 KiB"]);
    says(&World::new().project(vec![b'#'; (256 << 10) + 1]).refused(), &["larger than 256 KiB"]);
    World::new().project(vec![b'#'; 256 << 10]).loaded();
}

#[test]
fn a_projects_symlink_does_not_show_another_file() {
    let world = World::new();
    std::fs::write(world.path("home/secret"), "password hunter2").unwrap();
    symlink(world.path("home/secret"), world.project_path()).unwrap();
    let printed = world.refused();
    says(&printed, &["it is a symlink"]);
    assert!(!printed.contains("hunter2"));
}

#[test]
fn a_dangling_symlink_is_not_a_missing_file() {
    let world = World::new();
    symlink("/nonexistent/config.toml", &world.sources.admin).unwrap();
    says(&world.refused(), &["a symlink to nothing"]);
}

/// Those of the modes that let others write. A group may be its user's alone, who then is no other; root's is not.
fn others<const N: usize>(modes: [u32; N]) -> impl Iterator<Item = u32> {
    let by_group = rustix::process::getegid().is_root();
    modes.into_iter().filter(move |mode| by_group || mode & 0o002 != 0)
}

#[test]
fn roots_file_is_roots_alone() {
    for mode in others([0o664, 0o646, 0o666]) {
        let world = World::new().admin("");
        chmod(&world.sources.admin, mode);
        says(&world.refused(), &["cannot trust /w/etc/config.toml", "lets others write it", "chmod go-w"]);
    }
    for mode in others([0o775, 0o757]) {
        let world = World::new().admin("");
        chmod(&world.path("etc"), mode);
        says(&world.refused(), &["cannot trust /w/etc:", "lets others write it"]);
    }
    for mode in others([0o602, 0o620]) {
        let world = World::new().user("");
        chmod(&world.user_path(), mode);
        says(&world.refused(), &["cannot trust /w/home/.config/rcc/config.toml"]);
    }
}

#[test]
fn a_symlink_leads_only_through_roots_directories() {
    let world = World::new();
    std::fs::create_dir(world.path("open")).unwrap();
    std::fs::write(world.path("open/config.toml"), "").unwrap();
    symlink(world.path("open/config.toml"), &world.sources.admin).unwrap();
    world.loaded();
    chmod(&world.path("open"), 0o777);
    says(&world.refused(), &["cannot trust /w/open:"]);
    // As in /tmp and in the Nix store: others can add files there, but not replace this one.
    chmod(&world.path("open"), 0o1777);
    world.loaded();
}

#[test]
fn somebody_elses_files_are_not_trusted() {
    for path in ["etc/config.toml", "etc", "home/.config/rcc/config.toml"] {
        let mut world = World::new().admin("").user("");
        let path = world.path(path);
        let owner = give_away(&mut world, &path);
        says(&world.refused(), &["cannot trust /w/", &owner]);
    }
}

#[test]
fn somebody_elses_symlink_is_not_followed_nor_a_symlink_to_their_file() {
    for theirs in ["etc/config.toml", "elsewhere"] {
        let mut world = World::new();
        std::fs::write(world.path("elsewhere"), "").unwrap();
        symlink(world.path("elsewhere"), &world.sources.admin).unwrap();
        let path = world.path("etc").parent().unwrap().join(theirs);
        let owner = give_away(&mut world, &path);
        says(&world.refused(), &["cannot trust /w/", &owner]);
    }
}

#[test]
fn the_agent_cannot_write_the_users_file() {
    // The project is the home: the file would be the agent's, even if there is none yet.
    let mut world = World::new();
    world.sources.project = world.sources.home.clone();
    says(&world.refused(), &["lies inside /w/home, which the agent can write"]);

    // The real file lies in the project, as with dotfiles in a repository.
    let world = World::new();
    std::fs::write(world.path("home/project/rcc.toml"), "").unwrap();
    symlink(world.path("home/project/rcc.toml"), world.user_path()).unwrap();
    says(&world.refused(), &["lies inside /w/home/project"]);

    // Only a link on the way does, but the agent could turn it.
    let world = World::new();
    std::fs::write(world.path("home/real.toml"), "").unwrap();
    symlink(world.path("home/real.toml"), world.path("home/project/link")).unwrap();
    symlink("../../project/link", world.user_path()).unwrap();
    says(&world.refused(), &["/w/home/project/link: it lies inside /w/home/project"]);

    // `XDG_CONFIG_HOME` from the project's .envrc.
    let mut world = World::new();
    world.sources.config_dir = world.sources.project.join("conf");
    says(&world.refused(), &["lies inside /w/home/project"]);
}

#[test]
fn the_agent_cannot_write_rccs_own_directories() {
    let mut world = World::new();
    world.sources.data_dir = world.sources.project.join("data");
    says(&world.refused(), &["/w/home/project/data: it lies inside"]);

    let mut world = World::new();
    world.sources.project = world.sources.data_dir.join("agents");
    std::fs::create_dir(&world.sources.project).unwrap();
    says(&world.refused(), &["where rcc keeps its own files"]);
}

#[test]
fn a_writable_mount_cannot_hold_the_configuration() {
    for source in ["~", "~/.config", "~/.local/share/rcc", "/"] {
        let text = format!("mounts = [{{ source = \"{source}\", target = \"/mnt\", mode = \"rw\" }}]");
        let printed = World::new().user(text).refused();
        says(&printed, &["which the agent can write"]);
        let text = format!("mounts = [{{ source = \"{source}\", target = \"/mnt\" }}]");
        World::new().user(text).loaded();
    }
    // By a symlink as well.
    let world = World::new().user("mounts = [{ source = \"~/link\", mode = \"rw\" }]");
    symlink(&world.sources.config_dir, world.path("home/link")).unwrap();
    says(&world.refused(), &["which the agent can write"]);
}
