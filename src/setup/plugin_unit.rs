//! Text of the systemd unit for brokers whose credentials only root can read. Pure.
//!
//! A launcher starts its user's broker by itself. This unit is for the one thing that no process of the user's can do:
//! to have the system's manager read files of root's and hand them over (systemd.exec(5), `LoadCredential=`).

use super::unit::is_plain;
use std::collections::BTreeSet;
use std::path::Path;

/// Name of the unit, a template: its instances are users.
pub const NAME: &str = "rcc-plugins@.service";
/// Where root's files are that credentials are loaded from, each under its name.
pub const CREDENTIALS: &str = "/etc/rcc/credentials";

/// The unit, systemd.service(5), with a credential for each of these names.
///
/// The broker starts the tools' sandboxes, by newuidmap, which is setuid: so there is no `NoNewPrivileges`, and nothing
/// that brings it along (systemd.exec(5): every filter of system calls where `User=` is set). Sandboxes mount a `/proc` of
/// their own, which the kernel refuses to a process that sees only parts of it: so there is no `ProtectProc`,
/// `ProtectKernelTunables` or `PrivateDevices`. What is left to hold is what the user's own processes are held to.
///
/// # Panics
/// If the path is not [plain](is_plain).
pub fn service(rcc: &Path, credentials: &BTreeSet<&str>) -> String {
    assert!(is_plain(rcc), "{} can't stand in a unit file", rcc.display());
    let rcc = rcc.display();
    let load: String = credentials.iter().map(|name| format!("LoadCredential={name}:{CREDENTIALS}/{name}\n")).collect();
    format!(
        "\
# Printed by `rcc plugin unit`, with what root's manifests load from systemd.
[Unit]
Description=Broker for the plugins of rcc sandboxes of %i
Requires=rcc-firewall.service
After=rcc-firewall.service
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User=%i
ExecStart={rcc} plugin start
Restart=on-failure
RestartSec=1s
TimeoutStartSec=60s
UMask=0077
LimitCORE=0
OOMPolicy=continue
{load}
[Install]
WantedBy=multi-user.target
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_is_loaded_from_a_file_of_its_name() {
        let unit = service(Path::new("/usr/bin/rcc"), &["github", "npm"].into());
        let loaded: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("LoadCredential=")).collect();
        assert_eq!(loaded, ["github:/etc/rcc/credentials/github", "npm:/etc/rcc/credentials/npm"]);
        assert!(!service(Path::new("/usr/bin/rcc"), &BTreeSet::new()).contains("LoadCredential"));
    }

    #[test]
    fn nothing_of_the_unit_keeps_sandboxes_from_starting() {
        let unit = service(Path::new("/usr/bin/rcc"), &BTreeSet::new());
        for key in ["NoNewPrivileges", "Restrict", "SystemCall", "MemoryDeny", "LockPersonality", "Private", "Protect"]
        {
            assert!(!unit.lines().any(|line| line.starts_with(key)), "{key} in\n{unit}");
        }
        assert!(unit.contains("\nUser=%i\n") && unit.contains("\nExecStart=/usr/bin/rcc plugin start\n"), "{unit}");
    }
}
