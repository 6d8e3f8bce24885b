//! Which versions of OCI runtimes let an agent out.

use crate::runtime::choice::EngineName;

/// The version has a known way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum FloorError {
    /// By these.
    #[error("{runtime} {version} lets programs out of containers (CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881)")]
    #[diagnostic(help("1.2.8, 1.3.3 and 1.4.0 or newer do not; or let {engine} use crun: {crun}"))]
    Escapes {
        /// Which program.
        runtime: String,
        /// Its version.
        version: String,
        /// Whose it is.
        engine: &'static str,
        /// How to have another one.
        crun: &'static str,
    },
    /// No version is there to judge.
    #[error("{engine} uses the OCI runtime '{runtime}', of which no version can be told: \"{said}\"")]
    #[diagnostic(help("let {engine} use crun: {crun}"))]
    Unknown {
        /// Which program.
        runtime: String,
        /// What it says of itself.
        said: String,
        /// Whose it is.
        engine: &'static str,
        /// How to have another one.
        crun: &'static str,
    },
}

/// How an engine is told to use crun.
fn crun(engine: EngineName) -> &'static str {
    match engine {
        EngineName::Podman => "runtime = \"crun\" under [engine] in ~/.config/containers/containers.conf",
        EngineName::Docker => {
            "\"default-runtime\": \"crun\" and \"runtimes\": { \"crun\": { \"path\": \"/usr/bin/crun\" } } in \
             ~/.config/docker/daemon.json"
        }
    }
}

/// A version of runc: three numbers, and which candidate for a release it is, if it is one.
type Version = ((u32, u32, u32), Option<u32>);

/// Refuses what is known to leak. `said` is what the program prints for `--version`.
///
/// The advisories of runc of 2025-11-05 name 1.2.8, 1.3.3 and 1.4.0-rc.3 as the first good ones. A distribution that
/// mended an older one without giving it another number cannot be told from others.
pub fn check(name: EngineName, runtime: &str, said: &str) -> Result<(), FloorError> {
    let (engine, crun) = (name.as_str(), crun(name));
    let unknown = || {
        let said = crate::shown::text(said.lines().next().unwrap_or("")).to_string();
        FloorError::Unknown { runtime: crate::shown::text(runtime).to_string(), said, engine, crun }
    };
    match runtime {
        "crun" => Ok(()),
        "runc" => {
            let text = said.lines().find_map(|line| line.strip_prefix("runc version ")).ok_or_else(unknown)?;
            let text = text.trim();
            let version = parse(text).ok_or_else(unknown)?;
            if leaks(version) {
                Err(FloorError::Escapes { runtime: runtime.to_owned(), version: text.to_owned(), engine, crun })
            } else {
                Ok(())
            }
        }
        _ => Err(unknown()),
    }
}

fn leaks((numbers, candidate): Version) -> bool {
    match (numbers, candidate) {
        ((1, 2, patch), None) => patch < 8,
        ((1, 3, patch), None) => patch < 3,
        ((1, 4, 0), Some(candidate)) => candidate < 3,
        (numbers, _) => numbers < (1, 4, 0),
    }
}

/// `1.2.8`, `1.4.0-rc.2`, with what a distribution adds behind: `1.1.5+ds1`.
fn parse(text: &str) -> Option<Version> {
    let plain = text.split(['+', '~']).next()?;
    let (numbers, candidate) = plain.split_once("-rc").map_or((plain, None), |(numbers, rest)| (numbers, Some(rest)));
    let candidate = match candidate {
        Some(rest) => Some(rest.trim_start_matches('.').split(['-', '.']).next()?.parse().ok()?),
        None => None,
    };
    let numbers = numbers.split('-').next()?;
    let numbers: Vec<u32> = numbers.split('.').map_while(|number| number.parse().ok()).collect();
    let [major, minor, patch] = numbers[..] else { return None };
    Some(((major, minor, patch), candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runc(version: &str) -> Result<(), FloorError> {
        check(EngineName::Docker, "runc", &format!("runc version {version}\ncommit: x\nspec: 1.2.0\n"))
    }

    #[test]
    fn versions_that_leak_are_refused() {
        for version in ["1.0.0-rc93", "1.1.5+ds1", "1.2.7", "1.3.0-rc.2", "1.3.2", "1.4.0-rc.2", "1.2.8-rc.1"] {
            assert!(matches!(runc(version), Err(FloorError::Escapes { .. })), "{version}");
        }
    }

    #[test]
    fn mended_versions_are_taken() {
        for version in ["1.2.8", "1.2.9+ds1", "1.3.3", "1.3.4-0ubuntu1", "1.4.0-rc.3", "1.4.0", "2.0.0"] {
            assert_eq!(runc(version), Ok(()), "{version}");
        }
        assert_eq!(check(EngineName::Podman, "crun", "crun version 1.8.1\n"), Ok(()));
    }

    #[test]
    fn what_cannot_be_judged_is_refused() {
        for (runtime, said) in [("runc", "runc version unknown"), ("runc", ""), ("runsc", "runsc version 1"), ("", "")]
        {
            assert!(
                matches!(check(EngineName::Podman, runtime, said), Err(FloorError::Unknown { .. })),
                "{runtime} {said}"
            );
        }
    }
}
