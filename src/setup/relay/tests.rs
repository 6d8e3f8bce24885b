//! The relay's units on a host in a temporary directory.

use super::super::layout::Layout;
use super::super::relay_unit::{BRIDGE, Form, SERVICE, SOCKET};
use super::super::{Failure, install as files, unit};
use super::system::{self, Removal};
use super::user;
use super::{Hooks, RelayError, units};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
const GROUP: &str = "root:x:0:\nalice:x:1000:\n";

/// A host, and what was done to it beside its files.
struct Host {
    root: tempfile::TempDir,
    layout: Layout,
    calls: RefCell<Vec<String>>,
    said: RefCell<Vec<String>>,
    broken: &'static str,
    bridged: bool,
}

impl Host {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::under(root.path());
        for directory in ["etc", "run/systemd/system", "home/alice/.config/rcc", "usr/local/bin"] {
            std::fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for (path, text) in [
            ("etc/passwd", PASSWD),
            ("etc/group", GROUP),
            ("home/alice/rcc", "the program"),
            ("home/alice/rcc-guest", ""),
        ] {
            std::fs::write(root.path().join(path), text).unwrap();
        }
        Self { root, layout, calls: RefCell::default(), said: RefCell::default(), broken: "nothing", bridged: false }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    fn with_hooks<T>(&self, act: impl FnOnce(Hooks<'_>) -> T) -> T {
        let command = |program: &str, arguments: &[&str]| {
            let call = format!("{program} {}", arguments.join(" "));
            let broken = call.contains(self.broken);
            self.calls.borrow_mut().push(call);
            if broken { Err(Failure::from("broken")) } else { Ok(()) }
        };
        act(Hooks { command: &command, say: &|line| self.said.borrow_mut().push(line.to_owned()) })
    }

    fn calls(&self) -> Vec<String> {
        self.calls.take()
    }

    fn says(&self, part: &str) -> bool {
        self.said.borrow().iter().any(|line| line.contains(part))
    }

    fn install_system(&self, members: &[&str]) -> Result<(), RelayError> {
        let members: Vec<String> = members.iter().map(|&name| name.to_owned()).collect();
        let running = Path::new("/home/alice/rcc");
        let accounts = (self.text("etc/passwd"), self.text("etc/group"));
        let plan = system::Plan::new(&self.layout, running, (&accounts.0, &accounts.1), &members, self.bridged)?;
        let (program, guest) = (&self.at("home/alice/rcc"), &self.at("home/alice/rcc-guest"));
        let images = files::Images { program, guest };
        self.with_hooks(|hooks| system::install(&plan, &self.layout, images, hooks))
    }

    fn uninstall_system(&self, purge: bool) -> Result<(), super::UninstallError> {
        let removal = Removal { state: self.at("var/lib/rcc-relay"), run: self.at("run/rcc-relay"), purge };
        self.with_hooks(|hooks| system::uninstall(&removal, &self.layout, hooks))
    }

    /// As useradd and groupadd leave it.
    fn accounts_exist(&self) {
        std::fs::write(self.at("etc/passwd"), format!("{PASSWD}rcc-relay:x:99:98::/var/lib/rcc-relay:/x\n")).unwrap();
        std::fs::write(self.at("etc/group"), format!("{GROUP}rcc-agents:x:98:alice\n")).unwrap();
    }
}

#[test]
fn the_systems_relay_gets_its_group_its_account_and_its_units() {
    let host = Host::new();
    host.install_system(&["alice", "alice"]).unwrap();
    assert_eq!(
        host.calls(),
        [
            "groupadd --system rcc-agents",
            "useradd --system --no-create-home --home-dir /var/lib/rcc-relay --shell /usr/sbin/nologin --gid rcc-agents \
             --comment Relay between rcc sandboxes rcc-relay",
            "gpasswd --add alice rcc-agents",
            "systemctl daemon-reload",
            "systemctl enable rcc-relay.socket rcc-relay.service",
            "systemctl restart rcc-relay.service",
        ]
    );
    // Nobody but root can change what the service runs.
    let program = Path::new("/usr/local/libexec/rcc/rcc");
    assert_eq!(host.text("usr/local/libexec/rcc/rcc"), "the program");
    for (name, text) in units(Form::System, program).unwrap() {
        assert_eq!(host.text(&format!("etc/systemd/system/{name}")), text);
    }
}

#[test]
fn a_second_installation_makes_nothing_again() {
    let host = Host::new();
    host.install_system(&["alice"]).unwrap();
    host.accounts_exist();
    host.calls();
    host.said.take();
    host.install_system(&["alice"]).unwrap();
    assert!(host.calls().iter().all(|call| call.starts_with("systemctl ")));
    assert_eq!(host.said.take(), ["started rcc-relay.service"]);
}

#[test]
fn nothing_is_done_where_it_cannot_be_finished() {
    let host = Host::new();
    for name in ["", "-a", "a b", "a:b", "a\n"] {
        assert!(matches!(host.install_system(&[name]), Err(RelayError::Member(_))), "{name:?}");
    }
    std::fs::write(host.at("etc/NIXOS"), "").unwrap();
    assert!(matches!(host.install_system(&["alice"]), Err(RelayError::Declared)));
    std::fs::remove_dir(host.at("run/systemd/system")).unwrap();
    assert!(matches!(host.install_system(&["alice"]), Err(RelayError::NoSystemd)));
    assert!(host.calls().is_empty() && !host.at("etc/systemd").exists());
}

#[test]
fn what_fails_is_named_and_leaves_no_unit_without_an_account() {
    let host = Host { broken: "useradd", ..Host::new() };
    let error = host.install_system(&[]).unwrap_err().to_string();
    assert_eq!(error, "cannot make the relay's account: broken");
    assert!(!host.at("etc/systemd/system").exists());
}

#[test]
fn the_bridge_is_installed_for_a_cluster_and_goes_with_it() {
    let mut host = Host { bridged: true, ..Host::new() };
    host.install_system(&[]).unwrap();
    let program = Path::new("/usr/local/libexec/rcc/rcc");
    let bridge = format!("etc/systemd/system/{BRIDGE}");
    assert_eq!(host.text(&bridge), super::bridge_unit(Form::System, program).unwrap());
    let enabled = "systemctl enable rcc-relay.socket rcc-relay.service rcc-relay-bridge.service";
    assert!(host.calls().iter().any(|call| call == enabled));
    host.bridged = false;
    host.install_system(&[]).unwrap();
    assert!(!host.at(&bridge).exists());
    assert!(host.calls().iter().any(|call| call == "systemctl disable --now rcc-relay-bridge.service"));
    host.bridged = true;
    host.install_system(&[]).unwrap();
    host.calls();
    host.uninstall_system(false).unwrap();
    let disabled = "systemctl disable --now rcc-relay.socket rcc-relay.service rcc-relay-bridge.service";
    assert!(host.calls().iter().any(|call| call == disabled) && !host.at(&bridge).exists());
}

#[test]
fn uninstalling_keeps_the_messages_and_therefore_the_account() {
    let host = Host::new();
    host.install_system(&[]).unwrap();
    host.accounts_exist();
    for directory in ["var/lib/rcc-relay/audit", "run/rcc-relay/sessions"] {
        std::fs::create_dir_all(host.at(directory)).unwrap();
    }
    host.calls();
    host.uninstall_system(false).unwrap();
    assert_eq!(host.calls(), ["systemctl disable --now rcc-relay.socket rcc-relay.service", "systemctl daemon-reload"]);
    assert!(host.says("kept") && host.at("var/lib/rcc-relay/audit").exists());
    assert!(!host.at("run/rcc-relay").exists() && !host.at("usr/local/libexec/rcc/rcc").exists());
    assert!(!system::is_installed(&host.layout));

    host.uninstall_system(true).unwrap();
    assert_eq!(host.calls(), ["userdel rcc-relay", "groupdel rcc-agents"]);
    assert!(!host.at("var/lib/rcc-relay").exists());
}

#[test]
fn uninstalling_goes_on_past_failures_and_reports_them_all() {
    let host = Host { broken: "e", ..Host::new() };
    host.accounts_exist();
    std::fs::create_dir_all(host.at("etc/systemd/system")).unwrap();
    std::fs::write(host.at("etc/systemd/system").join(SERVICE), "").unwrap();
    let super::UninstallError(failures) = host.uninstall_system(true).unwrap_err();
    assert_eq!(failures, ["the service: broken", "the account and the group: broken"]);
    assert!(!host.at("etc/systemd/system").join(SERVICE).exists(), "a unit that can't be stopped would come back");
}

#[test]
fn the_firewalls_service_keeps_the_copy_that_it_runs() {
    let host = Host::new();
    host.install_system(&[]).unwrap();
    files::write(&host.layout.unit(), &unit::systemd(Path::new("/usr/bin/rcc")), &|_| {}).unwrap();
    host.uninstall_system(false).unwrap();
    assert!(host.at("usr/local/libexec/rcc/rcc").exists());
}

#[test]
fn a_users_relay_takes_two_files_and_the_users_manager() {
    let host = Host::new();
    let (config, running) = (host.at("home/alice/.config/rcc"), Path::new("/home/alice/.cargo/bin/rcc"));
    let plan = user::Plan::new(&config, running, true, false).unwrap();
    host.with_hooks(|hooks| user::install(&plan, hooks)).unwrap();
    assert_eq!(
        host.calls(),
        [
            "systemctl --user daemon-reload",
            "systemctl --user enable rcc-relay.socket rcc-relay.service",
            "systemctl --user restart rcc-relay.service",
        ]
    );
    for (name, text) in units(Form::User, running).unwrap() {
        assert_eq!(host.text(&format!("home/alice/.config/systemd/user/{name}")), text);
    }

    let state = host.at("home/alice/.local/share/rcc/relay");
    std::fs::create_dir_all(&state).unwrap();
    let uninstall = |purge| host.with_hooks(|hooks| user::uninstall(&plan.directory, true, &state, purge, hooks));
    uninstall(false).unwrap();
    assert!(!plan.directory.join(SOCKET).exists() && !plan.directory.join(SERVICE).exists() && state.exists());
    uninstall(true).unwrap();
    assert!(!state.exists());
}

#[test]
fn without_a_manager_a_user_is_told_what_to_type() {
    let host = Host::new();
    let plan = user::Plan::new(&host.at("home/alice/.config/rcc"), Path::new("/usr/bin/rcc"), false, false).unwrap();
    host.with_hooks(|hooks| user::install(&plan, hooks)).unwrap();
    assert!(host.calls().is_empty() && plan.directory.join(SERVICE).exists());
    assert!(
        host.says("systemctl --user enable --now rcc-relay.socket") && host.says("/usr/bin/rcc relay start --detach")
    );
}

#[test]
fn a_users_manager_is_known_by_its_directory() {
    let there = |path: &Path| path == Path::new("/run/user/7/systemd");
    assert!(user::has_manager(Some(Path::new("/run/user/7")), there));
    assert!(!user::has_manager(Some(Path::new("/run/user/8")), there));
    assert!(!user::has_manager(Some(Path::new("run/user/7")), |_| true) && !user::has_manager(None, |_| true));
}

#[test]
fn no_path_of_rcc_can_add_a_directive() {
    let hostile = Path::new("/tmp/x\nExecStartPre=/tmp/y");
    for form in [Form::User, Form::System] {
        let refusal = units(form, hostile).unwrap_err().to_string();
        assert!(!refusal.contains('\n'), "{refusal}");
    }
    assert!(user::Plan::new(Path::new("/home/a/.config/rcc"), hostile, true, false).is_err());
}

#[test]
fn only_a_process_that_systemd_names_is_signalled() {
    for pid in [None, Some(""), Some("0"), Some("1"), Some("-1"), Some("-5"), Some("x"), Some("99999999999")] {
        assert!(super::reload(pid.map(OsStr::new)).is_err(), "{pid:?}");
    }
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    super::reload(Some(OsStr::new(&child.id().to_string()))).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(1), "SIGHUP");
}
