//! One client's connection: its requests, one after the other, to the upstream.

use super::body::{Answer, Capped, Flowing, Recorded, Sent};
use super::headers::{self, BadHeader, Injected};
use super::own::body;
use super::rules::{Refusal, Rules};
use super::stalled::{Due, STALLED, Stalled};
use super::upstream::{BadUpstream, Resolve, Upstream, UpstreamError};
use crate::plugin::credential::{RedactError, Redactor, Secret};
use crate::plugin::manifest::Http;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::RootCertStore;

/// Bytes of a request without its body. Servers take 8 to 64 KiB.
const HEAD_MAX: usize = 64 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 100;
/// For the headers of a request, and between two.
const IDLE: Duration = Duration::from_secs(120);
/// Bytes of a path that are put on record.
const PATH_MAX: usize = 1024;

/// Puts requests on record. A request that cannot be is not forwarded.
pub type Audit = Box<dyn Fn(&Record<'_>) -> io::Result<()> + Send + Sync>;

/// A request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path as it was sent, without the query, up to 1024 bytes of it.
    pub path: &'a str,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request. A forwarded one is on record twice: before, and after; but before alone, where the client
/// went away without waiting for a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may be forwarded, and is about to be.
    Allowed,
    /// It is not forwarded.
    Refused(Refusal),
    /// It was forwarded, or was about to be, and there is no response.
    Failed(String),
    /// The upstream answered.
    Answered {
        /// Its status.
        status: u16,
        /// Bytes of the request's body.
        sent: u64,
        /// Bytes of the response's body.
        received: u64,
        /// How often the credential was in the response.
        removed: u64,
        /// Whether all of it came, and went to the client.
        whole: bool,
    },
}

/// The plugin cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// See there.
    #[error(transparent)]
    Upstream(#[from] BadUpstream),
    /// See there.
    #[error(transparent)]
    Header(#[from] BadHeader),
    /// See there.
    #[error(transparent)]
    Redact(#[from] RedactError),
}

/// The client's connection broke, or what it sent is no HTTP. It has been answered, where it could be.
#[derive(Debug, thiserror::Error)]
#[error("the client's connection failed: {0}")]
pub struct ServeError(#[from] hyper::Error);

impl ServeError {
    /// Whether what came is no HTTP.
    pub fn is_malformed(&self) -> bool {
        self.0.is_parse()
    }
}

/// There is no response of the upstream's.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("{0} does not speak HTTP as it should: {1}")]
    Http(String, String),
    #[error("{0} has not answered in time: root may raise `timeout` in the plugin's manifest")]
    Late(String),
    #[error("{0} answered with {1}, which cannot be scanned for the credential: ask for something else")]
    Unscannable(String, &'static str),
}

/// Forwards requests to one upstream.
pub struct Forwarder {
    upstream: Upstream,
    rules: Rules,
    injected: Injected,
    redactor: Redactor,
    body_max: u64,
    timeout: Duration,
    audit: Audit,
}

type Connection = Mutex<Option<SendRequest<Capped>>>;

impl Forwarder {
    /// For a manifest. A call may take as long as `timeout`, from its headers to the end of the response.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub fn new(
        http: &Http,
        secret: &Secret,
        timeout: Duration,
        roots: RootCertStore,
        resolve: Resolve,
        audit: Audit,
    ) -> Result<Self, HttpError> {
        // Names of headers come in lower case.
        let lower = Secret::take(&mut secret.expose().to_ascii_lowercase()).map_err(RedactError::from)?;
        Ok(Self {
            upstream: Upstream::new(&http.upstream, roots, resolve)?,
            rules: Rules::of(http),
            injected: Injected::new(&http.header, &http.value, secret)?,
            redactor: Redactor::new(&[secret, &lower])?,
            body_max: http.body_max,
            timeout,
            audit,
        })
    }

    /// Serves one client until it has no more to ask, or takes nothing of its answer, or too long over it. Its requests share a
    /// connection to the upstream.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn serve<S>(self: Arc<Self>, stream: S) -> Result<(), ServeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let connection = Arc::new(Connection::default());
        let due = Due::default();
        let of_request = due.clone();
        let service = service_fn(move |request| {
            // What waits when the call's time is over may be taken yet, as by who takes nothing.
            of_request.set(Instant::now() + self.timeout + STALLED);
            let (forwarder, connection) = (self.clone(), connection.clone());
            async move { Ok::<_, Infallible>(forwarder.answer(request, &connection).await) }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX);
        Ok(http.serve_connection(TokioIo::new(Stalled::new(stream, due)), service).await?)
    }

    pub(super) fn record(&self, method: &str, path: &str, outcome: Outcome) -> io::Result<()> {
        let cut = (0..=PATH_MAX.min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        (self.audit)(&Record { method, path: &path[..cut], outcome })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, connection: &Connection) -> Response<Answer> {
        let deadline = Instant::now() + self.timeout;
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.as_str().to_owned(), parts.uri.path().to_owned());
        let decided = self
            .check(&parts, &body)
            .and_then(|()| self.record(&method, &path, Outcome::Allowed).map_err(|_| Refusal::Unrecorded));
        if let Err(refusal) = decided {
            return self.refuse(&method, &path, refusal);
        }
        let head = parts.method == Method::HEAD;
        let (body, sent) = Capped::new(body, self.body_max);
        let answered = timeout_at(deadline, self.forward(parts, body, connection)).await;
        let answered = answered.unwrap_or_else(|_| Err(Failure::Late(self.name())));
        match answered {
            Ok(response) => self.flow(response, head, deadline, method, path, sent),
            Err(_) if sent.too_long() => self.refuse(&method, &path, Refusal::Body(self.body_max)),
            Err(failure) => {
                // The client is told all the same.
                let _ = self.record(&method, &path, Outcome::Failed(failure.to_string()));
                let status = if matches!(failure, Failure::Late(_)) { 504 } else { 502 };
                own(status, "rcc_failed", &failure.to_string())
            }
        }
    }

    /// Whether the request may be forwarded, before anything of it is.
    fn check(&self, parts: &Parts, body: &Incoming) -> Result<(), Refusal> {
        let (uri, headers) = (&parts.uri, &parts.headers);
        let elsewhere = || Refusal::Elsewhere { upstream: self.name() };
        if parts.method == Method::CONNECT {
            return Err(Refusal::Method(parts.method.to_string()));
        }
        if let Some(authority) = uri.authority() {
            let named = self.upstream.is(authority.host(), authority.port_u16());
            if !named || authority.as_str().contains('@') || !matches!(uri.scheme_str(), Some("http" | "https")) {
                return Err(elsewhere());
            }
        }
        let asks_upgrade =
            |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().windows(7).any(|w| w == b"upgrade");
        if headers.contains_key(UPGRADE) || headers.get_all(CONNECTION).iter().any(asks_upgrade) {
            return Err(Refusal::Upgrade);
        }
        self.rules.decide(parts.method.as_str(), uri.path())?;
        if body.size_hint().lower() > self.body_max {
            return Err(Refusal::Body(self.body_max));
        }
        Ok(())
    }

    async fn forward(
        &self,
        parts: Parts,
        body: Capped,
        connection: &Connection,
    ) -> Result<Response<Incoming>, Failure> {
        let target = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = Uri::from(target);
        *request.headers_mut() = parts.headers;
        headers::for_upstream(request.headers_mut(), self.upstream.header(), &self.injected);
        let response = self.send(request, connection).await?;
        self.check_response(&response)?;
        Ok(response)
    }

    /// Over the connection that is there, if it still is: a request of which nothing was sent is sent over another.
    async fn send(&self, mut request: Request<Capped>, slot: &Connection) -> Result<Response<Incoming>, Failure> {
        let mut slot = slot.lock().await;
        let http = |error: &hyper::Error| Failure::Http(self.name(), because(error));
        if let Some(mut sender) = slot.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    *slot = Some(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(http(error.error())),
                },
            }
        }
        let stream = self.upstream.connect().await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| http(&error))?;
        // It ends with its sender, or with the body of the last response. How it fails, the request is told.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| http(&error))?;
        *slot = Some(sender);
        Ok(response)
    }

    fn check_response(&self, response: &Response<Incoming>) -> Result<(), Failure> {
        let unscannable = |what| Err(Failure::Unscannable(self.name(), what));
        let identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => return unscannable("another protocol"),
            StatusCode::PARTIAL_CONTENT => return unscannable("a part of what was asked for"),
            _ => {}
        }
        if response.headers().get_all(CONTENT_ENCODING).iter().all(identity) {
            Ok(())
        } else {
            unscannable("a compressed body")
        }
    }

    fn flow(
        self: Arc<Self>,
        response: Response<Incoming>,
        head: bool,
        deadline: Instant,
        method: String,
        path: String,
        sent: Arc<Sent>,
    ) -> Response<Answer> {
        let (mut parts, incoming) = response.into_parts();
        let removed = headers::for_client(&mut parts.headers, &self.redactor);
        if !head {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let redactor = self.redactor.another();
        let recorded = Recorded { forwarder: self, method, path, status: parts.status.as_u16(), sent, removed };
        let flowing = Flowing::new(incoming, redactor, deadline, recorded);
        // A new one: of the old one there is also the reason phrase, which would be written as it came.
        let mut answer = Response::new(Answer::Upstreams(Box::new(flowing)));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        answer
    }

    fn refuse(&self, method: &str, path: &str, refusal: Refusal) -> Response<Answer> {
        let (status, text) = (refusal.status(), refusal.to_string());
        // It is not forwarded, whether that is on record or not.
        let _ = self.record(method, path, Outcome::Refused(refusal));
        own(status, "rcc_refused", &text)
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(self.upstream.header().as_bytes()).into_owned()
    }
}

fn own(status: u16, kind: &str, message: &str) -> Response<Answer> {
    let mut response = Response::new(Answer::Own(Some(Bytes::from(body(kind, message)))));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error and what caused it.
fn because(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
