//! What is hidden in the project.

use super::EVERYONE;
use super::sandbox::{Who, World};

#[test]
fn what_is_excluded_by_its_place_cannot_be_moved_out_of_it_for_the_next_run() {
    for who in EVERYONE {
        let mut world = World::new(who);
        world.write("a/config/token.txt", "hunter2");
        world.write("a/free/x", "");
        world.exclude = vec!["a/config/*.txt".into()];
        world.refuses(&["mv a/config a/other", "mv a b", "cat a/config/token.txt"]);
        assert_eq!(world.output("mv a/free a/freed && echo moved"), "moved");
        world.exclude = vec!["*.txt".into()];
        assert_eq!(world.output("mv a/config a/other && ! cat a/other/token.txt && echo moved"), "moved");
        world.refuses(&["cat a/other/token.txt"]);
    }
}

#[test]
fn a_link_that_makes_its_target_a_secret_stays_for_the_next_run() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("config/real", "hunter2");
        world.write("sub/x", "");
        std::os::unix::fs::symlink("../config/real", world.project.join("sub/.env")).unwrap();
        world.refuses(&["rm sub/.env", "mv sub/.env x", "mv sub moved", "mv config moved", "ln -sf x sub/.env"]);
        world.refuses(&["cat config/real", "cat sub/.env"]);
        assert_eq!(world.output("touch sub/y config/y && mv sub/x sub/z && echo written"), "written");
    }
}

#[test]
fn sockets_that_the_host_listens_on_are_hidden() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("run/x", "");
        let bind = |name: &str| std::os::unix::net::UnixListener::bind(world.project.join("run").join(name)).unwrap();
        let (_open, closed) = (bind("open"), bind("closed"));
        drop(closed);
        world.refuses(&["test -S run/open", "rm run/open", "mv run/open run/y"]);
        assert_eq!(world.output("test -S run/closed && rm run/closed && echo removed"), "removed");
    }
}

#[test]
fn excluded_files_and_directories_are_empty_and_stay_in_place() {
    for who in EVERYONE {
        let mut world = World::new(who);
        world.exclude = [".env", "*.key", "!public.key", "private/", "/deep/**/token"].map(str::to_owned).into();
        for path in [".env", "sub/.env", "a.key", "public.key", "private/x", "deep/a/b/token", "token", "real.txt"] {
            world.write(path, "secret");
        }
        std::fs::hard_link(world.project.join(".env"), world.project.join("sub/other-name")).unwrap();
        std::os::unix::fs::symlink("../real.txt", world.project.join("sub/b.key")).unwrap();
        std::os::unix::fs::symlink(world.home.join(".ssh/id"), world.project.join("c.key")).unwrap();
        assert_eq!(world.output("cat public.key token"), "secretsecret");
        let hidden = [
            ".env",
            "sub/.env",
            "a.key",
            "private/x",
            "deep/a/b/token",
            "sub/other-name",
            "sub/b.key",
            "real.txt",
            "c.key",
        ];
        for path in hidden {
            world.refuses(&[
                &format!("cat {path}"),
                &format!("cat /proc/self/root{}/{path}", world.project.display()),
                &format!("cat /proc/1/cwd/{path}"),
                &format!("chmod 777 {path}; cat {path}"),
            ]);
        }
        for path in [".env", "sub/.env", "private", "sub/other-name"] {
            world.refuses(&[
                &format!("mv {path} gone"),
                &format!("rm -rf {path}"),
                &format!("ln {path} linked"),
                &format!("touch x && mv -T x {path}"),
                &format!("ls {path}/x"),
                &format!("mount --bind {path} sub; umount {path}"),
            ]);
        }
        // What is above a hidden file can be renamed; it stays hidden.
        world.refuses(&["mv sub moved && grep secret moved/.env moved/other-name"]);
        assert_eq!(std::fs::read_to_string(world.project.join(".env")).unwrap(), "secret");
    }
}

#[test]
fn a_mask_that_the_host_removes_is_noticed_at_once() {
    let world = World::new(Who::User);
    world.write(".env", "secret");
    let (view, _handover) = world.plan();
    let lost = std::thread::scope(|scope| {
        let sandbox = scope.spawn(|| world.first_loss(view));
        while !world.project.join("ready").exists() && !sandbox.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        world.write("new", "secret");
        std::fs::rename(world.project.join("new"), world.project.join(".env")).unwrap();
        sandbox.join().unwrap()
    });
    assert_eq!(lost, format!("{:?}", [world.project.join(".env")]));
}
