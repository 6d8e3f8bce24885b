//! What `setup` can mend as root: packages, the tun device and `init`.

use super::Failure;
use super::observe::Tun;
use super::packages::{self, Family, Need};
use super::requirement::{Mender, Requirement};
use crate::facts;
use rustix::fs::{FileType, Mode};
use serde::Serialize;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Root's part of the mending, as plain data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mending {
    /// Packages to install.
    pub packages: Option<packages::Plan>,
    /// Whether `/dev/net/tun` is opened to everybody.
    pub tun: bool,
    /// Whether `init` runs.
    pub init: bool,
}

impl Mending {
    /// Decides by what is not ready.
    pub fn of(requirements: &[Requirement], family: Option<Family>, lists_present: bool) -> Self {
        let unready = || requirements.iter().filter(|it| !it.is_ready());
        let by = |mender| unready().any(|it| it.mender == mender);
        let needs: Vec<Need> = unready().filter_map(|it| it.need).collect();
        let packages = family.and_then(|family| packages::Plan::new(family, &needs, lists_present));
        Self { packages, tun: by(Mender::Tun), init: by(Mender::Init) }
    }

    /// Whether there is nothing for root to do.
    pub fn is_empty(&self) -> bool {
        *self == Self { packages: None, tun: false, init: false }
    }

    /// What it will do, for the question whether it may.
    pub fn describe(&self) -> String {
        let packages = self.packages.as_ref().map(|plan| format!("install {}", plan.packages.join(", ")));
        let tun = self.tun.then(|| "make /dev/net/tun usable".to_owned());
        let init = self.init.then(|| "set up the firewall rules and network identities (rcc init)".to_owned());
        packages.into_iter().chain(tun).chain(init).collect::<Vec<_>>().join("; ")
    }
}

/// Installs packages, with the package manager's own words on standard error.
pub fn install_packages(plan: &packages::Plan) -> Result<(), Failure> {
    packages::execute(plan, &mut |command| {
        let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
        run(command.program, &arguments)
    })
}

/// Runs one of the host's programs as root, in a plain environment; its output goes to standard
/// error.
///
/// # Errors
/// If it is not installed, does not start, or ends with a status other than 0.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let path = facts::program(program).ok_or_else(|| format!("{program} is not installed"))?;
    let mut command = Command::new(path);
    command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(std::io::stderr());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let status = command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8").status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} {}: {status}", arguments.join(" ")).into()) }
}

/// Makes `/dev/net/tun` usable by everybody, as udev does: it gives nothing to a process without
/// CAP_NET_ADMIN (Documentation/networking/tuntap.rst).
pub fn open_tun(found: Tun) -> Result<(), Failure> {
    let path = Path::new("/dev/net/tun");
    let mut loading = Ok(());
    if matches!(found, Tun::Absent | Tun::Dead) {
        // Containers have no modprobe and may have the driver none the less.
        loading = run("modprobe", &["tun"]);
    }
    if !path.exists() {
        std::fs::create_dir_all("/dev/net")?;
        // Major and minor number: Documentation/admin-guide/devices.txt.
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            rustix::fs::makedev(10, 200),
        );
        made.map_err(|errno| match &loading {
            Ok(()) => format!("cannot create /dev/net/tun: {errno}"),
            Err(error) => format!("cannot create /dev/net/tun: {errno} (and {error})"),
        })?;
    }
    Ok(std::fs::set_permissions(path, Permissions::from_mode(0o666))?)
}

#[cfg(test)]
mod tests {
    use super::super::requirement::Verdict;
    use super::*;

    fn requirement(verdict: Verdict, need: Option<Need>, mender: Mender) -> Requirement {
        Requirement { name: "it", why: "", state: String::new(), verdict, remedy: None, need, mender }
    }

    #[test]
    fn only_what_is_not_ready_is_mended() {
        let found = [
            requirement(Verdict::Missing, Some(Need::Pasta), Mender::Packages),
            requirement(Verdict::Ok, Some(Need::Nft), Mender::Packages),
            requirement(Verdict::Degraded, None, Mender::Init),
            requirement(Verdict::Missing, None, Mender::Tun),
        ];
        let mending = Mending::of(&found, Some(Family::Apt), false);
        assert_eq!(mending.describe(), "install passt; make /dev/net/tun usable");
        assert!(Mending::of(&found[1..3], Some(Family::Apt), false).is_empty());
    }

    #[test]
    fn what_a_person_or_the_user_mends_is_not_roots_work() {
        let found = [
            requirement(Verdict::Missing, None, Mender::Person),
            requirement(Verdict::Missing, None, Mender::Agent),
            requirement(Verdict::Missing, Some(Need::Pasta), Mender::Person),
        ];
        assert!(Mending::of(&found, None, false).is_empty());
    }
}
