//! The headers of a request for the upstream, and of a response for the client.

use crate::plugin::credential::{Redactor, Secret};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, HOST, HeaderName, HeaderValue};

/// Those of one connection (RFC 9110, 7.6.1), and those that say how a body is sent: they are written anew.
const HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Of the client's, but not for the upstream.
const NOT_FOR_THE_UPSTREAM: [&str; 18] = [
    // Who is asked, and who asks.
    "host",
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "forwarded",
    "x-forwarded-host",
    // Another method or path than the one that was decided on, where the upstream's framework heeds them.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    // Bodies that could not be scanned: a credential cut in two is found in neither half.
    "accept-encoding",
    "range",
    "if-range",
    "request-range",
    // Answered here, and written anew.
    "expect",
    "content-length",
];

/// Of the upstream's, but not for the client: a session is as good as the credential, and another way to the
/// upstream has no credential.
const NOT_FOR_THE_CLIENT: [&str; 3] = ["set-cookie", "set-cookie2", "alt-svc"];

/// The header with the credential.
pub struct Injected {
    name: HeaderName,
    value: HeaderValue,
}

/// The manifest's header cannot be sent. It has nothing of the credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// Its name.
    #[error("{0:?} cannot be the name of the header with the credential: name one like `authorization`")]
    Name(String),
    /// Its value.
    #[error("the value of the header {0} has no `{{}}`, so the credential would not be sent: put it where it belongs")]
    NoPlace(String),
    /// The credential.
    #[error("the credential cannot be in a header, as it has control characters: is it a token, on one line?")]
    Value,
}

/// Memory that is locked, and overwritten with the last request that uses it.
struct Owner(Secret);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Injected {
    /// `template` has `{}` where the credential belongs. What is sent is a [`Secret`] too; but the buffers of hyper
    /// and rustls, through which it goes to the upstream, are not overwritten.
    pub fn new(name: &str, template: &str, secret: &Secret) -> Result<Self, BadHeader> {
        let bad_name = || BadHeader::Name(name.to_owned());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_name())?;
        let framing = ["host", "content-length", "expect"];
        if HOP.iter().chain(&framing).any(|own| header == *own) {
            return Err(bad_name());
        }
        let (before, after) = template.split_once("{}").ok_or_else(|| BadHeader::NoPlace(name.to_owned()))?;
        let mut value = Vec::with_capacity(template.len() + secret.expose().len());
        for part in [before.as_bytes(), secret.expose(), after.as_bytes()] {
            value.extend_from_slice(part);
        }
        let value = Secret::take(&mut value).map_err(|_| BadHeader::Value)?;
        let mut value =
            HeaderValue::from_maybe_shared(Bytes::from_owner(Owner(value))).map_err(|_| BadHeader::Value)?;
        value.set_sensitive(true);
        Ok(Self { name: header, value })
    }
}

/// Makes the headers of a client's request those for the upstream.
pub fn for_upstream(headers: &mut HeaderMap, host: &HeaderValue, injected: &Injected) {
    remove_hop_by_hop(headers);
    // Some upstreams take `x_api_key` for `x-api-key` (RFC 3875, 4.1.18).
    let same = |name: &HeaderName, other: &str| name.as_str().replace('_', "-") == other.replace('_', "-");
    let unwanted = |name: &HeaderName| {
        same(name, injected.name.as_str())
            || HOP.iter().chain(&NOT_FOR_THE_UPSTREAM).any(|unwanted| same(name, unwanted))
    };
    remove(headers, unwanted);
    headers.insert(HOST, host.clone());
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(injected.name.clone(), injected.value.clone());
}

/// Makes the headers of the upstream's response those for the client. Returns how often the credential was in them.
pub fn for_client(headers: &mut HeaderMap, redactor: &Redactor) -> u64 {
    remove_hop_by_hop(headers);
    remove(headers, |name| NOT_FOR_THE_CLIENT.iter().any(|unwanted| name == *unwanted));
    let mut marks = 0;
    // A name cannot be mended.
    remove(headers, |name| {
        let found = redacted(name.as_str().as_bytes(), redactor).is_some();
        marks += u64::from(found);
        found
    });
    for value in headers.values_mut() {
        if let Some(clean) = redacted(value.as_bytes(), redactor) {
            marks += 1;
            *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(""));
        }
    }
    marks
}

/// `None` if it has no credential.
fn redacted(bytes: &[u8], redactor: &Redactor) -> Option<Vec<u8>> {
    let mut redactor = redactor.another();
    let mut clean = Vec::with_capacity(bytes.len());
    redactor.push(bytes, &mut |part| clean.extend_from_slice(part));
    redactor.finish(&mut |part| clean.extend_from_slice(part));
    (redactor.marks() > 0).then_some(clean)
}

/// Removes those of one connection, and those that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    remove(headers, |name| HOP.contains(&name.as_str()) || named.iter().any(|named| name == named.as_str()));
}

fn remove(headers: &mut HeaderMap, mut unwanted: impl FnMut(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "canary-0123456789";

    fn secret() -> Secret {
        Secret::take(&mut CANARY.as_bytes().to_vec()).unwrap()
    }

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn of_the_clients_own_headers_none_says_who_asks_or_whom() {
        let injected = Injected::new("X-Api-Key", "{}", &secret()).unwrap();
        let mut headers = map(&[
            ("host", "elsewhere"),
            ("authorization", "Bearer mine"),
            ("x-api-key", "mine"),
            ("x_api_key", "mine"),
            ("cookie", "session=mine"),
            ("connection", "close, X-Secret-Hop, anthropic-version"),
            ("x-secret-hop", "1"),
            ("anthropic-version", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("upgrade", "h2c"),
            ("range", "bytes=0-5"),
            ("accept-encoding", "gzip"),
            ("accept-encoding", "br"),
            ("x-http-method-override", "DELETE"),
            ("x_http_method_override", "DELETE"),
            ("content-type", "application/json"),
        ]);
        for_upstream(&mut headers, &HeaderValue::from_static("api.example"), &injected);
        let expected = map(&[
            ("content-type", "application/json"),
            ("host", "api.example"),
            ("accept-encoding", "identity"),
            ("x-api-key", CANARY),
        ]);
        assert_eq!(headers, expected);
        assert!(!format!("{headers:?}").contains("canary"));
    }

    #[test]
    fn of_the_upstreams_headers_none_has_the_credential_or_a_session() {
        let secret = secret();
        let redactor = Redactor::new(&[&secret]).unwrap();
        let mut headers = map(&[
            ("set-cookie", "session=1"),
            ("alt-svc", "h3=\":443\""),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-echo", &format!("Bearer {CANARY}, again {CANARY}")),
            (&format!("x-{CANARY}"), "1"),
            ("content-type", "text/plain"),
        ]);
        assert_eq!(for_client(&mut headers, &redactor), 2);
        let mark = crate::plugin::credential::MARK;
        let expected = map(&[("x-echo", &format!("Bearer {mark}, again {mark}")), ("content-type", "text/plain")]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_header_that_cannot_be_sent_is_refused_without_a_word_of_the_credential() {
        let new = |name: &str, template: &str, secret: &[u8]| {
            Injected::new(name, template, &Secret::take(&mut secret.to_vec()).unwrap()).err()
        };
        assert_eq!(new("authorization", "Bearer {}", b"canary-01"), None);
        for name in ["", "a b", "host", "Connection", "content-length", "transfer-encoding", "é"] {
            assert_eq!(new(name, "{}", b"canary-01"), Some(BadHeader::Name(name.to_owned())));
        }
        assert_eq!(new("x-key", "Bearer", b"canary-01"), Some(BadHeader::NoPlace("x-key".to_owned())));
        for bad in [&b"canary\r\nx: 1"[..], b"canary-01\n", b"canary\0-01"] {
            assert_eq!(new("x-key", "{}", bad), Some(BadHeader::Value));
        }
    }
}
