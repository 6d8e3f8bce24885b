//! What a sandbox sees of its plugins.

use super::git::inside::CONFIGURATION_FILE;
use super::place::{INSIDE, INSIDE_WRAPPERS};
use super::port::Port;
use crate::view::{Access, Mount, What};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A session's tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Kit {
    /// The host's directory of the session's sockets and wrappers, without symbolic links.
    pub directory: PathBuf,
    /// Ports of its loopback, each once.
    pub ports: Vec<Port>,
}

impl Kit {
    /// What appears in the sandbox. Nothing of it can be written or executed.
    pub fn mounts(&self) -> Vec<Mount> {
        let what = What::Bind { source: self.directory.clone(), access: Access::Inert };
        vec![Mount { target: INSIDE.into(), what }]
    }

    /// Puts the wrappers in front of everything else, and has git read its configuration.
    pub fn enter(&self, environment: &mut BTreeMap<OsString, OsString>) {
        let mut path = OsString::from(INSIDE_WRAPPERS);
        if let Some(before) = environment.get(&OsString::from("PATH")).filter(|before| !before.is_empty()) {
            path.push(":");
            path.push(before);
        }
        environment.insert("PATH".into(), path);
        let gitconfig = Path::new(INSIDE).join(CONFIGURATION_FILE);
        environment.insert("GIT_CONFIG_SYSTEM".into(), gitconfig.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit { directory: "/run/user/7/rcc/plugins/sessions/api-1.00".into(), ports: Vec::new() }
    }

    #[test]
    fn a_sandbox_finds_its_wrappers_first_and_can_change_nothing() {
        let kit = kit();
        for mount in kit.mounts() {
            if let What::Bind { access, .. } = mount.what {
                assert_ne!(access, Access::Writable, "{}", mount.target.display());
            }
        }
        let mut environment = BTreeMap::from([(OsString::from("PATH"), OsString::from("/usr/bin"))]);
        kit.enter(&mut environment);
        assert_eq!(environment[&OsString::from("PATH")], "/run/rcc/plugins/bin:/usr/bin");
        assert_eq!(environment[&OsString::from("GIT_CONFIG_SYSTEM")], "/run/rcc/plugins/git.config");
        let mut empty = BTreeMap::new();
        kit.enter(&mut empty);
        assert_eq!(empty[&OsString::from("PATH")], INSIDE_WRAPPERS);
    }
}
