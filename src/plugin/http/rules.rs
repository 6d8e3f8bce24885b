//! Whether a request may be forwarded: decided from its method and path, as the upstream will read them.
//!
//! A path is compared without percent-encoding. What upstreams read in different ways (dots, empty components,
//! slashes that are encoded, an encoding of an encoding) is refused, so that no spelling of a path gets past a
//! rule. One exception is made for npm, which asks for `@scope/name` as `/@scope%2fname`: a rule sees two components
//! there. An upstream that sees one sees one below all that the rule names but the last component of it, and one that
//! begins with the scope.

use crate::plugin::manifest::{Http, HttpRule};

/// Methods that are never forwarded: one makes another connection, the others send back what the upstream got,
/// the credential included (RFC 9110, 9.3.6 and 9.3.8).
const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Why a request is not forwarded. Its text is for whoever made the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No rule allows it.
    #[error("no rule of the plugin allows {method} {path}: root may add one to `allowed` in the plugin's manifest")]
    NotAllowed {
        /// The method.
        method: String,
        /// The path, decoded.
        path: String,
    },
    /// A rule forbids it.
    #[error("a rule of the plugin blocks {method} {path}: leave it to the user")]
    Blocked {
        /// The method.
        method: String,
        /// The path, decoded.
        path: String,
    },
    /// Never forwarded.
    #[error("{0} is never forwarded: ask for what you need with another method")]
    Method(String),
    /// A path that can be read in more than one way.
    #[error("a path with {0} is not forwarded, as it can be read in more than one way: write it plainly")]
    Path(&'static str),
    /// Not for the upstream.
    #[error("only {upstream} is reached here: ask for a path of it, or reach another host without this socket")]
    Elsewhere {
        /// The upstream.
        upstream: String,
    },
    /// Another protocol.
    #[error("a change of the protocol (Upgrade) is not forwarded: use plain HTTP/1.1 requests")]
    Upgrade,
    /// Longer than the manifest says.
    #[error("the request's body is longer than {0} bytes: send less, or root may raise `body_max` in the manifest")]
    Body(u64),
    /// It is not on record.
    #[error("the request could not be put on record, so it is not forwarded: the user finds why in the broker's log")]
    Unrecorded,
}

impl Refusal {
    /// The status of the response (RFC 9110, 15.5).
    pub fn status(&self) -> u16 {
        match self {
            Self::Body(_) => 413,
            Self::Unrecorded => 503,
            _ => 403,
        }
    }
}

/// The rules of one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    allowed: Vec<HttpRule>,
    blocked: Vec<HttpRule>,
}

impl Rules {
    /// Those of a manifest.
    pub fn of(http: &Http) -> Self {
        Self { allowed: http.allowed.clone(), blocked: http.blocked.clone() }
    }

    /// Whether it may be forwarded. `path` is as it was sent, without the query.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, method: &str, path: &str) -> Result<(), Refusal> {
        if NEVER.iter().any(|never| never.eq_ignore_ascii_case(method)) {
            return Err(Refusal::Method(method.to_owned()));
        }
        let path = plain(path).map_err(Refusal::Path)?;
        let named = || (method.to_owned(), path.clone());
        // An upstream may take `get /A` for `GET /a`: that is then still blocked, and not yet allowed.
        // And one that knows parameters of components reads `/a;x` as `/a`.
        let read = |known: &str, sent: &str| {
            known.eq_ignore_ascii_case(sent)
                || known.eq_ignore_ascii_case(sent.split(';').next().unwrap_or(sent).trim())
        };
        if self.blocked.iter().any(|rule| matches(rule, method, &path, read)) {
            let (method, path) = named();
            return Err(Refusal::Blocked { method, path });
        }
        if self.allowed.iter().any(|rule| matches(rule, method, &path, |one, other| one == other)) {
            return Ok(());
        }
        let (method, path) = named();
        Err(Refusal::NotAllowed { method, path })
    }
}

fn matches(rule: &HttpRule, method: &str, path: &str, same: impl Fn(&str, &str) -> bool) -> bool {
    let methods = &rule.methods;
    let mut below = path.split('/').skip(1);
    (methods.is_empty() || methods.iter().any(|known| same(known, method)))
        && rule
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .all(|part| below.next().is_some_and(|got| same(part, got)))
}

/// The path without percent-encoding, or what is wrong with it.
fn plain(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("no slash at its beginning");
    }
    let encoded_slash = |part: &&str| part.to_ascii_lowercase().contains("%2f");
    if !path.split('/').filter(encoded_slash).all(is_scoped_name) {
        return Err("an encoded slash");
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("a percent sign that encodes nothing");
        };
        match u8::try_from(high * 16 + low).unwrap_or_default() {
            b'\\' => return Err("an encoded backslash"),
            b'%' => return Err("an encoded percent sign"),
            byte => plain.push(byte),
        }
    }
    let plain = String::from_utf8(plain).map_err(|_| "bytes that are not UTF-8")?;
    if plain.contains(|character: char| character.is_control() || character == '\\') {
        return Err("a backslash or a control character");
    }
    let components: Vec<&str> = plain.split('/').skip(1).collect();
    // Some upstreams take a component only up to a semicolon (RFC 3986, 3.3).
    let meant = |part: &&str| part.split(';').next().unwrap_or_default().trim().to_owned();
    if components.iter().map(meant).any(|part| matches!(&*part, "." | "..")) {
        return Err("a component `.` or `..`");
    }
    if components.iter().take(components.len() - 1).any(|part| meant(part).is_empty()) {
        return Err("an empty component");
    }
    Ok(plain)
}

/// Whether a component is a scope and a name as npm writes them, with nothing in them that is read in different ways.
fn is_scoped_name(part: &str) -> bool {
    let part = part.to_ascii_lowercase();
    let plain = |name: &str| {
        let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !name.is_empty() && !name.starts_with('.') && name.bytes().all(ordinary)
    };
    let scoped = part.strip_prefix('@').or_else(|| part.strip_prefix("%40"));
    scoped.and_then(|rest| rest.split_once("%2f")).is_some_and(|(scope, name)| plain(scope) && plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(methods: &[&str], path: &str) -> HttpRule {
        HttpRule { methods: methods.iter().map(|method| (*method).to_owned()).collect(), path: path.to_owned() }
    }

    fn rules() -> Rules {
        Rules {
            allowed: vec![rule(&["GET", "POST"], "/v1"), rule(&[], "/open/"), rule(&["GET"], "/a b/ü")],
            blocked: vec![rule(&["DELETE"], "/"), rule(&[], "/v1/admin")],
        }
    }

    #[test]
    fn a_rule_is_for_its_methods_and_whole_components_of_its_path() {
        for (method, path) in [
            ("GET", "/v1"),
            ("POST", "/v1/"),
            ("POST", "/v1/messages"),
            ("GET", "/%76%31/messages"),
            ("PUT", "/open"),
            ("X", "/open/a/b"),
            ("GET", "/a%20b/%C3%BC"),
            ("GET", "/a%20b/%c3%bc/"),
            ("GET", "/v1/admins"),
            ("GET", "/v1/.hidden/...;x=1"),
        ] {
            assert_eq!(rules().decide(method, path), Ok(()), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v"),
            ("GET", "/v1x"),
            ("GET", "/v2/v1"),
            ("PUT", "/v1"),
            ("get", "/v1"),
            ("GET", "/V1"),
            ("POST", "/a b/ü"),
            ("GET", "/ope"),
        ] {
            assert!(matches!(rules().decide(method, path), Err(Refusal::NotAllowed { .. })), "{method} {path}");
        }
    }

    #[test]
    fn what_is_blocked_is_blocked_in_every_spelling() {
        for (method, path) in [
            ("GET", "/v1/admin"),
            ("GET", "/v1/admin/"),
            ("GET", "/v1/admin/keys"),
            ("GET", "/v1/%61dmin"),
            ("GET", "/v1/%41dmin"),
            ("POST", "/V1/ADMIN"),
            ("DELETE", "/open/x"),
            ("delete", "/open/x"),
            ("DELETE", "/"),
            // What an upstream that knows parameters, or trims, takes for the same.
            ("GET", "/v1/admin;x"),
            ("GET", "/v1/admin;x=1/keys"),
            ("GET", "/v1/admin%3bx/keys"),
            ("GET", "/v1;x/admin"),
            ("GET", "/v1/admin%20"),
            ("GET", "/v1/%20admin/keys"),
            ("GET", "/v1/admin%20;x"),
        ] {
            assert!(matches!(rules().decide(method, path), Err(Refusal::Blocked { .. })), "{method} {path}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "*",
            "v1",
            "/v1/../admin",
            "/v1/..",
            "/v1/.",
            "/v1/./x",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/..;/admin",
            "/v1/%2e%2e%3bx/admin",
            "/v1/.. /admin",
            "/v1//admin",
            "//v1",
            "/v1/;x/admin",
            "/v1%2fadmin",
            "/v1%2Fadmin",
            "/v1%5cadmin",
            "/v1\\admin",
            "/v1/%252e%252e/admin",
            "/v1/%25",
            "/v1/%",
            "/v1/%2",
            "/v1/%+1",
            "/v1/%zz",
            "/v1/%00",
            "/v1/%0d%0ax",
            "/v1/%ff",
            "/v1/%c0%ae%c0%ae/admin",
            "/v1/@%2fadmin",
            "/v1/@a%2f",
            "/v1/@a%2f..",
            "/v1/@a%2f.%2e",
            "/v1/@..%2fadmin",
            "/v1/@a%2fb%2fc",
            "/v1/@a%2f/admin",
            "/v1/@a;%2fb",
            "/v1/@a%2fb;x",
            "/v1/@a%5cb",
            "/v1/x@a%2fb",
            "/v1/%2f@a",
            "/v1%2f@a%2fb",
        ] {
            assert!(matches!(rules().decide("GET", path), Err(Refusal::Path(_))), "{path}");
        }
    }

    #[test]
    fn a_scoped_name_of_npms_is_two_components_for_every_rule() {
        let rules = Rules {
            allowed: vec![rule(&["GET"], "/@open"), rule(&["GET"], "/@mixed/good"), rule(&["GET"], "/-/package")],
            blocked: vec![rule(&[], "/@open/hidden"), rule(&[], "/-/package/@secret")],
        };
        for path in [
            "/@open%2fname",
            "/@open%2Fname/-/name-1.0.0.tgz",
            "/%40open%2fname",
            "/@mixed%2fgood",
            "/-/package/@a%2fb/dist-tags",
        ] {
            assert_eq!(rules.decide("GET", path), Ok(()), "{path}");
        }
        for path in ["/@open%2fhidden", "/@OPEN%2fHidden/x", "/-/package/@secret%2fname", "/-/package/%40secret%2Fx"] {
            assert!(matches!(rules.decide("GET", path), Err(Refusal::Blocked { .. })), "{path}");
        }
        for path in ["/@mixed%2fbad", "/@other%2fname", "/@mixed%2fgoods"] {
            assert!(matches!(rules.decide("GET", path), Err(Refusal::NotAllowed { .. })), "{path}");
        }
    }

    #[test]
    fn methods_that_reach_or_tell_more_than_they_say_are_refused() {
        for method in ["CONNECT", "TRACE", "track", "Trace"] {
            assert_eq!(rules().decide(method, "/open"), Err(Refusal::Method(method.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_allowed_is_below_a_rule_when_an_upstream_decodes_and_resolves_it(path in "(/|%2[eEfF5]|[.;va1]|%76|admin|@a%2f){0,12}", slash in "[/_]") {
            if rules().decide("GET", &path).is_ok() {
                let once = path.replace("%76", "v").replace("%2e", ".").replace("%2E", ".");
                // As a separator, or as a part of a name.
                let once = once.replace("%2f", &slash).replace("%2F", &slash);
                let mut resolved = Vec::new();
                for part in once.split('/').map(|part| part.split(';').next().unwrap()) {
                    match part {
                        "" | "." => {}
                        ".." => { resolved.pop(); }
                        part => resolved.push(part),
                    }
                }
                prop_assert_eq!(resolved[0], "v1");
                prop_assert_ne!(resolved.get(1).copied(), Some("admin"));
            }
        }
    }
}
