//! What git finds in the agent's sandbox: a configuration that leads it to the broker, and hooks that tell of the
//! broker's rules before anything is sent. The agent can go around all of this, and then finds no credentials.

use crate::plugin::manifest::{Git, GitAccess};
use std::fmt::Write as _;
use std::path::Path;

/// The program that git runs for `rcc::` in front of a URL; on the agent's PATH.
pub const REMOTE_HELPER: &str = "git-remote-rcc";
/// The file of the rules (a [`PushRules`](crate::plugin::manifest::PushRules) as JSON), in the directory of the
/// plugins' sockets.
pub const RULES_FILE: &str = "git.rules";
/// The configuration's file there, for GIT_CONFIG_SYSTEM.
pub const CONFIGURATION_FILE: &str = "git.config";
/// The directory there from which git makes new repositories (git-init(1), "TEMPLATE DIRECTORY").
pub const TEMPLATE: &str = "git.template";
/// The hooks in the template.
pub const HOOKS: [&str; 3] = ["commit-msg", "pre-commit", "pre-push"];
/// The system's own configuration, which the agent's sandbox sees.
const SYSTEM: &str = "/etc/gitconfig";

/// The configuration of git in the agent's sandbox, where the plugins' directory is at `plugins`. It begins with
/// the system's own, which is root's.
pub fn configuration(git: &Git, plugins: &Path) -> String {
    let mut text = format!("[include]\n\tpath = {SYSTEM}\n");
    // Of a submodule's URL the user is no judge, so helpers are not run for it unless they always are (git(1)).
    text.push_str("[protocol \"rcc\"]\n\tallow = always\n");
    let template = plugins.join(TEMPLATE);
    let _ = writeln!(text, "[init]\n\ttemplateDir = \"{}\"", template.display());
    let mut bases: Vec<String> = git.hosts.iter().flat_map(|host| bases(&host.name, &host.access)).collect();
    bases.sort();
    bases.dedup();
    for base in bases {
        let _ = writeln!(text, "[url \"rcc::{base}\"]\n\tinsteadOf = {base}");
    }
    text
}

/// The ways to write a host's repositories, up to the path. A port is one protocol's.
fn bases(name: &str, access: &GitAccess) -> Vec<String> {
    let user = match access {
        GitAccess::Https { .. } => "git",
        GitAccess::Ssh { user, .. } => user,
    };
    let has_port = name.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let https = format!("https://{name}/");
    let ssh = [format!("ssh://{user}@{name}/"), format!("ssh://{name}/")];
    match (has_port, access) {
        (true, GitAccess::Https { .. }) => vec![https],
        (true, GitAccess::Ssh { .. }) => ssh.into(),
        (false, _) => [https, format!("{user}@{name}:")].into_iter().chain(ssh).collect(),
    }
}

/// A hook of the template. In a repository that is used where there is no such program, it does nothing.
pub fn hook(name: &str, program: &Path) -> String {
    let program = program.display().to_string().replace('\'', "'\\''");
    format!(
        "#!/bin/sh\n\
         # The rules of rcc's git plugin, told early; the broker enforces them.\n\
         [ -x '{program}' ] || exit 0\n\
         exec '{program}' guest git-hook {name} \"$@\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest::{GitHost, PushRules};

    fn git() -> Git {
        let https = GitAccess::Https { user: "x".into(), credential: "c".into(), ca: None };
        let ssh = GitAccess::Ssh { user: "alice".into(), credential: "c".into(), known_hosts: "/k".into() };
        let host =
            |name: &str, access: &GitAccess| GitHost { name: name.into(), paths: vec![], access: access.clone() };
        let hosts =
            vec![host("github.com", &https), host("github.com", &https), host("h:8443", &https), host("h:2222", &ssh)];
        let rules = PushRules {
            blocked_branches: vec![],
            allowed_branches: vec![],
            allowed_tags: vec![],
            force: false,
            delete: false,
            pack_max: 1,
            message: None,
            author: None,
        };
        Git { hosts, rules }
    }

    #[test]
    fn every_way_to_write_a_host_leads_to_the_broker_once() {
        let text = configuration(&git(), Path::new("/run/rcc/plugins"));
        for base in
            ["https://github.com/", "git@github.com:", "ssh://git@github.com/", "https://h:8443/", "ssh://h:2222/"]
        {
            let entry = format!("[url \"rcc::{base}\"]\n\tinsteadOf = {base}\n");
            assert_eq!(text.matches(&entry).count(), 1, "{base} in {text}");
        }
        assert!(!text.contains("https://h:2222") && !text.contains("ssh://git@h:8443"));
        assert!(text.starts_with("[include]\n\tpath = /etc/gitconfig\n"));
        assert!(text.contains("templateDir = \"/run/rcc/plugins/git.template\"\n"));
    }

    #[test]
    fn what_is_led_to_the_broker_is_what_the_broker_takes() {
        let git = git();
        for host in &git.hosts {
            for base in bases(&host.name, &host.access) {
                super::super::remote::resolve(&format!("{base}o/r"), &git.hosts).unwrap();
            }
        }
    }
}
