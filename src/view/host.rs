//! Which of the host's system files a sandbox may see: an allowlist, read once.

use serde::Serialize;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A system file, directory or link of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it appears.
    pub path: PathBuf,
    /// What it is.
    pub what: Kind,
}

/// What lies at a path of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// A file or directory; its path without symbolic links above it.
    Real(PathBuf),
    /// A symbolic link and its text.
    Link(PathBuf),
}

/// The visible system files that exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// In the order of the lists below.
    pub entries: Vec<Entry>,
}

/// Programs and libraries. `/nix/store` and `/gnu/store` are world-readable by definition. Not
/// `/opt`, `/srv` and `/var`: they hold data as well as programs; `mounts` adds what is wanted.
const PROGRAMS: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/var/lib/ca-certificates", // openSUSE: what /etc/ssl/certs links to
    "/run/current-system",      // NixOS: a link into the store
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Below `/etc`. Not here, on purpose: shadow, sudoers, ssh, ssl/private, pki/tls/private,
/// gitconfig and npmrc (they may hold credentials), machine-id (it identifies the machine), rcc,
/// and passwd, group, hosts, hostname, resolv.conf, which are generated.
const ETC: [&str; 40] = [
    "alternatives",
    "bash.bashrc",
    "bashrc",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "gai.conf",
    "host.conf",
    "inputrc",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "mailcap",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "profile",
    "profile.d",
    "profiles", // NixOS: packages of single users
    "protocols",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static", // NixOS: a link into the store
    "terminfo",
    "timezone",
    "zoneinfo", // NixOS
];

/// Names below `/etc` that carry a version or an architecture: any name that begins so.
const ETC_VERSIONED: [&str; 4] = ["java-", "ld-musl-", "perl", "python3"];

impl Host {
    /// Looks at the lists; what is missing, private (not readable by everyone) or neither file,
    /// directory nor link is left out.
    pub fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    fn read_below(root: &Path) -> Self {
        let etc = root.join("etc");
        let versioned = std::fs::read_dir(&etc).into_iter().flatten().flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            ETC_VERSIONED.iter().any(|prefix| name.starts_with(prefix)).then(|| format!("/etc/{name}"))
        });
        let mut versioned: Vec<String> = versioned.collect();
        versioned.sort();
        let fixed = PROGRAMS.iter().map(|path| (*path).to_owned());
        let fixed = fixed.chain(ETC.iter().map(|name| format!("/etc/{name}")));
        Self { entries: fixed.chain(versioned).filter_map(|path| entry(root, &path)).collect() }
    }
}

fn entry(root: &Path, path: &str) -> Option<Entry> {
    let full = root.join(path.trim_start_matches('/'));
    let metadata = std::fs::symlink_metadata(&full).ok()?;
    let what = if metadata.is_symlink() {
        Kind::Link(std::fs::read_link(&full).ok()?)
    } else {
        let kind = metadata.file_type();
        let special = kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device();
        // The agent of a root user is the owner of these files.
        if special || metadata.permissions().mode() & 0o004 == 0 {
            return None;
        }
        let parent = std::fs::canonicalize(full.parent()?).ok()?;
        Kind::Real(parent.join(full.file_name()?))
    };
    Some(Entry { path: path.into(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_listed_readable_files_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("etc/ssl/certs")).unwrap();
        fs::create_dir_all(root.join("etc/ssl/private")).unwrap();
        fs::create_dir_all(root.join("etc/python3.11")).unwrap();
        for name in ["shadow", "profile", "services", "gitconfig"] {
            fs::write(root.join("etc").join(name), "").unwrap();
        }
        fs::set_permissions(root.join("etc/services"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        let seen: Vec<_> = Host::read_below(&root).entries.into_iter().map(|entry| entry.path).collect();
        let expected = ["/bin", "/etc/profile", "/etc/ssl/certs", "/etc/python3.11"].map(PathBuf::from);
        assert_eq!(seen, expected);
    }

    /// The layout of NixOS: files of /etc are links by way of /etc/static into the store.
    #[test]
    fn links_into_a_store_stay_links_and_the_store_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for name in ["nix/store/a-etc/etc", "nix/store/b-bash/bin", "bin", "usr/bin", "etc/rcc", "run"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for (link, target) in [
            ("etc/static", "/nix/store/a-etc/etc"),
            ("etc/profile", "/etc/static/profile"),
            ("etc/profiles", "/etc/static/profiles"),
            ("etc/rcc/config.toml", "/etc/static/rcc/config.toml"),
            ("run/current-system", "/nix/store/c-system"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let entries = Host::read_below(&root).entries;
        let real = |path: &str| Entry { path: path.into(), what: Kind::Real(root.join(&path[1..])) };
        let link = |path: &str, to: &str| Entry { path: path.into(), what: Kind::Link(to.into()) };
        let expected = [
            real("/usr"),
            real("/bin"),
            real("/nix/store"),
            link("/run/current-system", "/nix/store/c-system"),
            link("/etc/profile", "/etc/static/profile"),
            link("/etc/profiles", "/etc/static/profiles"),
            link("/etc/static", "/nix/store/a-etc/etc"),
        ];
        assert_eq!(entries, expected);
    }
}
