//! Judges a host by what was observed: each requirement is plain data. Pure.

use super::Unguarded;
use super::cgroup::Delegation;
use super::kernel;
use super::observe::{Mapper, Observations, Tun};
use super::packages::{Family, Need};
use super::requirement::{Mender, Requirement, Verdict};
use super::userns::Stage;
use super::version::{PastaRelease, Version};

/// The oldest pasta that is known to work: 2023-03-09, as in Debian 12.
pub const PASTA_FLOOR: PastaRelease = PastaRelease([2023, 3, 9]);
/// The oldest nft that is known to work: 1.0.2, as in Ubuntu 22.04.
pub const NFT_FLOOR: Version = Version([1, 0, 2]);

/// What other parts of rcc contribute.
#[derive(Clone, Debug, Default)]
pub struct Contributions {
    /// The firewall's own word: in force and with a resolver, or why not.
    pub firewall: Option<Result<(), Unguarded>>,
    /// Where Claude Code is; `Some(None)` if it was asked for and is not there.
    pub agent: Option<Option<std::path::PathBuf>>,
}

/// Every requirement, in the order in which they are best mended.
pub fn judge(host: &Observations, contributions: &Contributions) -> Vec<Requirement> {
    let mut all = vec![kernel_version(host), namespaces(host), seccomp(host), landlock(host), mappers(host)];
    all.extend([pasta(host), tun(host), nft(host), nft_kernel(host), identities(host)]);
    if let Some(found) = &contributions.firewall {
        all.push(firewall(host, found));
        all.extend(resolver(host, found));
    }
    all.push(cgroup(host));
    all.extend(contributions.agent.as_ref().map(|found| agent(host, found.as_deref())));
    all
}

fn kernel_version(host: &Observations) -> Requirement {
    let why = "mount_setattr (5.12), openat2 (5.6) and close_range (5.9) build the sandbox";
    let found = Requirement::ok("kernel", why, &host.kernel);
    let old = Version::find(&host.kernel).is_some_and(|version| version < kernel::FLOOR);
    if old {
        return found.unless(Verdict::TooOld, format!("install a kernel of {} or later and reboot", kernel::FLOOR));
    }
    if host.missing_calls.is_empty() {
        return found;
    }
    let state = format!("{}, without {}", host.kernel, host.missing_calls.join(", "));
    let remedy = "start this container with a seccomp profile that allows these calls";
    Requirement { state, ..found }.unless(Verdict::Missing, remedy)
}

fn namespaces(host: &Observations) -> Requirement {
    let why = "the sandbox is made of namespaces, without root";
    let Err(refusal) = host.namespaces else { return Requirement::ok("user namespaces", why, "usable") };
    let found = Requirement::ok("user namespaces", why, refusal.to_string());
    let set = |key: &str, value: &str| root(host, &format!("sysctl -w {key}={value}"));
    if refusal.stage == Stage::Proc {
        let remedy = "start this container with its /proc unmasked (podman: --security-opt unmask=ALL)";
        return found.unless(Verdict::Missing, remedy);
    }
    if host.switches.maximum == Some(0) {
        return found.unless(Verdict::Missing, set("user.max_user_namespaces", "15000"));
    }
    if host.switches.clone == Some(0) && host.user.uid != 0 {
        return found.unless(Verdict::Missing, set("kernel.unprivileged_userns_clone", "1"));
    }
    if let Some(profile) = &host.confined_by {
        let state = format!("{refusal}, under the AppArmor profile {profile}");
        let remedy =
            format!("allow `userns,` in the AppArmor profile {profile}, or start rcc where that does not apply");
        return Requirement { state, ..found }.unless(Verdict::Missing, remedy);
    }
    if host.switches.apparmor.is_some_and(|value| value > 0) && host.user.uid != 0 {
        return found.unless(Verdict::Missing, root(host, &format!("{} init", host.rcc))).by(Mender::Init);
    }
    found.unless(Verdict::Missing, "allow user namespaces in this container or kernel; a chroot can't have them")
}

fn seccomp(host: &Observations) -> Requirement {
    let why = "filters the agent's system calls";
    if host.seccomp {
        return Requirement::ok("seccomp", why, "available");
    }
    Requirement::ok("seccomp", why, "not in this kernel")
        .unless(Verdict::Missing, "boot a kernel with CONFIG_SECCOMP_FILTER=y")
}

fn landlock(host: &Observations) -> Requirement {
    let why = "a second fence around files";
    match host.landlock {
        Some(abi) => Requirement::ok("Landlock", why, format!("version {abi}")),
        None => Requirement::ok("Landlock", why, "off: mounts alone confine files")
            .unless(Verdict::Degraded, "boot with landlock in the kernel's lsm= list"),
    }
}

fn mappers(host: &Observations) -> Requirement {
    let why = "map the user's network identities";
    let names = |state: Mapper| -> Vec<&str> {
        host.mappers.iter().filter(|(_, found)| *found == state).map(|(name, _)| *name).collect()
    };
    let found = |state: String| Requirement::ok("newuidmap, newgidmap", why, state);
    let (absent, powerless) = (names(Mapper::Absent), names(Mapper::Powerless));
    if !absent.is_empty() {
        return package(host, found(format!("no {}", absent.join(", "))), Verdict::Missing, Need::IdMappers);
    }
    if powerless.is_empty() {
        return found("installed, with privilege".into());
    }
    let remedy = root(host, &format!("chmod u+s $(command -v {})", powerless.join(" ")));
    found(format!("without privilege: {}", powerless.join(", "))).unless(Verdict::Missing, remedy)
}

fn pasta(host: &Observations) -> Requirement {
    let found = |state: String| Requirement::ok("pasta", "carries the sandbox's network traffic", state);
    let Some(pasta) = &host.pasta else {
        return package(host, found("not installed".into()), Verdict::Missing, Need::Pasta);
    };
    let release = PastaRelease::find(&pasta.version);
    let state = release.map_or("installed, of an unnamed release".to_owned(), |release| release.to_string());
    if release.is_some_and(|release| release < PASTA_FLOOR) {
        let state = format!("{state}, and {PASTA_FLOOR} is needed");
        return package(host, found(state), Verdict::TooOld, Need::Pasta);
    }
    if !pasta.lacking.is_empty() {
        let state = format!("{state}, without {}", pasta.lacking.join(", "));
        return package(host, found(state), Verdict::TooOld, Need::Pasta);
    }
    found(state)
}

fn tun(host: &Observations) -> Requirement {
    let found = |state: String| Requirement::ok("/dev/net/tun", "pasta's end of the sandbox's network", state);
    let load = || root(host, "modprobe tun");
    match host.tun {
        Tun::Open => found("open to everybody".into()),
        Tun::Absent => found("no such device".into()).unless(Verdict::Missing, load()).by(Mender::Tun),
        Tun::Dead => found("no driver".into()).unless(Verdict::Missing, load()).by(Mender::Tun),
        Tun::Closed(mode) => found(format!("mode {mode:04o}; network identities need 0666"))
            .unless(Verdict::Missing, root(host, "chmod 0666 /dev/net/tun"))
            .by(Mender::Tun),
    }
}

fn nft(host: &Observations) -> Requirement {
    let found = |state: String| Requirement::ok("nft", "loads the firewall rules", state);
    let Some(text) = &host.nft else {
        return package(host, found("not installed".into()), Verdict::Missing, Need::Nft);
    };
    match Version::find(text) {
        Some(version) if version >= NFT_FLOOR => found(version.to_string()),
        Some(version) => {
            package(host, found(format!("{version}, and {NFT_FLOOR} is needed")), Verdict::TooOld, Need::Nft)
        }
        None => found("unknown version".into()),
    }
}

fn nft_kernel(host: &Observations) -> Requirement {
    let found = |state: String| Requirement::ok("nftables in the kernel", "enforces the firewall rules", state);
    match &host.nft_kernel {
        Some(Ok(())) => found("takes every kind of rule".into()),
        Some(Err(said)) => found(said.clone())
            .unless(Verdict::Missing, "boot a kernel with CONFIG_NF_TABLES_INET and the modules nft_fib_inet, nft_limit, nft_log, nft_reject_inet"),
        None => found("not tried".into()).unless(Verdict::Missing, "mend nft and user namespaces first"),
    }
}

fn identities(host: &Observations) -> Requirement {
    let name = "network identities";
    let found = |state: String| Requirement::ok(name, "tell the firewall which traffic is a sandbox's", state);
    if let Some(source) = &host.foreign_subid {
        return found(format!("nsswitch.conf takes subordinate ids from {source}"))
            .unless(Verdict::Missing, "make `subid: files` the line of /etc/nsswitch.conf");
    }
    match &host.identities {
        Ok(true) => found(format!("allotted to {}", host.user.name)),
        Ok(false) => {
            let state = format!("none for {} in /etc/subuid and /etc/subgid", host.user.name);
            by_init(host, found(state), &format!("services.rcc.users = [ {:?} ]", host.user.name))
        }
        Err(error) => found(error.clone()).unless(Verdict::Missing, "make /etc/subuid and /etc/subgid readable files"),
    }
}

fn firewall(host: &Observations, found: &Result<(), Unguarded>) -> Requirement {
    let requirement = |state: &str| Requirement::ok("firewall rules", "deny private networks, as root's rules", state);
    match found {
        Ok(()) | Err(Unguarded::Resolver(_)) => requirement("in force"),
        Err(Unguarded::Rules(state)) => by_init(host, requirement(state), "services.rcc.enable = true"),
    }
}

/// Without rules nobody can ask it.
fn resolver(host: &Observations, found: &Result<(), Unguarded>) -> Option<Requirement> {
    let requirement = |state: &str| Requirement::ok("resolver", "answers sandboxes, as part of the service", state);
    match found {
        Ok(()) => Some(requirement("answers")),
        Err(Unguarded::Rules(_)) => None,
        Err(Unguarded::Resolver(state)) if host.systemd => {
            let restart = root(host, "systemctl restart rcc-firewall");
            let mender = if host.declared { Mender::Person } else { Mender::Init };
            Some(requirement(state).unless(Verdict::Missing, restart).by(mender))
        }
        Err(Unguarded::Resolver(state)) => {
            let run = root(host, &format!("{} firewall apply --watch", host.rcc));
            let remedy = format!("keep `{run}` running, from before any login, by whatever runs services here");
            Some(requirement(state).unless(Verdict::Missing, remedy))
        }
    }
}

/// What `init` does, and the module where the machine is declared.
fn by_init(host: &Observations, found: Requirement, option: &str) -> Requirement {
    if host.declared {
        return found.unless(Verdict::Missing, declare(option));
    }
    let init = format!("{} init --user {}", host.rcc, host.user.uid);
    found.unless(Verdict::Missing, root(host, &init)).by(Mender::Init)
}

fn declare(option: &str) -> String {
    format!("declare it with rcc's NixOS module, `{option};`, and rebuild the system")
}

fn cgroup(host: &Observations) -> Requirement {
    let found = |state: String| Requirement::ok("cgroup v2", "limits memory, processes and processor time", state);
    let remedy = "log in through systemd, with `Delegate=cpu memory pids` for user@.service";
    match &host.cgroup {
        Delegation::Whole(_) => found("delegated".into()),
        Delegation::Lacks(_, lacking) => {
            found(format!("delegated without {}: no such limits", lacking.join(", "))).unless(Verdict::Degraded, remedy)
        }
        Delegation::None => found("not delegated: no limits".into()).unless(Verdict::Degraded, remedy),
        Delegation::Absent => found("not mounted: no limits".into())
            .unless(Verdict::Degraded, "boot with systemd.unified_cgroup_hierarchy=1"),
    }
}

fn agent(host: &Observations, found: Option<&std::path::Path>) -> Requirement {
    let requirement = |state: String| Requirement::ok("Claude Code", "the agent", state);
    match found {
        Some(path) => requirement(path.display().to_string()),
        None => Requirement {
            need: (!host.can_download).then_some(Need::Download),
            ..requirement("not available".into())
                .unless(Verdict::Missing, format!("{} setup --agent claude", host.rcc))
                .by(Mender::Agent)
        },
    }
}

/// A requirement that a package of the distribution fills.
fn package(host: &Observations, found: Requirement, verdict: Verdict, need: Need) -> Requirement {
    if host.declared {
        return found.unless(verdict, declare("services.rcc.enable = true"));
    }
    let names = host.family.unwrap_or(Family::Apt).packages(need).join(" ");
    let remedy = match host.family {
        Some(family) => family.advice(family.packages(need)),
        None => format!("install the package that is called {names} elsewhere"),
    };
    let remedy = if host.privileged { remedy.trim_start_matches("sudo ").to_owned() } else { remedy };
    let mender = if host.family.is_some() { Mender::Packages } else { Mender::Person };
    Requirement { need: Some(need), ..found }.unless(verdict, remedy).by(mender)
}

/// A command for root.
fn root(host: &Observations, command: &str) -> String {
    if host.privileged { command.to_owned() } else { format!("sudo {command}") }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
