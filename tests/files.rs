//! The file promises, proven from inside the sandbox's file system.
#![cfg(target_os = "linux")]

mod sandbox;

use sandbox::{Who, World};

const EVERYONE: [Who; 2] = [Who::User, Who::Root];

#[test]
fn the_project_is_writable_at_its_own_path_and_the_home_is_private() {
    for who in EVERYONE {
        let world = World::new(who);
        world.write("a.txt", "hello");
        let script = "cat a.txt; pwd; echo new > b.txt; mkdir d && mv b.txt d/ && ln a.txt d/a; \
                      ls -A $HOME; echo kept > $HOME/kept; test ! -e $HOME/.ssh";
        let expected = format!("hello{}\nwork", world.project.display());
        assert_eq!(world.output(script), expected);
        assert_eq!(std::fs::read_to_string(world.project.join("d/b.txt")).unwrap(), "new\n");
        assert!(!world.home.join("kept").exists());
        assert_eq!(world.output("cat $HOME/kept"), "kept");
    }
}
