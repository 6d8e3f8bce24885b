//! Who is root in the virtual machine that an engine's containers run in.
//!
//! The rules of the network are loaded inside of that machine. They hold as long as nobody but the engine is root
//! there. Some machines give root to whoever gets in: their user may use sudo without a password, and the key of
//! their ssh lies in the home of the host's user.

use super::found::Socket;
use serde::Deserialize;
use std::fmt;
use std::path::{Component, Path};

/// What `GET /info` of Docker's API tells of the machine. The answer is the machine's own word, and
/// believed: a machine that calls itself OrbStack or Docker Desktop is taken for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    /// Its host name.
    #[serde(default)]
    pub name: String,
    /// What it calls its system.
    #[serde(default)]
    pub operating_system: String,
    /// `key=value` of the engine's configuration.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
}

/// A virtual machine in which whoever gets in is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Colima.
    Colima,
    /// Lima.
    Lima,
    /// Rancher Desktop.
    RancherDesktop,
    /// `podman machine`.
    PodmanMachine,
    /// Multipass.
    Multipass,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Colima => "Colima",
            Self::Lima => "Lima",
            Self::RancherDesktop => "Rancher Desktop",
            Self::PodmanMachine => "Podman machine",
            Self::Multipass => "Multipass",
        })
    }
}

/// A virtual machine in which nobody but its maker's own programs is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// OrbStack.
    OrbStack,
    /// Docker Desktop.
    DockerDesktop,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OrbStack => "OrbStack",
            Self::DockerDesktop => "Docker Desktop",
        })
    }
}

/// What is known of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The rules hold in it.
    Closed(Closed),
    /// They can be taken away.
    Open(Open),
    /// Nothing tells.
    Unknown,
}

/// The rules would not hold there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum Untrusted {
    /// One that is known to be open.
    #[error(
        "the engine runs in the virtual machine of {machine}, where whoever gets in is root by sudo without a \
         password, and the key of its ssh lies in your home: an agent that got there could take the rules of its \
         network away"
    )]
    #[diagnostic(help(
        "use Apple's `container`, OrbStack or Docker Desktop; who accepts that the rules may not hold says so with \
         --i-know, for this run"
    ))]
    Open {
        /// Which.
        machine: Open,
    },
    /// One that nobody knows.
    #[error(
        "the engine runs on '{system}', which is neither OrbStack nor Docker Desktop: rcc cannot tell who is root \
         there and could take the rules of the network away"
    )]
    #[diagnostic(help(
        "use Apple's `container`, OrbStack or Docker Desktop; who knows that machine says so with --i-know, for this \
         run"
    ))]
    Unknown {
        /// What it calls itself.
        system: String,
    },
}

/// Directories that these programs keep sockets in: one name, or a name in another.
const DIRECTORIES: [(&[&str], Open); 9] = [
    (&[".colima"], Open::Colima),
    (&[".config", "colima"], Open::Colima),
    (&[".lima"], Open::Lima),
    (&["_lima"], Open::Lima),
    (&[".rd"], Open::RancherDesktop),
    (&["rancher-desktop"], Open::RancherDesktop),
    (&["podman", "machine"], Open::PodmanMachine),
    (&["multipass"], Open::Multipass),
    (&["multipassd"], Open::Multipass),
];

/// Names of contexts, machines and labels: the whole name, or what it begins with, before a '-'. Rancher Desktop's is
/// Lima's too.
const NAMES: [(&str, Open); 6] = [
    ("colima", Open::Colima),
    ("rancher-desktop", Open::RancherDesktop),
    ("lima-rancher-desktop", Open::RancherDesktop),
    ("lima", Open::Lima),
    ("podman-machine", Open::PodmanMachine),
    ("multipass", Open::Multipass),
];

/// What the place of the socket and the name of the context give away, before anything is asked.
pub fn by_place(socket: &Socket, context: Option<&str>) -> Option<Open> {
    let paths = [&socket.leads_to, &socket.path].into_iter().find_map(|path| by_path(path));
    paths.or_else(|| context.and_then(by_name))
}

fn by_path(path: &Path) -> Option<Open> {
    let parts: Vec<&str> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
        .collect();
    let directory = DIRECTORIES.iter().find(|(names, _)| parts.windows(names.len()).any(|window| window == *names));
    let podman = || parts.iter().any(|part| part.starts_with("podman-machine")).then_some(Open::PodmanMachine);
    directory.map(|(_, machine)| *machine).or_else(podman)
}

fn by_name(name: &str) -> Option<Open> {
    let name = name.to_ascii_lowercase();
    let is = |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    NAMES.iter().find(|(known, _)| is(known)).map(|(_, machine)| *machine)
}

/// Everything together. One sign of an open machine outweighs whatever it calls itself.
pub fn judge(socket: &Socket, context: Option<&str>, info: &Info) -> Judgement {
    let system = info.operating_system.to_ascii_lowercase();
    let by_system = || system.contains("rancher desktop").then_some(Open::RancherDesktop);
    let labels = info.labels.iter().flatten().flat_map(|label| label.split(['=', '.', '/']));
    let open = by_place(socket, context)
        .or_else(|| by_name(&info.name))
        .or_else(by_system)
        .or_else(|| labels.into_iter().find_map(by_name));
    match (open, info.operating_system.as_str()) {
        (Some(machine), _) => Judgement::Open(machine),
        (None, "OrbStack") => Judgement::Closed(Closed::OrbStack),
        (None, "Docker Desktop") => Judgement::Closed(Closed::DockerDesktop),
        (None, _) => Judgement::Unknown,
    }
}

/// Whether rules can be entrusted to that machine. `i_know` is the word of the user, given for one run.
pub fn entrust(judgement: Judgement, info: &Info, i_know: bool) -> Result<(), Untrusted> {
    match judgement {
        Judgement::Closed(_) => Ok(()),
        _ if i_know => Ok(()),
        Judgement::Open(machine) => Err(Untrusted::Open { machine }),
        Judgement::Unknown => Err(Untrusted::Unknown { system: crate::shown::text(&info.operating_system) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(path: &str) -> Socket {
        Socket { path: "/var/run/docker.sock".into(), leads_to: path.into() }
    }

    fn info(name: &str, system: &str) -> Info {
        Info { name: name.into(), operating_system: system.into(), labels: None }
    }

    const ORBSTACK: &str = "/Users/a/.orbstack/run/docker.sock";

    #[test]
    fn the_socket_gives_an_open_machine_away_wherever_a_link_to_it_lies() {
        for (path, machine) in [
            ("/Users/a/.colima/default/docker.sock", Open::Colima),
            ("/Users/a/.config/colima/work/docker.sock", Open::Colima),
            ("/Users/a/.lima/docker/sock/docker.sock", Open::Lima),
            ("/Users/a/.rd/docker.sock", Open::RancherDesktop),
            ("/Users/a/.local/share/containers/podman/machine/podman.sock", Open::PodmanMachine),
            ("/private/var/folders/x/T/podman/podman-machine-default-api.sock", Open::PodmanMachine),
            ("/var/snap/multipass/common/docker.sock", Open::Multipass),
        ] {
            assert_eq!(by_place(&socket(path), None), Some(machine), "{path}");
            // It may call itself what it likes.
            assert_eq!(judge(&socket(path), None, &info("orbstack", "OrbStack")), Judgement::Open(machine), "{path}");
        }
    }

    #[test]
    fn a_users_name_is_no_machine() {
        for path in [ORBSTACK, "/Users/lima/.orbstack/run/docker.sock", "/Users/colima/.docker/run/docker.sock"] {
            assert_eq!(by_place(&socket(path), Some("desktop-linux")), None, "{path}");
        }
    }

    #[test]
    fn contexts_names_systems_and_labels_give_it_away_too() {
        let place = socket("/run/user/501/d.sock");
        for (context, machine) in [("colima", Open::Colima), ("colima-work", Open::Colima), ("lima-docker", Open::Lima)]
        {
            assert_eq!(by_place(&place, Some(context)), Some(machine));
        }
        assert_eq!(by_place(&place, Some("colimate")), None);
        for (name, system, machine) in [
            ("colima", "Ubuntu 24.04.1 LTS", Open::Colima),
            ("lima-rancher-desktop", "Alpine Linux v3.20", Open::RancherDesktop),
            ("lima-docker", "Ubuntu 24.04.1 LTS", Open::Lima),
            ("podman-machine-default", "fedora", Open::PodmanMachine),
            ("x", "Rancher Desktop WSL Distribution", Open::RancherDesktop),
        ] {
            assert_eq!(judge(&place, None, &info(name, system)), Judgement::Open(machine), "{name} {system}");
        }
        let labels = Some(vec!["provider=other".to_owned(), "vm=multipass".to_owned()]);
        assert_eq!(judge(&place, None, &Info { labels, ..info("x", "OrbStack") }), Judgement::Open(Open::Multipass));
    }

    #[test]
    fn only_the_two_that_are_known_to_be_closed_are_entrusted_with_rules() {
        let (place, orbstack) = (socket(ORBSTACK), info("orbstack", "OrbStack"));
        assert_eq!(entrust(judge(&place, None, &orbstack), &orbstack, false), Ok(()));
        let desktop = info("docker-desktop", "Docker Desktop");
        assert_eq!(judge(&place, Some("desktop-linux"), &desktop), Judgement::Closed(Closed::DockerDesktop));
        for other in [info("vm", "Debian GNU/Linux 13 (trixie)"), Info::default(), info("x", "OrbStack 2\u{1b}[0m")] {
            let judgement = judge(&place, None, &other);
            assert!(matches!(entrust(judgement, &other, false), Err(Untrusted::Unknown { .. })), "{other:?}");
            assert_eq!(entrust(judgement, &other, true), Ok(()));
        }
        let colima = info("colima", "Ubuntu");
        let judgement = judge(&place, None, &colima);
        let refused = entrust(judgement, &colima, false).unwrap_err();
        assert!(refused.to_string().contains("Colima") && refused.to_string().contains("sudo without a password"));
        assert_eq!(entrust(judgement, &colima, true), Ok(()));
    }
}
