//! The one call of Podman's own API: its form of Docker's import leaves a copy of the archive among the temporary files
//! (seen in 4.3.1), and its own does not.

use crate::shown;
use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::UnixStream;

/// Every Podman of version 4 and 5 speaks it.
const IMPORT: &str = "/v4.0.0/libpod/images/import";
/// An answer is no longer than this, in octets.
const ANSWER_MAX: usize = 64 << 10;

/// What Podman says when it refuses.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

/// An archive as the body of a request, which is not whole if the archive ends by an error.
struct Archive<S>(Pin<Box<S>>);

impl<S: Stream<Item = io::Result<Bytes>>> Body for Archive<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.as_mut().poll_next(context).map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }
}

/// Makes an image of an archive of its files. What went wrong is in words, escaped.
pub(super) async fn import(
    socket: &Path,
    archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    name: &str,
    change: &str,
    message: &str,
) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| shown::text(&error.to_string());
    let stream = UnixStream::connect(socket).await.map_err(|error| words(&error))?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| words(&error))?;
    let connection = tokio::spawn(connection);
    let (name, change, message) = (encoded(name), encoded(change), encoded(message));
    let request = Request::post(format!("{IMPORT}?reference={name}&changes={change}&message={message}"))
        .header(header::HOST, "engine")
        .header(header::CONTENT_TYPE, "application/x-tar")
        .body(Archive(Box::pin(archive)))
        .map_err(|error| words(&error))?;
    let response = sender.send_request(request).await.map_err(|error| words(&error))?;
    let status = response.status();
    let answer = read(response.into_body()).await.map_err(|error| words(&error))?;
    connection.abort();
    if status.is_success() {
        return Ok(());
    }
    let refusal: Refusal = serde_json::from_slice(&answer).unwrap_or_default();
    Err(shown::text(&refusal.message.chars().take(2000).collect::<String>()))
}

async fn read(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if bytes.len() + data.len() > ANSWER_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// As a part of a URL (RFC 3986, 2.1).
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_in_a_url() {
        assert_eq!(encoded("LABEL a=b&c"), "LABEL%20a%3Db%26c");
        assert_eq!(encoded("localhost/rcc:0.1.0"), "localhost%2Frcc%3A0.1.0");
    }
}
