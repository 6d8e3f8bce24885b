//! Installing the distribution's packages: which, and by what commands. Plans are plain data.

use super::Failure;
use serde::Serialize;
use std::path::Path;

/// Families of distributions that share a package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Debian, Ubuntu and their kin.
    Apt,
    /// Fedora, RHEL and their kin.
    Dnf,
    /// Arch and its kin.
    Pacman,
    /// openSUSE and SLE.
    Zypper,
}

/// What a package is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// `pasta`
    Pasta,
    /// `nft`
    Nft,
    /// `newuidmap`, `newgidmap`
    IdMappers,
    /// `curl`, certificates, `tar` and `gzip`: the agent's download.
    Download,
}

/// One command of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// A program of the host, looked up by [`crate::facts::program`].
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Family {
    /// From os-release(5): `ID` first, then `ID_LIKE` in its order.
    pub fn of(os_release: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim_matches(['"', '\'']))
        };
        let ids = value("ID").into_iter().chain(value("ID_LIKE").unwrap_or_default().split_whitespace());
        ids.filter_map(Self::named).next()
    }

    fn named(id: &str) -> Option<Self> {
        Some(match id {
            "debian" | "ubuntu" | "linuxmint" | "pop" | "raspbian" | "devuan" | "kali" => Self::Apt,
            "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "ol" | "amzn" => Self::Dnf,
            "arch" | "archarm" | "manjaro" | "endeavouros" => Self::Pacman,
            "opensuse" | "suse" | "sles" | "opensuse-tumbleweed" | "opensuse-leap" => Self::Zypper,
            _ => return None,
        })
    }

    /// Names of the packages that fill this need.
    pub fn packages(self, need: Need) -> &'static [&'static str] {
        match (need, self) {
            (Need::Pasta, _) => &["passt"],
            (Need::Nft, _) => &["nftables"],
            (Need::IdMappers, Self::Apt) => &["uidmap"],
            (Need::IdMappers, Self::Dnf) => &["shadow-utils"],
            (Need::IdMappers, Self::Pacman | Self::Zypper) => &["shadow"],
            (Need::Download, _) => &["curl", "ca-certificates", "tar", "gzip"],
        }
    }

    /// Fetches the lists of packages.
    pub fn refresh(self) -> Option<Command> {
        match self {
            Self::Apt => Some(command("apt-get", &["-q", "update"])),
            Self::Zypper => Some(command("zypper", &["--non-interactive", "refresh"])),
            // dnf refreshes by itself; a refresh alone would leave Arch partially upgraded.
            Self::Dnf | Self::Pacman => None,
        }
    }

    /// Installs packages without asking and without what is merely recommended.
    pub fn install(self, packages: &[&str]) -> Command {
        let (program, options): (_, &[&str]) = match self {
            Self::Apt => ("apt-get", &["-q", "-y", "-oDpkg::Use-Pty=0", "--no-install-recommends", "install", "--"]),
            Self::Dnf => ("dnf", &["-q", "-y", "--setopt=install_weak_deps=False", "install"]),
            Self::Pacman => ("pacman", &["-S", "--needed", "--noconfirm", "--"]),
            Self::Zypper => ("zypper", &["--non-interactive", "install", "--no-recommends", "--"]),
        };
        let mut install = command(program, options);
        install.arguments.extend(packages.iter().map(|&package| package.to_owned()));
        install
    }

    /// What a person types to install them.
    pub fn advice(self, packages: &[&str]) -> String {
        let verb = match self {
            Self::Apt => "apt-get install",
            Self::Dnf => "dnf install",
            Self::Pacman => "pacman -S",
            Self::Zypper => "zypper install",
        };
        format!("sudo {verb} {}", packages.join(" "))
    }
}

fn command(program: &'static str, arguments: &[&str]) -> Command {
    Command { program, arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
}

/// Packages that are to be installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// By which package manager.
    pub family: Family,
    /// Names, in order, each once.
    pub packages: Vec<&'static str>,
    /// Whether the lists of packages are fetched first.
    pub refresh: bool,
}

impl Plan {
    /// `lists_present`: whether the host has lists of packages already ([`has_lists`]).
    pub fn new(family: Family, needs: &[Need], lists_present: bool) -> Option<Self> {
        let mut packages: Vec<&'static str> = Vec::new();
        for &package in needs.iter().flat_map(|&need| family.packages(need)) {
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
        let refresh = !lists_present && family.refresh().is_some();
        (!packages.is_empty()).then_some(Self { family, packages, refresh })
    }
}

/// Whether apt has lists of packages: images without any are common. Others keep their own account.
pub fn has_lists(root: &Path) -> bool {
    let lists = std::fs::read_dir(root.join("var/lib/apt/lists"));
    lists.is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages")))
}

/// Installs the packages: together, and where that fails with fresh lists one by one, so that
/// one unknown name does not stop the others.
///
/// # Errors
/// What the last attempt of each failed package said.
pub fn execute(plan: &Plan, run: &mut dyn FnMut(&Command) -> Result<(), Failure>) -> Result<(), Failure> {
    if plan.refresh
        && let Some(refresh) = plan.family.refresh()
    {
        run(&refresh)?;
    }
    let Err(together) = run(&plan.family.install(&plan.packages)) else { return Ok(()) };
    if !plan.refresh
        && let Some(refresh) = plan.family.refresh()
    {
        // The lists may name versions that the mirror has dropped.
        run(&refresh)?;
    } else if plan.packages.len() == 1 {
        return Err(together);
    }
    let attempts = plan.packages.iter().map(|&package| (package, run(&plan.family.install(&[package]))));
    let failed: Vec<String> =
        attempts.filter_map(|(name, result)| result.err().map(|error| format!("{name}: {error}"))).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("cannot install {}", failed.join("; ")).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [Family; 4] = [Family::Apt, Family::Dnf, Family::Pacman, Family::Zypper];

    fn run_all(plan: &Plan, fails: impl Fn(&str) -> bool) -> (Vec<String>, Result<(), Failure>) {
        let mut ran = Vec::new();
        let result = execute(plan, &mut |command| {
            let line = format!("{} {}", command.program, command.arguments.join(" "));
            let result = if fails(&line) { Err("no".into()) } else { Ok(()) };
            ran.push(line);
            result
        });
        (ran, result)
    }

    #[test]
    fn families_are_known_by_id_and_by_likeness() {
        for (text, family) in [
            ("ID=debian\n", Some(Family::Apt)),
            ("NAME=x\nID=neon\nID_LIKE=\"ubuntu debian\"\n", Some(Family::Apt)),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", Some(Family::Dnf)),
            ("ID=cachyos\nID_LIKE=arch", Some(Family::Pacman)),
            ("ID='opensuse-slowroll'\nID_LIKE='suse opensuse'", Some(Family::Zypper)),
            ("ID=nixos", None),
            ("VERSION_ID=debian\nPRETTY_ID=fedora", None),
            ("", None),
        ] {
            assert_eq!(Family::of(text), family, "{text:?}");
        }
    }

    #[test]
    fn missing_lists_are_fetched_first_and_everything_is_installed_at_once() {
        let plan = Plan::new(Family::Apt, &[Need::Pasta, Need::Nft, Need::IdMappers], false).unwrap();
        let (ran, result) = run_all(&plan, |_| false);
        let install = "apt-get -q -y -oDpkg::Use-Pty=0 --no-install-recommends install -- passt nftables uidmap";
        assert_eq!((ran, result.is_ok()), (vec!["apt-get -q update".to_owned(), install.to_owned()], true));
    }

    #[test]
    fn stale_lists_are_fetched_after_a_failure_and_packages_tried_one_by_one() {
        let plan = Plan::new(Family::Apt, &[Need::Pasta, Need::Nft], true).unwrap();
        let (ran, result) = run_all(&plan, |line| line.contains("passt"));
        assert!(result.unwrap_err().to_string().starts_with("cannot install passt: no"));
        assert!(ran[1].ends_with("update") && ran[2].ends_with("-- passt") && ran[3].ends_with("-- nftables"));
    }

    #[test]
    fn no_family_asks_questions() {
        for family in FAMILIES {
            let line = family.install(&["passt"]).arguments.join(" ");
            assert!(["-y", "--noconfirm", "--non-interactive"].iter().any(|option| line.contains(option)), "{line}");
        }
    }

    #[test]
    fn nothing_needed_is_no_plan() {
        assert_eq!(Plan::new(Family::Dnf, &[], false), None);
    }
}
