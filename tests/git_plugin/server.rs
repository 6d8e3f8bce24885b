//! `git http-backend` behind TLS and a password.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// What nobody but the broker's side may ever see.
pub const TOKEN: &str = "canary-5e9d27c0b1";
pub const USER: &str = "x-access-token";

/// A server on a port of the loopback.
pub struct Server {
    pub port: u16,
    /// Method, path and whether the credential was right, for each request.
    pub requests: Arc<Mutex<Vec<(String, String, bool)>>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl Server {
    /// Serves the repositories below `root` with the certificate in `keys`. Below `/old/` it does not speak
    /// version 2; below `/elsewhere/` it redirects.
    pub fn start(root: &Path, keys: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(keys.join("server.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(keys.join("server.key")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (root, seen) = (root.to_owned(), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, root, seen) = (Arc::clone(&config), root.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let _ = serve(&mut stream, &root, &seen);
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        Self { port, requests }
    }
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

fn serve(stream: &mut Stream, root: &PathBuf, seen: &Mutex<Vec<(String, String, bool)>>) -> io::Result<()> {
    let request = read(stream)?;
    let authorized = request.header("authorization") == format!("Basic {}", base64(&format!("{USER}:{TOKEN}")));
    seen.lock().unwrap().push((request.method.clone(), request.path.clone(), authorized));
    if request.path.starts_with("/elsewhere/") {
        return write!(stream, "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n");
    }
    if !authorized {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(head.as_bytes());
    }
    if request.path.ends_with("/info/refs") && request.query == "service=git-receive-pack" {
        move_before_push(&root.join(request.path.trim_start_matches('/').trim_end_matches("/info/refs")));
    }
    let mut backend = Command::new("git");
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("PATH_INFO", &request.path).env("QUERY_STRING", &request.query).env("REMOTE_USER", USER);
    backend.env("REQUEST_METHOD", &request.method).env("CONTENT_TYPE", request.header("content-type"));
    backend.env("HTTP_CONTENT_ENCODING", request.header("content-encoding"));
    backend.env("CONTENT_LENGTH", request.body.len().to_string()).env("GIT_CONFIG_NOSYSTEM", "1");
    if !request.path.starts_with("/old/") {
        backend.env("GIT_PROTOCOL", request.header("git-protocol"));
    }
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut input = child.stdin.take().unwrap();
    let body = request.body;
    std::thread::spawn(move || input.write_all(&body));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut status, mut head) = ("200 OK".to_owned(), String::new());
    loop {
        let mut line = String::new();
        output.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line if line.starts_with("Status: ") => status = line["Status: ".len()..].to_owned(),
            line => head.push_str(&format!("{line}\r\n")),
        }
    }
    write!(stream, "HTTP/1.1 {status}\r\n{head}Connection: close\r\n\r\n")?;
    io::copy(&mut output, stream)?;
    child.wait()?;
    Ok(())
}

/// Where a repository's file `before-push` says so (a ref and an object), somebody else was faster.
fn move_before_push(repository: &Path) {
    if let Ok(update) = std::fs::read_to_string(repository.join("before-push")) {
        let (refname, object) = update.split_once(' ').unwrap();
        let mut git = Command::new("git");
        assert!(git.args(["update-ref", refname, object]).env("GIT_DIR", repository).status().unwrap().success());
    }
}

fn read(stream: &mut Stream) -> io::Result<Request> {
    let mut from = BufReader::new(&mut *stream);
    let mut line = String::new();
    from.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((key.to_lowercase(), value.to_owned()));
    }
    let mut request = Request { method, path, query, headers, body: Vec::new() };
    if request.header("expect") == "100-continue" {
        from.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            from.by_ref().take(length).read_to_end(&mut request.body)?;
            from.read_line(&mut line)?;
            if length == 0 {
                break;
            }
        }
    } else if let Ok(length) = request.header("content-length").parse::<u64>() {
        from.by_ref().take(length).read_to_end(&mut request.body)?;
    }
    Ok(request)
}

/// RFC 4648, 4.
pub fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().enumerate().fold(0_u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            encoded.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    encoded
}
