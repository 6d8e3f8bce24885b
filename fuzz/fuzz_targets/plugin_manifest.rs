//! A plugin's manifest, and calls of what it describes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rcc::config::{self, Owner};
use rcc::plugin::manifest::grammar::decide;
use rcc::plugin::manifest::{Kind, Origin};
use std::path::Path;

fuzz_target!(|text: &str| {
    // What stands behind a form feed are the words of a call.
    let (text, call) = text.split_once('\u{c}').unwrap_or((text, ""));
    let owner = Owner { origin: Origin::Admin, uid: 0, home: None };
    if let Ok(loaded) = config::read_manifest(Path::new("tool.toml"), text, owner)
        && let Kind::Exec(exec) = loaded.manifest.kind
    {
        let words: Vec<String> = call.split('\n').map(str::to_owned).collect();
        let _ = decide(&exec.grammar, &words);
    }
});
