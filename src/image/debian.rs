//! An image from the packages of Debian or Ubuntu, from where the host has its own. Pure.
//!
//! mmdebstrap makes it as an ordinary user, in a user namespace, and writes it as an archive to its standard output.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// What `apt-get indextargets` is asked for, see [`sources`].
pub const TARGETS: [&str; 4] =
    ["indextargets", "--format", "$(ORIGIN)|$(TRUSTED)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages"];

/// Who makes a distribution that an image can be made of, and who signs it.
const DISTRIBUTIONS: [(&str, &str); 2] = [("Debian", "debian-archive-keyring"), ("Ubuntu", "ubuntu-archive-keyring")];
/// Where the keyrings are; apt may read either form.
const KEYRINGS: &str = "/usr/share/keyrings";
/// The longest word of an entry, in octets.
const WORD_MAX: usize = 1024;

/// From where packages come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The release that is named first.
    pub suite: String,
    /// Each as in sources.list(5).
    pub lines: Vec<String>,
}

/// The distribution's own places among those that apt has lists of: what others signed is left out. `None` if there is
/// none, as on a machine whose apt was never updated. `exists` tells whether there is such a file.
pub fn sources(targets: &str, exists: impl Fn(&Path) -> bool) -> Option<Sources> {
    let entries: Vec<[&str; 5]> =
        targets.lines().filter_map(|line| line.split('|').collect::<Vec<_>>().try_into().ok()).collect();
    let own = |origin: &str| DISTRIBUTIONS.iter().find(|(name, _)| *name == origin);
    let (distribution, keyring) = entries.iter().find_map(|[origin, ..]| own(origin))?;
    let is_usable = |entry: &&[&str; 5]| {
        let [origin, trusted, uri, release, component] = **entry;
        origin == *distribution && trusted == "yes" && is_uri(uri) && is_word(release) && is_word(component)
    };
    let keyring = ["gpg", "pgp"].iter().map(|ending| format!("{KEYRINGS}/{keyring}.{ending}"));
    let keyring = keyring.filter(|path| exists(Path::new(path))).map(|path| format!("[signed-by={path}] ")).next();
    let keyring = keyring.unwrap_or_default();
    let usable: Vec<_> = entries.iter().filter(is_usable).collect();
    let suite = usable.first().map(|[_, _, _, release, _]| (*release).to_owned())?;
    let mut seen = BTreeSet::new();
    let lines =
        usable.iter().map(|[_, _, uri, release, component]| format!("deb {keyring}{uri} {release} {component}"));
    Some(Sources { suite, lines: lines.filter(|line| seen.insert(line.clone())).collect() })
}

fn is_uri(text: &str) -> bool {
    let known = ["http://", "https://", "file:/", "copy:/"].iter().any(|scheme| text.starts_with(scheme));
    known && text.len() <= WORD_MAX && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]\"'\\".contains(&byte))
}

fn is_word(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._/".contains(&byte);
    begins && text.len() <= WORD_MAX && text.bytes().all(plain)
}

/// What is done before the archive is written. Where the host's packages come from is nothing for an agent: there may be a
/// password in it, and nobody inside can install any.
const LAST: &str = "rm -rf \"$1\"/etc/apt/sources.list \"$1\"/etc/apt/sources.list.d/* \"$1\"/etc/apt/auth.conf.d/* \
                    \"$1\"/var/lib/apt/lists/* \"$1\"/var/cache/apt/*";

/// mmdebstrap's arguments. The names of packages are those of [`Package`](super::package::Package).
pub fn arguments(sources: &Sources, packages: &[String]) -> Vec<OsString> {
    let mut arguments: Vec<String> = ["--mode=unshare", "--variant=minbase", "--format=tar"].map(str::to_owned).into();
    arguments.push(format!("--include={}", packages.join(",")));
    // Nobody reads them inside, and they take a third of the room.
    let excluded = ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*"];
    arguments.extend(excluded.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    arguments.push("--dpkgopt=path-include=/usr/share/doc/*/copyright".to_owned());
    arguments.push(format!("--customize-hook={LAST}"));
    arguments.extend(["--".to_owned(), sources.suite.clone(), "-".to_owned()]);
    arguments.extend(sources.lines.iter().cloned());
    arguments.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APT: &str = "\
Debian|yes|http://deb.debian.org/debian/|bookworm|main
Debian|yes|http://deb.debian.org/debian/|bookworm|main
Debian|yes|https://mirror.example/debian-security/|bookworm-security|main
Node Source|yes|https://deb.nodesource.com/node_20.x/|nodistro|main
Debian|no|http://unsigned.example/debian/|bookworm|main
Debian|yes|http://a.example/[trusted=yes] /|bookworm|main
Debian|yes|http://a.example/debian/|--simulate|main
Debian|yes|rsh://a.example/debian/|bookworm|main
|yes|http://nobody.example/|bookworm|main
";

    #[test]
    fn packages_come_from_where_the_hosts_own_do_and_nowhere_else() {
        let sources = sources(APT, |path| path.ends_with("debian-archive-keyring.pgp")).unwrap();
        assert_eq!(sources.suite, "bookworm");
        assert_eq!(
            sources.lines,
            [
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.pgp] http://deb.debian.org/debian/ bookworm main",
                "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.pgp] https://mirror.example/debian-security/ \
             bookworm-security main",
            ]
        );
    }

    #[test]
    fn a_host_without_lists_has_no_sources() {
        for nothing in ["", "Node Source|yes|https://deb.nodesource.com/node_20.x/|nodistro|main\n", "|\n"] {
            assert_eq!(sources(nothing, |_| true), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_comes_after_the_options_cannot_be_one() {
        let sources = sources(APT, |_| false).unwrap();
        let arguments = arguments(&sources, &["git".to_owned(), "jq".to_owned()]);
        let end = arguments.iter().position(|word| word == "--").unwrap();
        assert!(arguments[..end].contains(&"--include=git,jq".into()));
        assert_eq!(arguments[end + 1..][..2], ["bookworm", "-"]);
        assert!(arguments[end + 3..].iter().all(|line| line.to_str().unwrap().starts_with("deb http")));
    }
}
