//! The examples of the documentation are configurations.

use crate::world::{World, render};
use rcc::config;
use rcc::plugin::manifest::Origin;
use rcc::settings::Join;
use std::path::Path;

/// Each example with the page that it stands on.
fn examples() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|it| it == "md")).chain([root.join("README.md")]);
    let mut examples = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        examples.extend(blocks.map(|block| (name.clone(), block.to_owned())));
    }
    examples
}

#[test]
fn every_example_is_valid_as_the_file_that_it_names() {
    let examples = examples();
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for (page, text) in examples {
        let world = match text.lines().next().unwrap() {
            "# /etc/rcc/config.toml" => World::new().admin(&text),
            // It may choose one of root's profiles.
            "# ~/.config/rcc/config.toml" => World::new().admin("profiles.work = {}").user(&text),
            "# .rcc.toml" => World::new().project(&text),
            first if first.starts_with("# /etc/rcc/plugins/") => {
                // As for another machine: this one need not have what it names.
                let owner = config::Owner { origin: Origin::Admin, uid: 0, home: None };
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join(Path::new(&first[2..]).file_name().unwrap());
                std::fs::write(&file, &text).unwrap();
                if let Err(error) = config::check_manifest_elsewhere(&file, owner) {
                    panic!("{page}: {}", render(&error));
                }
                continue;
            }
            first => panic!("{page}: an example begins with the file that it belongs to, not with {first:?}"),
        };
        world.loaded();
    }
}

#[test]
fn the_examples_of_the_guide_work_together() {
    let page = include_str!("../../docs/configuration.md");
    let examples = examples();
    let guide: Vec<&str> =
        examples.iter().filter(|(page, _)| page == "configuration.md").map(|(_, text)| text.as_str()).collect();
    let [admin, user, toolchain, project, relay] = guide[..] else { panic!("{} examples", guide.len()) };
    assert_eq!(World::new().user(toolchain).loaded().settings.mounts.len(), 2);
    assert_eq!(World::new().user(relay).loaded().settings.relay, Join::Claude);
    let loaded = World::new().admin(admin).user(user).project(project).loaded();
    assert!(loaded.settings.profile.is_offline());
    assert_eq!(loaded.settings.limits.memory, Some(2 << 30));
    assert_eq!(loaded.settings.relay, Join::Refused);
    let plugins: Vec<String> = loaded.settings.plugins.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(plugins, ["git"]);
    for pattern in rcc::config::DEFAULT_EXCLUDES {
        assert!(page.contains(pattern), "{pattern} is not documented");
    }
}
