//! One call after the other of an engine's HTTP API, over its unix socket.

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// An answer is no longer than this, in octets: a container's description has some tens of thousands.
const ANSWER_MAX: usize = 8 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The engine cannot be spoken to.
    #[error("cannot talk to the engine at {}: {source}", socket.display())]
    Connection {
        /// Where.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("the engine refuses to {what}: {said} (status {status})")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// The status of HTTP.
        status: u16,
        /// Its words.
        said: String,
    },
    /// It answered something else than its API says.
    #[error("the engine's answer is not understood, when it was to {what}: {source}")]
    Answer {
        /// What was asked of it.
        what: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// What both APIs of Podman say when they refuse.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    cause: String,
}

/// An engine's API.
#[derive(Debug)]
pub struct Api {
    runtime: Runtime,
    socket: PathBuf,
    patience: Duration,
}

impl Api {
    /// The API behind this socket, which may take so long for one call. Nothing is said yet. It starts no thread.
    pub fn new(socket: PathBuf, patience: Duration) -> io::Result<Self> {
        Ok(Self { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?, socket, patience })
    }

    /// Asks for something; the answer, where there must be one.
    pub fn get<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, ApiError> {
        let answer = self.call(what, Method::GET, path, None)?;
        serde_json::from_slice(&answer).map_err(|source| ApiError::Answer { what, source })
    }

    /// Has something made; the answer, where there must be one.
    pub fn make<T: DeserializeOwned>(&self, what: &'static str, path: &str, body: &Value) -> Result<T, ApiError> {
        let answer = self.call(what, Method::POST, path, Some(body))?;
        serde_json::from_slice(&answer).map_err(|source| ApiError::Answer { what, source })
    }

    /// Orders something of which only the success matters.
    pub fn order(&self, what: &'static str, path: &str) -> Result<(), ApiError> {
        self.call(what, Method::POST, path, None).map(drop)
    }

    /// Has something removed.
    pub fn delete(&self, what: &'static str, path: &str) -> Result<(), ApiError> {
        self.call(what, Method::DELETE, path, None).map(drop)
    }

    fn call(&self, what: &'static str, method: Method, path: &str, body: Option<&Value>) -> Result<Vec<u8>, ApiError> {
        let connection = |source| ApiError::Connection { socket: self.socket.clone(), source };
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(header::HOST, "engine");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let request = request.map_err(|error| connection(io::Error::other(error)))?;
        let exchange = async { tokio::time::timeout(self.patience, self.exchange(request)).await };
        let slow = || io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
        let (status, answer) =
            self.runtime.block_on(exchange).map_err(|_| slow()).and_then(|result| result).map_err(connection)?;
        if (200..300).contains(&status) || status == 304 {
            return Ok(answer);
        }
        let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
        let said = if refusal.message.is_empty() { refusal.cause } else { refusal.message };
        Err(ApiError::Refused { what, status, said: crate::shown::text(&said).to_string() })
    }

    async fn exchange(&self, request: Request<String>) -> io::Result<(u16, Vec<u8>)> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            Ok((response.status().as_u16(), read(response.into_body()).await?))
        };
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        tokio::select! {
            answer = &mut answer => answer,
            // All that comes has come.
            _ = &mut connection => answer.await,
        }
    }
}

async fn read(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    /// An engine that answers one call so.
    fn answering(answer: &str) -> (tempfile::TempDir, Api, std::thread::JoinHandle<String>) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine");
        let listener = UnixListener::bind(&socket).unwrap();
        let answer = answer.to_owned();
        let asked = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (directory, Api::new(socket, Duration::from_secs(60)).unwrap(), asked)
    }

    #[test]
    fn an_answer_is_read_and_the_question_was_what_was_asked() {
        let (_directory, api, asked) = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\": 1}\n");
        let answer: Value = api.get("tell", "/v4.0.0/libpod/info").unwrap();
        assert_eq!(answer["a"], 1);
        assert!(asked.join().unwrap().starts_with("GET /v4.0.0/libpod/info HTTP/1.1\r\n"));
    }

    #[test]
    fn a_refusal_is_told_in_the_engines_words() {
        let (_directory, api, asked) = answering(
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 45\r\n\r\n{\"cause\":\"a\",\"message\":\"no space left\\u0007\"}",
        );
        let error = api.order("start it", "/x").unwrap_err();
        assert!(matches!(&error, ApiError::Refused { status: 500, said, .. } if said.starts_with("no space left")));
        assert!(!error.to_string().contains('\u{7}'));
        asked.join().unwrap();
    }

    #[test]
    fn an_engine_is_not_waited_for_longer_than_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine");
        let _silent = UnixListener::bind(&socket).unwrap();
        let error = Api::new(socket, Duration::from_millis(20)).unwrap().order("start it", "/x").unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
    }

    #[test]
    fn an_engine_that_hangs_up_is_no_answer() {
        let (_directory, api, asked) = answering("");
        assert!(matches!(api.order("start it", "/x"), Err(ApiError::Connection { .. })));
        asked.join().unwrap();
    }
}
