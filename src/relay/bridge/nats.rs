//! The cluster: one stream for all hosts, and one consumer for each.

use super::Fault;
use super::parcel::{self, Subjects};
use crate::relay::name::{HostName, MessageId};
use crate::relay::policy;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// For a connection, with TLS and authentication.
const CONNECT: Duration = Duration::from_secs(10);
/// For an answer of JetStream.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of a message that its headers may take.
const HEADERS: usize = 1024;
/// Messages between two hosts that the stream holds; what is beyond waits in the sender's relay.
const HELD_MAX: i64 = 100_000;
/// Bytes of all of them.
const HELD_BYTES_MAX: i64 = 1 << 30;
/// A message that was not acknowledged comes again after this time.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a file with credentials.
const CREDENTIALS_MAX: u64 = 64 << 10;

/// A connection to the cluster. It ends with the first trouble; the next round makes another one.
pub(super) struct Nats {
    client: Client,
    context: Context,
    stream: String,
    pub subjects: Subjects,
    secret: [u8; 16],
}

/// What became of a publication.
pub(super) enum Published {
    /// It is in the stream.
    Kept,
    /// It never fits.
    TooLarge(String),
    /// The server does not take it now: not from here, or not to there.
    Refused(String),
}

impl Nats {
    /// Connects. `lost` is told when the connection breaks.
    pub async fn connect(cluster: &policy::Cluster, secret: [u8; 16], lost: Arc<Notify>) -> Result<Self, Fault> {
        let all_tls = cluster.servers.iter().all(|server| server.starts_with("tls://"));
        let mut options = match &cluster.credentials {
            Some(path) => credentials(path)?,
            None => ConnectOptions::new(),
        };
        if let Some(ca) = &cluster.ca {
            options = options.add_root_certificates(ca.clone());
        }
        let options = options
            .name(format!("rcc relay {}", cluster.host))
            .custom_inbox_prefix(format!("_INBOX.{}.{}", cluster.prefix, cluster.host))
            .require_tls(all_tls)
            // Those come without a scheme, and so without TLS.
            .ignore_discovered_servers()
            .connection_timeout(CONNECT)
            .request_timeout(Some(ANSWER))
            .ping_interval(ANSWER)
            .max_reconnects(1)
            .event_callback(move |event| {
                let lost = lost.clone();
                async move {
                    match event {
                        Event::Disconnected | Event::Closed | Event::LameDuckMode => lost.notify_one(),
                        Event::ServerError(error) => tracing::warn!("NATS: {}", crate::shown::text(&error.to_string())),
                        _ => {}
                    }
                }
            });
        let client = options.connect(cluster.servers.clone()).await.map_err(|error| nats("reach", &error))?;
        let context = ContextBuilder::new().timeout(ANSWER).build(client.clone());
        let subjects = Subjects::new(&cluster.prefix, &cluster.host);
        Ok(Self { client, context, stream: cluster.prefix.clone(), subjects, secret })
    }

    /// Bytes that a message may have.
    pub fn payload_max(&self) -> usize {
        self.client.server_info().max_payload.saturating_sub(HEADERS)
    }

    /// Makes the stream where there is none. One that is there is used as it is: how many servers keep it, and how
    /// much, is its maker's choice.
    pub async fn open(&self, host: &HostName, max_age: Duration) -> Result<Consumer<pull::Config>, Fault> {
        let found = match self.context.get_stream(&self.stream).await {
            Err(error) if missing(&error.kind()) => {
                self.context.create_stream(self.config(max_age)).await.map_err(|error| nats("make a stream in", &error))
            }
            found => found.map_err(|error| nats("find the stream of", &error)),
        };
        let stream = found?;
        let config = pull::Config {
            durable_name: Some(host.to_string()),
            description: Some(format!("rcc: messages to {host}")),
            filter_subject: self.subjects.inbound(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // The next one comes when this one is settled: whatever breaks, they come in their order.
            max_ack_pending: 1,
            ..Default::default()
        };
        stream.create_consumer(config).await.map_err(|error| nats("make a consumer in", &error))
    }

    fn config(&self, max_age: Duration) -> Config {
        Config {
            name: self.stream.clone(),
            description: Some("rcc: messages between hosts".to_owned()),
            subjects: vec![self.subjects.all()],
            // What arrived is gone. What is too much is refused, and waits where it comes from.
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_messages_per_subject: HELD_MAX,
            max_bytes: HELD_BYTES_MAX,
            max_age,
            storage: StorageType::File,
            num_replicas: 1,
            ..Default::default()
        }
    }

    /// Publishes, and waits until the stream has it.
    pub async fn publish(&self, to: &HostName, id: &MessageId, payload: Vec<u8>) -> Result<Published, Fault> {
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(parcel::publication(&self.secret, id))
            .expected_stream(&self.stream);
        let sent = match self.context.send_publish(self.subjects.to(to), message).await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        let Err(error) = sent else { return Ok(Published::Kept) };
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Ok(Published::TooLarge(error.to_string())),
            // Publications that are not allowed are not answered at all. Whether it is that is known by asking
            // something else.
            _ => match self.context.get_stream(&self.stream).await {
                Ok(_) => Ok(Published::Refused(error.to_string())),
                Err(error) => Err(nats("reach the stream of", &error)),
            },
        }
    }
}

fn missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

pub(super) fn nats(attempt: &'static str, error: &dyn std::error::Error) -> Fault {
    let mut why = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        next = source.source();
    }
    Fault::Nats { attempt, why }
}

/// A file that nsc(1) makes (`.creds`), or the seed of an nkey alone.
fn credentials(path: &Path) -> Result<ConnectOptions, Fault> {
    let fail = |why: String| Fault::Credentials { path: path.to_owned(), why };
    let read = || -> std::io::Result<(u32, String)> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = std::fs::File::options().read(true).custom_flags(flags).open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = String::new();
        file.take(CREDENTIALS_MAX).read_to_string(&mut text)?;
        Ok((mode, text))
    };
    let (mode, text) = read().map_err(|error| fail(error.to_string()))?;
    if mode & 0o077 != 0 {
        return Err(fail(format!("others may use it (mode {:03o}): `chmod 600` it", mode & 0o777)));
    }
    if text.contains("-----BEGIN NATS USER JWT-----") {
        return ConnectOptions::with_credentials(&text).map_err(|error| fail(error.to_string()));
    }
    let seed = text.trim();
    let is_seed = seed.starts_with("SU") && seed.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if is_seed {
        Ok(ConnectOptions::with_nkey(seed.to_owned()))
    } else {
        Err(fail("it has neither a user's JWT and seed (.creds) nor a user's nkey seed (SU...)".to_owned()))
    }
}
