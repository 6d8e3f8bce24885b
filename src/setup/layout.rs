//! Where rcc's own files lie on the host.

use std::path::{Path, PathBuf};

/// Every host path that `init` writes or reads, below one root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The host itself.
    pub fn host() -> Self {
        Self::under("/")
    }

    /// The same paths below another root directory.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Root's configuration.
    pub fn config(&self) -> PathBuf {
        self.at("etc/rcc/config.toml")
    }

    /// Where changes of the network policy are recorded.
    pub fn record(&self) -> PathBuf {
        self.at("var/log/rcc")
    }

    /// Subordinate uids, subuid(5).
    pub fn subuid(&self) -> PathBuf {
        self.at("etc/subuid")
    }

    /// Subordinate gids, subgid(5).
    pub fn subgid(&self) -> PathBuf {
        self.at("etc/subgid")
    }

    /// Users, passwd(5).
    pub fn passwd(&self) -> PathBuf {
        self.at("etc/passwd")
    }

    /// Groups, group(5).
    pub fn group(&self) -> PathBuf {
        self.at("etc/group")
    }

    /// Locks and sessions of running sandboxes.
    pub fn run(&self) -> PathBuf {
        self.at("run/rcc")
    }

    /// The root-owned copy of rcc that the service runs.
    pub fn copy(&self) -> PathBuf {
        self.at("usr/local/libexec/rcc/rcc")
    }

    /// The copy of what runs inside of sandboxes, beside that one, where it is looked for.
    pub fn guest_copy(&self) -> PathBuf {
        self.at("usr/local/libexec/rcc/rcc-guest")
    }

    /// The link to the first copy which makes `rcc` and `sudo rcc` work: the directory is in every
    /// user's path and in sudo's.
    pub fn link(&self) -> PathBuf {
        self.at("usr/local/bin/rcc")
    }

    /// The link that keeps the running rcc in the Nix store.
    pub fn gc_root(&self) -> PathBuf {
        self.at("nix/var/nix/gcroots/rcc")
    }

    /// The systemd unit.
    pub fn unit(&self) -> PathBuf {
        self.at("etc/systemd/system").join(super::unit::NAME)
    }

    /// Locks and pf's token on macOS, which empties /var/run at boot.
    pub fn var_run(&self) -> PathBuf {
        self.at("var/run/rcc")
    }

    /// launchd's property list, launchd.plist(5).
    pub fn plist(&self) -> PathBuf {
        self.at("Library/LaunchDaemons").join(format!("{}.plist", super::unit::LABEL))
    }

    /// The AppArmor profile.
    pub fn apparmor_profile(&self) -> PathBuf {
        self.at("etc/apparmor.d/rcc")
    }

    /// Exists on kernels whose AppArmor can refuse user namespaces to unprivileged programs.
    pub fn apparmor_switch(&self) -> PathBuf {
        self.at("proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    }

    /// Whether NixOS makes the accounts and the units.
    pub fn is_nixos(&self) -> bool {
        self.at("etc/NIXOS").exists()
    }

    /// Whether systemd is the init process; sd_booted(3).
    pub fn has_systemd(&self) -> bool {
        self.at("run/systemd/system").is_dir()
    }

    /// The path as programs on this host see it, without the prefix.
    pub fn on_host(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |rest| Path::new("/").join(rest))
    }
}
