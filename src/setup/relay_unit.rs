//! Text of the relay's systemd units, in the user's form and in the system's. Pure.
//!
//! The socket unit makes the socket for the host's programs before the relay runs, so that whoever connects
//! waits instead of failing; the service makes the sessions' own. The service is wanted by itself too: a
//! message that is due after a boot is sent though nobody connects, and sandboxes know their own sockets alone.

use super::unit::is_plain;
use crate::relay::place::{SYSTEM_GROUP, SYSTEM_STATE, SYSTEM_USER};
use std::path::Path;

/// Name of the socket unit, in both forms.
pub const SOCKET: &str = "rcc-relay.socket";
/// Name of the service, in both forms.
pub const SERVICE: &str = "rcc-relay.service";

/// Name of the service that carries messages between this relay and those of other hosts.
pub const BRIDGE: &str = "rcc-relay-bridge.service";

/// Whose relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A user's own, for this user's sandboxes.
    User,
    /// The system's, for the sandboxes of several users.
    System,
}

/// The relay's two units with their names, the socket first.
///
/// # Panics
/// If the path is not [plain](is_plain).
pub fn both(form: Form, rcc: &Path) -> [(&'static str, String); 2] {
    [(SOCKET, socket(form)), (SERVICE, service(form, rcc))]
}

/// The bridge: the relay's only process with a network, and nothing else of the relay's within its reach but the
/// socket. It starts and ends with the relay.
///
/// # Panics
/// If the path is not [plain](is_plain).
pub fn bridge(form: Form, rcc: &Path) -> String {
    assert!(is_plain(rcc), "{} can't stand in a unit file", rcc.display());
    let rcc = rcc.display();
    let (option, own) = match form {
        Form::User => ("", String::new()),
        Form::System => (" --system", format!("{}InaccessiblePaths=-{SYSTEM_STATE}\n{HARDENED}", account())),
    };
    format!(
        "\
{}
[Unit]
Description=Bridge between the relay of rcc sandboxes and those of other hosts
BindsTo={SERVICE}
After={SERVICE}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={rcc} relay bridge{option}
Restart=on-failure
RestartSec=5s
UMask=0077
{own}NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
{CONFINED}
[Install]
WantedBy={SERVICE}
",
        head(form)
    )
}

/// The socket unit, systemd.socket(5).
///
/// `%t` is the runtime directory of the user's login; nobody else comes there.
pub fn socket(form: Form) -> String {
    let listen = match form {
        Form::User => "\
ListenStream=%t/rcc/relay/relay.sock
DirectoryMode=0700
SocketMode=0600
"
        .to_owned(),
        Form::System => format!(
            "\
ListenStream=/run/rcc-relay/relay.sock
DirectoryMode=0755
SocketMode=0660
SocketGroup={SYSTEM_GROUP}
"
        ),
    };
    format!(
        "\
{}
[Unit]
Description=Socket of the relay between rcc sandboxes

[Socket]
{listen}RemoveOnStop=yes

[Install]
WantedBy=sockets.target
",
        head(form)
    )
}

/// The service, systemd.service(5), systemd.exec(5).
///
/// Neither form has a user namespace: through one every peer but the user looks like nobody, and the relay
/// tells its peers apart by the uid that the kernel names. In a user's manager everything that takes a mount
/// namespace brings a user namespace along (systemd.exec(5), `PrivateUsers=`), so the user's form is held by
/// seccomp alone. `RestrictSUIDSGID` is left out: systemd's filter for it answers ENOSYS to openat2(2), which
/// opens files of others without following links.
///
/// A reload is a signal, which `rcc relay reload` sends: a host need not have kill(1) where units look for it.
///
/// # Panics
/// If the path is not [plain](is_plain).
pub fn service(form: Form, rcc: &Path) -> String {
    assert!(is_plain(rcc), "{} can't stand in a unit file", rcc.display());
    let rcc = rcc.display();
    let (option, target, own) = match form {
        Form::User => ("", "default.target", String::new()),
        Form::System => (" --system", "multi-user.target", system()),
    };
    format!(
        "\
{}
[Unit]
Description=Relay between rcc sandboxes
Requires={SOCKET}
After={SOCKET}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={rcc} relay start{option}
ExecReload={rcc} relay reload
Restart=on-failure
RestartSec=1s
TimeoutStartSec=60s
UMask=0077
LimitNOFILE=65536:524288
{own}NoNewPrivileges=yes
RestrictAddressFamilies=AF_UNIX
{CONFINED}
[Install]
WantedBy={target}
Also={SOCKET}
",
        head(form)
    )
}

/// What seccomp alone holds.
const CONFINED: &str = "\
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

fn head(form: Form) -> &'static str {
    match form {
        Form::User => "# Where `rcc relay install` wrote this file, `rcc relay uninstall` removes it.",
        Form::System => {
            "# Where `rcc relay install --system` wrote this file, `rcc relay uninstall --system` removes it."
        }
    }
}

/// What only the system's manager can do.
///
/// The group is that of those who may use the relay, so that what the relay makes for them, the socket among
/// it, has it from the beginning: the relay may change no owners. Its runtime directory is entered by all of
/// them, and outlives the service: running sandboxes have parts of it mounted. What is in there the relay
/// opens to others itself, one by one: hence `UMask`.
fn system() -> String {
    format!(
        "\
{}RuntimeDirectory=rcc-relay
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
StateDirectory=rcc-relay
StateDirectoryMode=0700
PrivateNetwork=yes
{HARDENED}",
        account()
    )
}

fn account() -> String {
    format!("User={SYSTEM_USER}\nGroup={SYSTEM_GROUP}\n")
}

/// What takes no network away.
const HARDENED: &str = "\
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::place::Place;

    const RCC: &str = "/usr/bin/rcc";

    fn units() -> [(Form, String, String); 2] {
        [Form::User, Form::System].map(|form| {
            let [(_, socket), (_, service)] = both(form, Path::new(RCC));
            (form, socket, service)
        })
    }

    fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
        unit.lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(k, _)| *k == key)
            .map(|(_, value)| value)
            .collect()
    }

    #[test]
    fn each_form_starts_its_own_relay_by_no_program_but_rcc() {
        for (form, _, service) in units() {
            let start = match form {
                Form::User => "/usr/bin/rcc relay start",
                Form::System => "/usr/bin/rcc relay start --system",
            };
            assert_eq!(values(&service, "ExecStart"), [start]);
            assert_eq!(values(&service, "ExecReload"), ["/usr/bin/rcc relay reload"]);
            assert_eq!(service.lines().filter(|line| line.starts_with("Exec")).count(), 2);
        }
    }

    #[test]
    fn the_sockets_are_where_the_relay_and_its_clients_look() {
        let [(_, user, _), (_, system, service)] = units();
        let login = Place::user(7, Some(Path::new("/run/user/7")), Path::new("/data"), |_| true);
        assert_eq!(values(&user, "ListenStream")[0].replace("%t", "/run/user/7"), login.socket().to_str().unwrap());
        assert_eq!(values(&system, "ListenStream"), [Place::system().socket().to_str().unwrap()]);
        let [run, state] = ["RuntimeDirectory", "StateDirectory"].map(|key| values(&service, key)[0]);
        assert_eq!(Path::new("/run").join(run), Place::system().run);
        assert_eq!(Path::new("/var/lib").join(state), Place::system().state);
    }

    #[test]
    fn nobody_comes_to_a_users_socket_and_only_the_group_to_the_systems() {
        let [(_, user, _), (_, system, service)] = units();
        assert_eq!((values(&user, "SocketMode"), values(&user, "DirectoryMode")), (vec!["0600"], vec!["0700"]));
        assert_eq!((values(&system, "SocketMode"), values(&system, "SocketGroup")), (vec!["0660"], vec!["rcc-agents"]));
        // The manager gives the directory with all that is in it to the service's user and group.
        assert_eq!(values(&service, "Group"), values(&system, "SocketGroup"));
    }

    #[test]
    fn no_form_has_a_network_or_a_privilege() {
        for (_, _, service) in units() {
            assert_eq!(values(&service, "RestrictAddressFamilies"), ["AF_UNIX"]);
            assert_eq!(values(&service, "NoNewPrivileges"), ["yes"]);
            assert_eq!(values(&service, "SystemCallFilter"), ["@system-service", "~@privileged @resources"]);
        }
        let [_, (_, _, system)] = units();
        assert_eq!(values(&system, "CapabilityBoundingSet"), [""]);
        assert_eq!(values(&system, "PrivateNetwork"), ["yes"]);
        assert_eq!(values(&system, "User"), ["rcc-relay"]);
    }

    #[test]
    fn the_bridge_has_a_network_and_nothing_else_that_the_relay_has_not() {
        for (form, _, service) in units() {
            let bridge = bridge(form, Path::new(RCC));
            assert_eq!(values(&bridge, "RestrictAddressFamilies"), ["AF_INET AF_INET6 AF_UNIX"]);
            assert_eq!((values(&bridge, "BindsTo"), values(&bridge, "WantedBy")), (vec![SERVICE], vec![SERVICE]));
            let start = values(&service, "ExecStart")[0].replace(" start", " bridge");
            assert_eq!(values(&bridge, "ExecStart"), [start]);
            let held = |line: &&str| {
                let (key, value) = line.split_once('=').unwrap_or_default();
                let held = [
                    "Protect",
                    "Private",
                    "Restrict",
                    "SystemCall",
                    "Capab",
                    "NoNew",
                    "Memory",
                    "Lock",
                    "User",
                    "Group",
                ];
                held.iter().any(|begin| key.starts_with(begin))
                    && !(key == "PrivateNetwork" || value == "AF_UNIX" || key == "ProcSubset")
            };
            for line in service.lines().filter(held) {
                assert!(bridge.lines().any(|other| other == line), "{line}");
            }
        }
        let system = bridge(Form::System, Path::new(RCC));
        assert_eq!(values(&system, "InaccessiblePaths"), ["-/var/lib/rcc-relay"]);
        assert!(!system.contains("PrivateNetwork") && !system.contains("StateDirectory"));
    }

    #[test]
    fn no_form_hides_who_a_peer_is() {
        let [(_, _, user), (_, _, system)] = units();
        assert!(!system.contains("PrivateUsers") && !system.contains("DynamicUser"));
        for needs_a_mount_namespace in ["Protect", "Private", "ReadOnly", "ReadWrite", "Inaccessible", "Bind"] {
            assert!(!user.lines().any(|line| line.starts_with(needs_a_mount_namespace)), "{user}");
        }
    }
}
