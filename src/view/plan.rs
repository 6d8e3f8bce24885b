//! Plans a [`View`]. Pure but for resolving what the user's own configuration names.

use super::host::{Host, Kind};
use super::{Access, Mount, Tree, View, What};
use crate::facts::Facts;
use crate::project::Project;
use crate::project::handover::{self, Guard, HandoverError};
use crate::project::scan::Mask;
use crate::settings::ExtraMount;
use crate::statement;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

/// What a view is planned from.
#[derive(Clone, Copy, Debug)]
pub struct ViewRequest<'a> {
    /// The user.
    pub facts: &'a Facts,
    /// The host's system files.
    pub host: &'a Host,
    /// The project.
    pub project: &'a Project,
    /// Its protected paths, from `project::handover`: the project's first.
    pub guards: &'a [Guard],
    /// What may be done with what is not protected of it.
    pub access: Access,
    /// Its secrets, from `project::scan`.
    pub masks: &'a [Mask],
    /// The user's own additions.
    pub mounts: &'a [ExtraMount],
    /// Files and directories of the agent's program, absolute and free of symbolic links. They
    /// appear read-only at the same path.
    pub programs: &'a [PathBuf],
    /// What appears as the home, absolute and free of symbolic links.
    pub home: &'a Path,
    /// Who answers DNS queries; `None` without a network.
    pub nameserver: Option<IpAddr>,
    /// What rcc itself adds below `/run/rcc`, which nothing else of the view is in.
    pub own: &'a [Mount],
    /// What the network allows ([`crate::statement::document`]).
    pub statement: &'a str,
    /// Whether nothing that can be written may be executed: neither the home nor what is temporary.
    pub noexec: bool,
    /// The name of the sandbox: a label of letters, digits and '-'.
    pub hostname: &'a str,
}

/// Why something cannot be mounted; mostly an entry of `mounts` in the user's configuration.
#[derive(Debug, thiserror::Error)]
#[error("cannot mount {}: {reason}", path.display())]
pub struct ViewError {
    /// The path as configured.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Entries of `/proc` that speak for the machine: readable, as programs expect, not writable.
/// These five and the masked are those of the OCI runtimes (containerd and moby, `oci/defaults`).
const PROC_READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Entries of `/proc` that tell of the kernel's memory, keys and hardware, or command it. Those
/// of the OCI runtimes, and those that only mode 0400 protects, which the host's uid 0 passes.
const PROC_MASKED: [&str; 21] = [
    "acpi",
    "asound",
    "driver",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "mtrr",
    "pagetypeinfo",
    "sched_debug",
    "scsi",
    "slabinfo",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
];

/// Directories that an extra mount must neither be in nor contain.
const RESERVED: [&str; 13] =
    ["/bin", "/dev", "/etc", "/gnu", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/proc", "/run", "/sbin", "/sys"];

/// Sources with sockets, devices or processes of the host, which a read-only mount does not stop.
const DANGEROUS: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/tmp/.X11-unix", "/var/run"];

/// Plans the file system of a sandbox.
///
/// # Errors
/// An extra mount or a program names something that must not be visible, or a place that is taken.
pub fn plan(request: ViewRequest<'_>) -> Result<View, ViewError> {
    check_home(&request.facts.user.home)?;
    let (mut mounts, noexec) = (Vec::new(), request.noexec);
    system(&request, &mut mounts);
    etc(&request, &mut mounts);
    for (target, mode) in [("/tmp", 0o1777), ("/var/tmp", 0o1777)] {
        mounts.push(mount(target, What::Tmpfs { mode, noexec }));
    }
    for target in ["/var/cache", "/var/log", "/var/lib", "/run/rcc", "/sys"] {
        mounts.push(mount(target, What::Directory));
    }
    mounts.push(mount(statement::PATH, What::File { text: request.statement.to_owned() }));
    mounts.extend_from_slice(request.own);
    mounts.push(mount("/var/run", What::Symlink { to: "/run".into() }));
    let runtime = Path::new("/run/user").join(request.facts.user.uid.to_string());
    mounts.push(mount(runtime, What::Tmpfs { mode: 0o700, noexec }));
    mounts.push(mount("/dev", What::Devices { noexec }));
    let home = &request.facts.user.home;
    let access = if noexec { Access::WritableNoexec } else { Access::Writable };
    mounts.push(mount(home, What::Bind { source: request.home.into(), access }));
    for program in request.programs {
        mounts.extend(visible_program(&request, program)?);
    }
    for extra in request.mounts {
        mounts.push(extra_mount(&request, extra)?);
    }
    for guard in request.guards {
        let masks = if guard.root == request.project.root { request.masks.to_vec() } else { Vec::new() };
        mounts.push(mount(&guard.root, What::Tree(tree(guard.clone(), request.access, masks))));
    }
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    let processes = What::Processes { read_only: names(&PROC_READ_ONLY), masked: names(&PROC_MASKED) };
    mounts.push(mount("/proc", processes));
    Ok(View { mounts })
}

fn mount(target: impl Into<PathBuf>, what: What) -> Mount {
    Mount { target: target.into(), what }
}

/// The private home appears at the path of the user's own, which must not be a system directory.
fn check_home(home: &Path) -> Result<(), ViewError> {
    let taken = overlapping(home, &RESERVED).or_else(|| overlapping(home, &["/usr"]));
    if is_plain(home) && taken.is_none() {
        return Ok(());
    }
    let reason = "as a home it would cover a system directory; set HOME to a directory of your own".into();
    Err(ViewError { path: home.into(), reason })
}

fn tree(guard: Guard, access: Access, masks: Vec<Mask>) -> Tree {
    let Guard { root: source, pins, read_only, substitutes, placeholders: _ } = guard;
    Tree { source, access, pins, read_only, substitutes, masks }
}

fn system(request: &ViewRequest<'_>, mounts: &mut Vec<Mount>) {
    for entry in &request.host.entries {
        let what = match &entry.what {
            Kind::Link(to) => What::Symlink { to: to.clone() },
            Kind::Real(source) => What::Bind { source: source.clone(), access: Access::ReadOnly },
        };
        mounts.push(mount(&entry.path, what));
    }
}

fn etc(request: &ViewRequest<'_>, mounts: &mut Vec<Mount>) {
    let user = &request.facts.user;
    let (uid, gid, home) = (user.uid, user.gid, user.home.to_string_lossy());
    // A name with a colon or a newline would be another field or line of passwd(5).
    let plain = |text: &str| text.replace([':', '\n', '\0'], "_");
    let (name, home) = (plain(&user.name), plain(&home));
    let shell = "/bin/sh";
    let mut passwd = format!("{name}:x:{uid}:{gid}::{home}:{shell}\n");
    let mut group = format!("{name}:x:{gid}:\n");
    if uid != 0 {
        passwd.insert_str(0, "root:x:0:0:root:/root:/usr/sbin/nologin\n");
    }
    if gid != 0 {
        group.insert_str(0, "root:x:0:\n");
    }
    // The overflow ids (user_namespaces(7)): whose files are not the user's shows as nobody's.
    passwd.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    group.push_str("nogroup:x:65534:\n");
    let hostname = request.hostname;
    let hosts = format!("127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost ip6-loopback\n");
    let resolv = request.nameserver.map_or_else(String::new, |address| format!("nameserver {address}\n"));
    let files = [("passwd", passwd), ("group", group), ("hosts", hosts), ("resolv.conf", resolv)];
    for (name, text) in files.into_iter().chain([("hostname", format!("{hostname}\n"))]) {
        mounts.push(mount(Path::new("/etc").join(name), What::File { text }));
    }
    mounts.push(mount("/etc/mtab", What::Symlink { to: "/proc/self/mounts".into() }));
}

fn visible_program(request: &ViewRequest<'_>, program: &Path) -> Result<Option<Mount>, ViewError> {
    let refuse = |reason: &str| Err(ViewError { path: program.into(), reason: reason.into() });
    if !is_plain(program) {
        return refuse("the path of the agent's program is not absolute");
    }
    let visible = |entry: &super::host::Entry| program.starts_with(&entry.path);
    if request.host.entries.iter().any(visible) || program.starts_with(&request.project.root) {
        return Ok(None);
    }
    if let Some(private) = private_in(request, program) {
        return refuse(&format!("the directory of the agent's program holds {}", private.display()));
    }
    Ok(Some(mount(program, What::Bind { source: program.into(), access: Access::ReadOnly })))
}

/// What of the user's a directory must not be an ancestor of.
fn private_in<'a>(request: &ViewRequest<'a>, directory: &Path) -> Option<&'a Path> {
    let facts = request.facts;
    let private = [&facts.user.home, &facts.config_dir, &facts.data_dir, &request.project.root];
    private.into_iter().map(PathBuf::as_path).chain([request.home]).find(|path| path.starts_with(directory))
}

fn extra_mount(request: &ViewRequest<'_>, extra: &ExtraMount) -> Result<Mount, ViewError> {
    check_target(request, &extra.target)?;
    let refuse = |reason: String| Err(ViewError { path: extra.source.clone(), reason });
    let source = match std::fs::canonicalize(&extra.source) {
        Ok(source) if extra.source.is_absolute() => source,
        Ok(_) => return refuse("the source is not an absolute path".into()),
        Err(error) => return refuse(error.to_string()),
    };
    if !source.is_dir() && !source.is_file() {
        return refuse("the source is a socket, a device or a FIFO, which reaches out of any sandbox".into());
    }
    if let Some(danger) = overlapping(&source, &DANGEROUS) {
        return refuse(format!("{danger} holds sockets or devices, which reach out of any sandbox"));
    }
    if let Some(private) = private_in(request, &source) {
        return refuse(format!("the source holds {}", private.display()));
    }
    let guarded = |root: &Path| source.starts_with(root) || extra.writable && root.starts_with(&source);
    if let Some(guard) = request.guards.iter().find(|guard| guarded(&guard.root)) {
        return refuse(format!("the source is or holds a part of {}, where paths are protected", guard.root.display()));
    }
    let facts = request.facts;
    let own = [&facts.config_dir, &facts.data_dir].into_iter().find(|own| source.starts_with(own));
    match own {
        Some(own) => refuse(format!("the source is in rcc's own {}", own.display())),
        None if extra.writable && overlapping(&source, &["/etc", "/usr", "/boot"]).is_some() => {
            refuse("a system directory cannot be writable".into())
        }
        None if extra.writable && source.is_dir() => {
            let unprotected =
                |error: HandoverError| ViewError { path: extra.source.clone(), reason: error.to_string() };
            let guard = handover::existing(request.project, &source).map_err(unprotected)?;
            Ok(mount(&extra.target, What::Tree(tree(guard, Access::Writable, Vec::new()))))
        }
        None => {
            let access = if extra.writable { Access::Writable } else { Access::ReadOnly };
            Ok(mount(&extra.target, What::Bind { source, access }))
        }
    }
}

fn check_target(request: &ViewRequest<'_>, target: &Path) -> Result<(), ViewError> {
    let refuse = |reason: String| Err(ViewError { path: target.into(), reason });
    if !is_plain(target) {
        return refuse("the target is not an absolute path without '..'".into());
    }
    if let Some(reserved) = overlapping(target, &RESERVED) {
        return refuse(format!("the target overlaps {reserved}, which the sandbox needs for itself"));
    }
    let taken = request.guards.iter().map(|guard| &guard.root).find(|root| target.starts_with(root));
    if let Some(root) = taken {
        return refuse(format!("the target lies in {}, where it would have to be made on the host", root.display()));
    }
    if target == Path::new("/usr") || target.starts_with("/usr") {
        return refuse("the target lies in /usr, which is the host's and read-only".into());
    }
    let mut kept = request.guards.iter().map(|guard| guard.root.as_path()).chain([&*request.facts.user.home]);
    match kept.find(|kept| kept.starts_with(target)) {
        Some(kept) => refuse(format!("the target would cover {}", kept.display())),
        None => Ok(()),
    }
}

/// Absolute, and every component a name.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
}

/// A directory of the list that contains `path` or lies in it.
fn overlapping<'a>(path: &Path, list: &[&'a str]) -> Option<&'a str> {
    list.iter().copied().find(|entry| path.starts_with(entry) || Path::new(entry).starts_with(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_would_cover_the_system_is_refused() {
        for home in ["/", "/usr", "/etc", "/run/user/0", "/bin", "relative", "/home/../etc"] {
            assert!(check_home(Path::new(home)).is_err(), "{home}");
        }
        for home in ["/root", "/home/alice", "/var/lib/ci", "/Users/alice"] {
            check_home(Path::new(home)).unwrap();
        }
    }

    #[test]
    fn a_link_is_shown_as_what_it_is() {
        let view = View { mounts: vec![mount("/bin", What::Symlink { to: "usr/bin".into() })] };
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(json, r#"{"mounts":[{"target":"/bin","kind":"symlink","to":"usr/bin"}]}"#);
    }
}
