//! The environment inside: what is named, and nothing else.

use crate::facts::Facts;
use crate::settings::Environment;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Variables about the terminal, the language and the time zone: none is a secret, and a shell
/// without them is no fun.
const PASSED: [&str; 13] = [
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "COLORFGBG",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "LANG",
    "LANGUAGE",
    "TZ",
    "COLUMNS",
    "LINES",
];

/// The system's directories for programs, as on the host.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/run/current-system/sw/bin";

/// Puts the environment together. Later sources win: what rcc sets, what the agent needs, what
/// the user's configuration passes and sets.
pub fn inside(facts: &Facts, session: &str, agent: &Environment, user: &Environment) -> BTreeMap<OsString, OsString> {
    let mut environment = BTreeMap::new();
    let locale =
        facts.environment.keys().filter(|name| name.as_encoded_bytes().starts_with(b"LC_")).map(OsString::as_os_str);
    for name in PASSED.iter().map(OsStr::new).chain(locale) {
        pass(&mut environment, facts, name);
    }
    let home = facts.user.home.as_os_str();
    let mut path = home.to_owned();
    path.push("/.local/bin:");
    // NixOS: the packages that are declared for this user alone.
    let profile = format!("/etc/profiles/per-user/{}/bin", facts.user.name);
    if Path::new(&profile).is_dir() {
        path.push(profile + ":");
    }
    path.push(PATH);
    let own: [(&str, &OsStr); 9] = [
        ("HOME", home),
        ("USER", facts.user.name.as_ref()),
        ("LOGNAME", facts.user.name.as_ref()),
        ("SHELL", shell(facts)),
        ("PATH", &path),
        // Programs that are careful about root, or have a sandbox of their own, ask for these.
        ("container", "rcc".as_ref()),
        ("IS_SANDBOX", "1".as_ref()),
        ("RCC", "1".as_ref()),
        ("RCC_SESSION", session.as_ref()),
    ];
    environment.extend(own.map(|(name, value)| (OsString::from(name), value.to_owned())));
    for layer in [agent, user] {
        for name in &layer.pass {
            pass(&mut environment, facts, name.as_ref());
        }
        environment.extend(layer.set.iter().map(|(name, value)| (name.into(), value.into())));
    }
    environment
}

fn pass(environment: &mut BTreeMap<OsString, OsString>, facts: &Facts, name: &OsStr) {
    if let Some(value) = facts.environment.get(name) {
        environment.insert(name.to_owned(), value.clone());
    }
}

/// The shell of an image, of which nothing is known: POSIX has it there.
pub const IMAGES_SHELL: &str = "/bin/sh";

/// The caller's shell where it is one of the system's, which are the ones visible inside.
pub fn shell(facts: &Facts) -> &OsStr {
    let visible = |path: &&OsString| {
        let path = Path::new(path.as_os_str());
        ["/bin", "/usr/bin", "/run/current-system/sw/bin"].iter().any(|dir| path.parent() == Some(Path::new(dir)))
            && path.exists()
    };
    let shell = facts.environment.get(OsStr::new("SHELL")).filter(visible);
    shell.map_or(OsStr::new(if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }), OsString::as_os_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::User;

    fn facts(environment: &[(&str, &str)]) -> Facts {
        Facts {
            user: User { uid: 1000, gid: 1000, name: "u".into(), home: "/home/u".into() },
            cwd: "/home/u/p".into(),
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            config_dir: "/home/u/.config/rcc".into(),
            data_dir: "/home/u/.local/share/rcc".into(),
        }
    }

    fn value<'a>(environment: &'a BTreeMap<OsString, OsString>, name: &str) -> Option<&'a str> {
        environment.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    #[test]
    fn nothing_is_passed_that_is_not_named() {
        let facts = facts(&[
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("SSH_AUTH_SOCK", "/s"),
            ("LD_PRELOAD", "/evil.so"),
            ("PATH", "/home/u/p/bin"),
            ("TERM", "xterm"),
            ("LC_ALL", "C"),
            ("WANTED", "1"),
        ]);
        let user = Environment { pass: vec!["WANTED".into()], set: BTreeMap::from([("A".into(), "b".into())]) };
        let inside = inside(&facts, "s-1", &Environment::default(), &user);
        for name in ["AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "LD_PRELOAD"] {
            assert_eq!(value(&inside, name), None, "{name}");
        }
        for (name, expected) in [("TERM", "xterm"), ("LC_ALL", "C"), ("WANTED", "1"), ("A", "b"), ("HOME", "/home/u")] {
            assert_eq!(value(&inside, name), Some(expected), "{name}");
        }
        assert!(!value(&inside, "PATH").unwrap().contains("/home/u/p"));
    }
}
