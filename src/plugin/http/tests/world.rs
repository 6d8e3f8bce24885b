//! An upstream with a certificate of a private authority, a forwarder to it, and a client that writes bytes.

use crate::plugin::credential::Secret;
use crate::plugin::http::{Forwarder, Outcome};
use crate::plugin::manifest::{Http, HttpRule};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

pub const CANARY: &str = "canary-SGVsbG8_7d1f";
pub const BODY_MAX: u64 = 1000;
/// For whatever should not take long.
const SOON: Duration = Duration::from_secs(20);

/// What the upstream does with a request.
pub enum Step {
    Send(Vec<u8>),
    Wait(Arc<Notify>),
    Hang,
    Close,
}

type Answers = Arc<dyn Fn(&str) -> Vec<Step> + Send + Sync>;

pub struct World {
    pub forwarder: Arc<Forwarder>,
    seen: Arc<Mutex<Vec<String>>>,
    records: Arc<Mutex<Vec<(String, Outcome)>>>,
    connections: Arc<AtomicUsize>,
    pub unrecordable: Arc<AtomicBool>,
}

/// How a world differs from the usual one.
pub struct Twist {
    /// The name in the upstream's certificate.
    pub certified: &'static str,
    /// Whether the forwarder trusts the upstream's authority.
    pub trusted: bool,
    pub timeout: Duration,
}

impl Default for Twist {
    fn default() -> Self {
        Self { certified: "api.example", trusted: true, timeout: SOON }
    }
}

/// Runs a test, for a while at most.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON * 2, test).await.expect("it hangs") })
}

/// The body that is in these chunks.
pub fn unchunked(mut chunks: &str) -> String {
    let mut body = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&rest[..length]);
        chunks = rest[length..].strip_prefix("\r\n").unwrap();
    }
    body
}

/// An answer with a body of known length.
pub fn ok(headers: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    vec![Step::Send([head.as_bytes(), body.as_bytes()].concat())]
}

impl World {
    pub async fn new(answers: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::twisted(Twist::default(), answers).await
    }

    pub async fn twisted(twist: Twist, answers: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let issuer = authority();
        let acceptor = acceptor(&issuer, twist.certified);
        let trusted = if twist.trusted { issuer } else { authority() };
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let http = manifest(listener.local_addr().unwrap().port());
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(upstream(listener, acceptor, Arc::new(answers), seen.clone(), connections.clone()));
        let records = Arc::new(Mutex::new(Vec::new()));
        let unrecordable = Arc::new(AtomicBool::new(false));
        let (log, full) = (records.clone(), unrecordable.clone());
        let forwarder = Forwarder::new(
            &http,
            &Secret::take(&mut CANARY.as_bytes().to_vec()).unwrap(),
            twist.timeout,
            roots,
            Box::new(|host| {
                assert_eq!(host, "api.example");
                // Nobody listens at the first one.
                Box::pin(async { Ok(vec![Ipv4Addr::new(127, 0, 0, 9).into(), Ipv4Addr::LOCALHOST.into()]) })
            }),
            Box::new(move |record| {
                if full.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                log.lock().unwrap().push((format!("{} {}", record.method, record.path), record.outcome.clone()));
                Ok(())
            }),
        );
        Self { forwarder: Arc::new(forwarder.unwrap()), seen, records, connections, unrecordable }
    }

    /// A connection of a client's.
    pub fn client(&self) -> UnixStream {
        let (client, server) = UnixStream::pair().unwrap();
        tokio::spawn(self.forwarder.clone().serve(server));
        client
    }

    /// What a client gets for these bytes, until the connection is closed or nothing has come for a while.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.client();
        client.write_all(request.as_ref()).await.unwrap();
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(count @ 1..)) =
            tokio::time::timeout(Duration::from_millis(1500), client.read(&mut buffer)).await
        {
            got.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&got).into_owned()
    }

    /// The requests that the upstream read, each with its body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn records(&self) -> Vec<(String, Outcome)> {
        self.records.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn manifest(port: u16) -> Http {
    let rule = |methods: &[&str], path: &str| HttpRule {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        path: path.to_owned(),
    };
    Http {
        upstream: format!("https://api.example:{port}"),
        header: "authorization".to_owned(),
        value: "Bearer {}".to_owned(),
        credential: "token".to_owned(),
        allowed: vec![rule(&["GET", "HEAD", "POST"], "/v1")],
        blocked: vec![rule(&[], "/v1/admin")],
        body_max: BODY_MAX,
        ca: None,
        port: None,
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    let chain = vec![CertificateDer::from(certificate)];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

async fn upstream(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answers: Answers,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, answers, seen) = (acceptor.clone(), answers.clone(), seen.clone());
        connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(stream).await else { return };
            let mut stream = BufReader::new(tls);
            while let Some(request) = read(&mut stream).await {
                seen.lock().unwrap().push(request.clone());
                for step in answers(&request) {
                    match step {
                        Step::Send(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.flush().await;
                        }
                        Step::Wait(notify) => notify.notified().await,
                        Step::Hang => std::future::pending().await,
                        Step::Close => return drop(stream.shutdown().await),
                    }
                }
            }
        });
    }
}

/// One whole request by the strict reading of RFC 9112: a chunked one in any other form is not read at all.
async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut request = String::new();
    loop {
        let before = request.len();
        if stream.read_line(&mut request).await.ok()? == 0 {
            return None;
        }
        if &request[before..] == "\r\n" {
            break;
        }
    }
    let head = request.to_ascii_lowercase();
    let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    match (length, head.contains("\r\ntransfer-encoding: chunked\r\n")) {
        (None, false) => {}
        (Some(length), false) => {
            let mut body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).await.ok()?;
            request.push_str(&String::from_utf8_lossy(&body));
        }
        (None, true) => loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
            let mut body = vec![0; length + 2];
            stream.read_exact(&mut body).await.ok()?;
            request.push_str(&String::from_utf8_lossy(&body[..length]));
            if length == 0 {
                break;
            }
        },
        (Some(_), true) => panic!("two lengths reached the upstream: {request}"),
    }
    Some(request)
}
