//! What is invisible inside unless the user says otherwise.

/// Patterns for files that hold nothing but secrets by wide convention. Left out on purpose:
/// `.npmrc`, `.pypirc` and `*.crt`, which projects commit without secrets and need for building.
pub const DEFAULT_EXCLUDES: [&str; 19] = [
    ".env",
    ".env.*",
    "!.env.example",
    "!.env.sample",
    "!.env.template",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pgpass",
    ".git-credentials",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::pattern;

    #[test]
    fn the_defaults_are_patterns_that_a_file_could_hold() {
        for text in DEFAULT_EXCLUDES {
            assert_eq!(pattern(text).as_deref(), Ok(text));
        }
    }
}
