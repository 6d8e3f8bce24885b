//! Text of the files that `init` writes: the systemd unit, launchd's property list, the AppArmor
//! profile, the configuration's template. Pure.

use std::path::Path;

/// Name of the systemd unit.
pub const NAME: &str = "rcc-firewall.service";

/// The label of launchd's daemon.
pub const LABEL: &str = "rcc-firewall";

/// What `/etc/rcc/config.toml` says when `init` creates it: nothing but comments, so the defaults hold.
pub const CONFIG_TEMPLATE: &str = include_str!("config.template.toml");

/// Whether a path can stand in a unit file or a profile without quoting.
pub fn is_plain(path: &Path) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
    path.is_absolute() && path.to_str().is_some_and(|text| text.bytes().all(plain))
}

/// The unit that loads the rules before anybody can log in, and keeps them current.
///
/// Capabilities: to load rules, to hear what they deny and to let queries wait in a larger buffer, to listen
/// at the resolver's port, to give users their directories and records below /run/rcc, and to look there for
/// identities in use. `RestrictSUIDSGID` is left out: systemd's filter for it answers ENOSYS to
/// openat2(2), which opens those directories without following links.
///
/// Every sandbox waits for its answers, and what runs in sandboxes takes all the processors that it gets:
/// hence `Nice`.
///
/// A reload waits until the rules are in force and fails if they are not, by itself: with that the
/// service need not announce a reload to systemd (`RELOADING=1` is optional for `Type=notify`).
///
/// Stopping it leaves the rules: a sandbox that outlives the service stays confined. Distributions'
/// `nftables.service` flushes every table when it starts, hence the order after it. That of NixOS
/// starts after sysinit.target: to be before that target as well would be a cycle, which systemd
/// resolves by dropping one of the two. What the directives mean: systemd.unit(5),
/// systemd.service(5), systemd.exec(5).
///
/// # Panics
/// If the path is not [plain](is_plain).
pub fn systemd(rcc: &Path) -> String {
    assert!(is_plain(rcc), "{} can't stand in a unit file", rcc.display());
    let rcc = rcc.display();
    format!(
        "\
# The boot service of rcc. Where `rcc init` wrote this file, `rcc init --undo` removes it.
[Unit]
Description=Network rules for rcc sandboxes
DefaultDependencies=no
Wants=network-pre.target
After=local-fs.target systemd-sysctl.service systemd-modules-load.service nftables.service
Before=network-pre.target systemd-user-sessions.service shutdown.target
Conflicts=shutdown.target
RequiresMountsFor=/etc/rcc {rcc}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={rcc} firewall apply --watch
ExecReload={rcc} firewall reload
Restart=always
RestartSec=1s
# What comes after at the boot waits for the first start alone, so a slow machine gets time for it.
TimeoutStartSec=180s
RuntimeDirectory=rcc
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
LogsDirectory=rcc
LogsDirectoryMode=0755
UMask=0022
Nice=-5
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_CHOWN CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_NETLINK AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=sysinit.target
"
    )
}

/// Whether a path can stand in a property list: XML has no way to write most control characters.
pub fn is_text(path: &Path) -> bool {
    path.is_absolute() && path.to_str().is_some_and(|text| !text.contains(|c: char| c.is_control() || c >= '\u{fffe}'))
}

/// The daemon that keeps the rules loaded and current on macOS, launchd.plist(5).
///
/// Stopping it leaves the rules. `ProcessType` keeps the system from throttling it; it starts again
/// ten seconds after it failed, which is launchd's own pace.
///
/// # Panics
/// If the path is not [text](is_text).
pub fn launchd(rcc: &Path) -> String {
    assert!(is_text(rcc), "{} can't stand in a property list", rcc.display());
    let rcc = escaped(&rcc.to_string_lossy());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- The boot service of rcc. Where `rcc init` wrote this file, it also removes it, by its option undo. -->
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>{LABEL}</string>
	<key>ProgramArguments</key>
	<array>
		<string>{rcc}</string>
		<string>firewall</string>
		<string>apply</string>
		<string>--watch</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<true/>
	<key>ProcessType</key>
	<string>Interactive</string>
	<key>Umask</key>
	<integer>18</integer>
	<key>WorkingDirectory</key>
	<string>/</string>
	<key>StandardErrorPath</key>
	<string>/var/log/rcc-firewall.log</string>
</dict>
</plist>
"#
    )
}

/// Text as the content of an XML element (XML 1.0, 2.4).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An AppArmor profile that confines nothing and allows these programs to create user namespaces,
/// for kernels that otherwise refuse them (Ubuntu 23.10 and later).
///
/// # Panics
/// If a path is not [plain](is_plain).
pub fn apparmor(programs: &[&Path]) -> String {
    let mut text = String::from(
        "\
# Written by `rcc init`; `rcc init --undo` removes it.
abi <abi/4.0>,
include <tunables/global>
",
    );
    for (number, program) in programs.iter().enumerate() {
        assert!(is_plain(program), "{} can't stand in a profile", program.display());
        let name = if number == 0 { "rcc".to_owned() } else { format!("rcc-{number}") };
        text += &format!("\nprofile {name} {} flags=(unconfined) {{\n  userns,\n}}\n", program.display());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_the_given_binary_and_stopping_it_removes_nothing() {
        let unit = systemd(Path::new("/usr/bin/rcc"));
        assert!(unit.contains("\nExecStart=/usr/bin/rcc firewall apply --watch\n"));
        assert!(!unit.contains("ExecStop"));
        assert!(unit.contains("\nExecReload=/usr/bin/rcc firewall reload\n"));
        let programs = unit.lines().filter(|line| line.starts_with("Exec"));
        assert!(programs.clone().all(|line| line.contains("=/usr/bin/rcc ")), "{unit}");
        assert_eq!(programs.count(), 2);
    }

    #[test]
    fn the_unit_writes_nowhere_but_where_it_has_to() {
        let unit = systemd(Path::new("/usr/bin/rcc"));
        let lines: Vec<&str> =
            unit.lines().filter(|line| line.contains("Directory") || line.contains("Paths=")).collect();
        assert_eq!(
            lines,
            [
                "RuntimeDirectory=rcc",
                "RuntimeDirectoryMode=0755",
                "RuntimeDirectoryPreserve=yes",
                "LogsDirectory=rcc",
                "LogsDirectoryMode=0755"
            ]
        );
        assert!(unit.contains("\nProtectSystem=strict\n"));
    }

    #[test]
    fn the_unit_waits_for_nothing_that_may_wait_for_it() {
        let unit = systemd(Path::new("/usr/bin/rcc"));
        let ordered = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        assert!(ordered("After=").contains("nftables.service"));
        assert!(!ordered("Before=").contains("sysinit.target"), "nftables.service of NixOS starts after it");
        assert!(ordered("Before=").contains("network-pre.target systemd-user-sessions.service"));
    }

    #[test]
    fn the_property_list_is_as_it_was() {
        assert_eq!(launchd(Path::new("/usr/local/libexec/rcc/rcc")), include_str!("launchd.golden.plist"));
    }

    #[test]
    fn no_path_can_add_a_key_to_the_property_list() {
        let hostile = "/a</string><string>-x</string>&amp;/rcc";
        let list = launchd(Path::new(hostile));
        assert!(list.contains("<string>/a&lt;/string&gt;&lt;string&gt;-x&lt;/string&gt;&amp;amp;/rcc</string>"));
        assert_eq!(list.matches("<string>").count(), launchd(Path::new("/rcc")).matches("<string>").count());
        for path in ["relative", "/a\nb", "/a\u{1b}", "/a\0", "/a\u{fffe}"] {
            assert!(!is_text(Path::new(path)), "{path:?}");
        }
    }

    #[test]
    fn no_path_can_add_a_directive_or_a_rule() {
        for path in ["/a b", "/a\nExecStartPre=/x", "/a%i", "/a$b", "/a\"", "/a{b,c}", "/a*", "relative", "/@{HOME}"] {
            assert!(!is_plain(Path::new(path)), "{path}");
        }
        assert!(is_plain(Path::new("/nix/store/abc-rcc-0.1.0/bin/rcc")));
    }

    #[test]
    fn each_program_of_the_profile_may_create_user_namespaces() {
        let profile = apparmor(&[Path::new("/usr/bin/rcc"), Path::new("/home/a/rcc")]);
        assert!(profile.contains("profile rcc /usr/bin/rcc flags=(unconfined) {\n  userns,\n}"));
        assert!(profile.contains("profile rcc-1 /home/a/rcc flags=(unconfined) {\n  userns,\n}"));
    }

    #[test]
    fn the_template_is_nothing_but_comments() {
        let content = CONFIG_TEMPLATE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(content.count(), 0);
        assert!(toml::from_str::<toml::Table>(CONFIG_TEMPLATE).unwrap().is_empty());
    }
}
