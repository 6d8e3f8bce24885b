//! The upstream: its name, and a TLS connection to it and nobody else.

use hyper::Uri;
use hyper::header::HeaderValue;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The port of `https` (RFC 9110, 4.2.2).
const PORT: u16 = 443;
/// For each address. The kernel's own limit is two minutes.
const CONNECT: Duration = Duration::from_secs(5);
/// For the name, a connection and TLS together.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds the addresses of a name.
pub type Resolve = Box<dyn Fn(String) -> Addresses + Send + Sync>;
/// What comes of it.
type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Asks this resolver, without libc's: for what runs in a sandbox.
pub fn by_resolver(resolver: SocketAddr) -> Resolve {
    Box::new(move |host| Box::pin(async move { crate::resolver::addresses(resolver, &host).await }))
}

/// The manifest's upstream is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUpstream {
    /// Not of the form.
    #[error("{0:?} is no upstream: it has the form https://host or https://host:port")]
    Form(String),
    /// There are no certificates to trust.
    #[error(
        "no certificate of an authority was found ({0}), so no upstream can be verified: install the system's, or \
         name a file of them in SSL_CERT_FILE"
    )]
    NoRoots(String),
    /// The TLS library.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// The upstream cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Its name.
    #[error("cannot find the address of {host}: {source}")]
    Name {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TCP.
    #[error("cannot connect to {host}: {source}; the network profile of the plugin must allow it")]
    Connect {
        /// The name.
        host: String,
        /// What the last address said.
        #[source]
        source: io::Error,
    },
    /// TLS, its certificate included.
    #[error("cannot be sure to talk to {host}: {source}; the credential was not sent")]
    Tls {
        /// The name.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too slow.
    #[error("no connection to {0} within {limit} s", limit = PATIENCE.as_secs())]
    Slow(String),
}

/// One host, and how it is reached.
pub struct Upstream {
    host: String,
    port: u16,
    name: ServerName<'static>,
    header: HeaderValue,
    connector: TlsConnector,
    resolve: Resolve,
}

/// The certificates that the system trusts.
///
/// # Errors
/// If there are none.
pub fn system_roots() -> Result<RootCertStore, BadUpstream> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Certificates that cannot be read are passed over: nobody is trusted for them.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
        return Err(BadUpstream::NoRoots(why));
    }
    Ok(roots)
}

impl Upstream {
    /// `url` is `https://host[:port]`.
    pub fn new(url: &str, roots: RootCertStore, resolve: Resolve) -> Result<Self, BadUpstream> {
        let form = || BadUpstream::Form(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| form())?;
        let authority = uri.authority().ok_or_else(form)?;
        let plain = uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !plain || authority.as_str().contains('@') || authority.host().is_empty() || url.contains('#') {
            return Err(form());
        }
        let port = match authority.as_str().strip_prefix(authority.host()).ok_or_else(form)? {
            "" => PORT,
            _ => authority.port_u16().filter(|port| *port != 0).ok_or_else(form)?,
        };
        let host = authority.host().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| form())?;
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let shown = if port == PORT { shown } else { format!("{shown}:{port}") };
        let header = HeaderValue::from_str(&shown).map_err(|_| form())?;
        Ok(Self { host, port, name, header, connector: connector(roots)?, resolve })
    }

    /// The value of `Host`: its name, and its port if that is not the usual one.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether this is it.
    pub fn is(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case(&self.host) && port.unwrap_or(PORT) == self.port
    }

    /// A connection to it, verified.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let slow = |_| UpstreamError::Slow(self.host.clone());
        timeout(PATIENCE, self.connect_patiently()).await.map_err(slow)?
    }

    async fn connect_patiently(&self) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let host = || self.host.clone();
        let addresses = match self.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => (self.resolve)(host()).await.map_err(|source| UpstreamError::Name { host: host(), source })?,
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect((address, self.port))).await {
                Ok(Ok(stream)) => {
                    // Requests are small, and somebody waits for each.
                    let _ = stream.set_nodelay(true);
                    let tls = self.connector.connect(self.name.clone(), stream).await;
                    return tls.map_err(|source| UpstreamError::Tls { host: host(), source });
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(UpstreamError::Connect { host: host(), source: last })
    }
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, BadUpstream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| BadUpstream::Tls(error.to_string()))?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Result<Upstream, BadUpstream> {
        Upstream::new(url, RootCertStore::empty(), Box::new(|_| Box::pin(async { Ok(vec![]) })))
    }

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for (url, header) in [
            ("https://api.example", "api.example"),
            ("https://API.example/", "api.example"),
            ("https://api.example:443", "api.example"),
            ("https://api.example:8443/", "api.example:8443"),
            ("https://192.0.2.1", "192.0.2.1"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(upstream(url).unwrap().header(), header, "{url}");
        }
        for bad in [
            "",
            "api.example",
            "http://api.example",
            "https://",
            "https://user@api.example",
            "https://user:pass@api.example",
            "https://api.example/v1",
            "https://api.example?x",
            "https://api.example#x",
            "https://api.example:0",
            "https://api.example:99999",
            "https://api.example:",
            "https://api example",
            "https://-.-",
        ] {
            assert_eq!(upstream(bad).err(), Some(BadUpstream::Form(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn it_is_known_by_name_and_port() {
        let upstream = upstream("https://api.example:8443").unwrap();
        assert!(upstream.is("API.example", Some(8443)));
        for (host, port) in
            [("api.example", None), ("api.example", Some(443)), ("x.api.example", Some(8443)), ("", None)]
        {
            assert!(!upstream.is(host, port), "{host} {port:?}");
        }
    }
}
