//! What the broker tells the program in the plugin's sandbox: one connection of a client with one upstream.

use super::remote::Upstream;
use crate::plugin::manifest::{GitAccess, PushRules};
use crate::plugin::wire::{Mode, Service};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One connection. It goes to the program as JSON in an argument, and holds no credential, only their paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// What is asked for.
    pub service: Service,
    /// How the client speaks.
    pub mode: Mode,
    /// Of whom.
    pub upstream: Upstream,
    /// With which credentials.
    pub access: Access,
    /// What may be pushed.
    pub rules: PushRules,
    /// A directory for the mirrors, which lasts, is the plugin's alone and is there.
    pub mirrors: PathBuf,
    /// A directory that has rcc's program under the name [`HOOK`], and no other hook.
    pub hooks: PathBuf,
    /// A socket that takes every decision as a line of JSON, and answers with a line feed when it is on record.
    pub decisions: PathBuf,
}

/// Bytes of a decision, with its end: the name of a ref and a reason of which each byte is escaped.
pub const DECISION_MAX: usize = 64 << 10;

/// The name under which git receive-pack runs rcc's program, to have every update judged (githooks(5)).
pub const HOOK: &str = "proc-receive";

/// The files that the credentials are in. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Access {
    /// `https://`.
    Https {
        /// In the form of git-credential-store(1), made of [`stored`].
        store: PathBuf,
        /// Certificates to trust instead of the system's.
        ca: Option<PathBuf>,
    },
    /// `ssh://`.
    Ssh {
        /// A private key, which nobody else can read.
        key: PathBuf,
        /// The host's public keys.
        known_hosts: PathBuf,
    },
}

/// Whether a client that asks in this form is told to ask in the other: requests one at a time are for fetching
/// from servers of HTTP.
pub fn falls_back(service: Service, mode: Mode, access: &GitAccess) -> bool {
    let stateless = service == Service::UploadPack && matches!(access, GitAccess::Https { .. });
    mode == Mode::Stateless && !stateless
}

/// A line of [`Access::Https::store`].
pub fn stored(host: &str, user: &str, token: &[u8]) -> Vec<u8> {
    let mut line = b"https://".to_vec();
    escape(user.as_bytes(), &mut line);
    line.push(b':');
    escape(token, &mut line);
    line.push(b'@');
    line.extend(host.as_bytes());
    line.push(b'\n');
    line
}

/// Percent-encoding of all but the unreserved characters (RFC 3986, 2.3).
fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            line.push(*byte);
        } else {
            line.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_any_bytes_is_one_line_of_a_store() {
        assert_eq!(
            stored("h:8443", "x-access-token", b"a@b:/\n\xff"),
            b"https://x-access-token:a%40b%3A%2F%0A%FF@h:8443\n"
        );
    }

    #[test]
    fn only_fetching_over_https_takes_requests_one_at_a_time() {
        let https = GitAccess::Https { user: "x".into(), credential: "c".into(), ca: None };
        let ssh = GitAccess::Ssh { user: "git".into(), credential: "c".into(), known_hosts: "/k".into() };
        assert!(!falls_back(Service::UploadPack, Mode::Stateless, &https));
        assert!(falls_back(Service::ReceivePack, Mode::Stateless, &https));
        assert!(falls_back(Service::UploadPack, Mode::Stateless, &ssh));
        assert!(!falls_back(Service::UploadPack, Mode::Connect, &ssh));
    }
}
