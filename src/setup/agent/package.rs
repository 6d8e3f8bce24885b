//! Which package of the npm registry holds Claude Code for this host, and where the registry is.

use super::VERSION;
use crate::facts::Facts;
use std::path::Path;

/// The public npm registry, which npm uses where nothing else is configured (npm-config(7)).
const PUBLIC_REGISTRY: &str = "https://registry.npmjs.org";

/// The scope of the packages.
const SCOPE: &str = "@anthropic-ai";

/// One platform's package of [`VERSION`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name without the scope.
    pub name: &'static str,
    /// SHA-512 of the tarball, as the registry's `dist.integrity` states it, in hexadecimal.
    pub sha512: &'static str,
}

const PACKAGES: [(&str, bool, Package); 4] = [
    (
        "x86_64",
        false,
        Package {
            name: "claude-code-linux-x64",
            sha512: "f469fe57b0ed27c3359f3b4ff42783565f60dd1b6b7a923bace153c8f4519d97bc0facde6c81ca982ecebc16aeb9cb803f45f493ce520cdfcb3d56728ec19ecd",
        },
    ),
    (
        "x86_64",
        true,
        Package {
            name: "claude-code-linux-x64-musl",
            sha512: "3a776e4923d8d5be7d140f234dbab6d18d57903515d12d4e572bd804db2511ba57efd3fcd4917b221e25818bc32a21679d2bfbe73e0abfaa8b1390d0aa88185c",
        },
    ),
    (
        "aarch64",
        false,
        Package {
            name: "claude-code-linux-arm64",
            sha512: "578c9a9c0639100e54a70c113ed8d27ea0db36a0255097959f7358670d808264478dda52b0bb470336f14577e40276e3c135f3134b9e763431518d360113dcb0",
        },
    ),
    (
        "aarch64",
        true,
        Package {
            name: "claude-code-linux-arm64-musl",
            sha512: "35e99f793a99df4b500e101eba66600d8a17e1ec2100790dddd6dcb32be581bfb2be929495c62ee41a2bf0af83bb96b319edeecbdb1fb652716c6853b0247bcc",
        },
    ),
];

impl Package {
    /// The package for a processor (`std::env::consts::ARCH`) and its C library.
    pub fn of(arch: &str, musl: bool) -> Option<Self> {
        PACKAGES.iter().find(|(for_arch, for_musl, _)| *for_arch == arch && *for_musl == musl).map(|(.., it)| *it)
    }

    /// What `npm pack` takes.
    pub fn spec(self) -> String {
        format!("{SCOPE}/{}@{VERSION}", self.name)
    }

    /// Where a registry serves the tarball.
    pub fn url(self, registry: &str) -> String {
        format!("{}/{SCOPE}/{1}/-/{1}-{VERSION}.tgz", registry.trim_end_matches('/'), self.name)
    }
}

/// Whether programs of this host are linked against musl: its loader is there and glibc's is not.
pub fn is_musl_host(root: &Path, arch: &str) -> bool {
    let glibc = match arch {
        "x86_64" => "lib64/ld-linux-x86-64.so.2",
        _ => "lib/ld-linux-aarch64.so.1",
    };
    root.join(format!("lib/ld-musl-{arch}.so.1")).exists() && !root.join(glibc).exists()
}

/// The configured registry: npm's variables first, then the user's `.npmrc` (never a project's),
/// each for the scope before the general one, then the public one.
pub fn registry(facts: &Facts, npmrc: &str) -> String {
    let scoped = format!("{SCOPE}:registry");
    let line = |key: &str| {
        let found = npmrc.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key);
        found.map(|(_, value)| value.trim().trim_matches(['"', '\'']))
    };
    let variables = ["npm_config_registry", "NPM_CONFIG_REGISTRY"].map(|name| facts.variable(name));
    let mut configured = line(&scoped).into_iter().chain(variables.into_iter().flatten()).chain(line("registry"));
    configured.find(|url| is_url(url)).unwrap_or(PUBLIC_REGISTRY).to_owned()
}

/// An address that can be handed to a program as one argument. Plain http is fine: the tarball
/// is known by its hash.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'$'))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn every_platform_has_its_own_pinned_package() {
        let mut hashes: Vec<&str> = PACKAGES.iter().map(|(.., package)| package.sha512).collect();
        assert!(hashes.iter().all(|hash| hash.len() == 128 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), PACKAGES.len());
        assert_eq!(Package::of("riscv64", false), None);
        assert_eq!(Package::of("aarch64", true).unwrap().name, "claude-code-linux-arm64-musl");
    }

    #[test]
    fn the_registry_is_what_npm_would_use() {
        let npmrc = "; mine\nregistry = https://general.example/npm/\n";
        let scoped = "@anthropic-ai:registry=http://scoped.example\n";
        let none: &[(&str, &str)] = &[];
        let variable: &[(&str, &str)] = &[("npm_config_registry", "https://variable.example")];
        for (variables, npmrc, expected) in [
            (none, "", PUBLIC_REGISTRY),
            (none, npmrc, "https://general.example/npm/"),
            (none, "registry=${HOST}\n", PUBLIC_REGISTRY),
            (none, "registry=file:///etc\n", PUBLIC_REGISTRY),
            (none, "registry=-o/etc/passwd\n", PUBLIC_REGISTRY),
            (variable, npmrc, "https://variable.example"),
            (variable, scoped, "http://scoped.example"),
        ] {
            let facts = fixture::facts(Path::new("/home/alice"), variables);
            assert_eq!(registry(&facts, npmrc), expected, "{variables:?} {npmrc:?}");
        }
    }

    #[test]
    fn the_tarball_lies_where_registries_serve_it() {
        let package = Package::of("x86_64", false).unwrap();
        let expected =
            format!("https://r.example/@anthropic-ai/claude-code-linux-x64/-/claude-code-linux-x64-{VERSION}.tgz");
        assert_eq!(package.url("https://r.example/"), expected);
    }

    #[test]
    fn a_host_with_both_loaders_runs_glibc_programs() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["lib", "lib64"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        std::fs::write(root.path().join("lib/ld-musl-x86_64.so.1"), "").unwrap();
        assert!(is_musl_host(root.path(), "x86_64"));
        std::fs::write(root.path().join("lib64/ld-linux-x86-64.so.2"), "").unwrap();
        assert!(!is_musl_host(root.path(), "x86_64"));
    }
}
