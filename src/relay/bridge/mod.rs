//! The bridge: a process of its own between a relay, which has no network, and a NATS cluster with JetStream.
//!
//! ```text
//! sender ─ relay ─ outbox (its store) ─ bridge ─ PREFIX.FROM.TO in a stream ─ bridge ─ relay (its policy) ─ receiver
//!                        └── acknowledged when the stream has it ──┘  └── acknowledged when the relay has it ──┘
//! ```
//!
//! It holds nothing that is not also on disk on one of its sides. So it works in rounds: with the first trouble of any
//! kind everything is dropped, and the next round begins anew with what was not acknowledged.

mod nats;
mod parcel;
mod wire;

use super::daemon::Load;
use super::name::HostName;
use super::policy::{Cluster, Policy};
use super::wire::answer::{Acked, Linked, Sent, Subscribed};
use super::wire::{Ack, Link, Message, Reason, Refusal, Request, Subscribe};
use crate::moment::Moment;
use crate::shown;
use async_nats::jetstream::AckKind;
use futures_util::StreamExt;
use nats::{Nats, Published};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;
use wire::Relay;

/// Between two rounds, at first.
const AGAIN: Duration = Duration::from_secs(1);
/// And at most.
const AGAIN_MAX: Duration = Duration::from_secs(15);
/// After so long a host that NATS does not let through is tried again.
const STUCK: Duration = Duration::from_secs(60);
/// Messages that are acknowledged together.
const BATCH: usize = 100;
/// For them all: the relay hangs up on who takes nothing for a minute.
const BATCH_TIME: Duration = Duration::from_secs(5);
/// How long NATS holds back its answer while there is nothing, and how often it says that it is there.
const PULL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// What the bridge needs.
pub struct Start {
    /// The relay's socket for the host's programs.
    pub socket: PathBuf,
    /// The relay's policy.
    pub load: Load,
}

/// Why there is no bridge.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BridgeError {
    /// It would run as root.
    #[error("the bridge runs as the relay's own user, which is never root")]
    #[diagnostic(help(
        "`systemctl start rcc-relay-bridge` starts that of the system's relay, where `rcc relay install --system` has set it up"
    ))]
    Root,
    /// The policy.
    #[error("the relay's policy cannot be read: {0}")]
    Policy(Box<dyn std::error::Error + Send + Sync>),
    /// Nothing to bridge.
    #[error("this relay belongs to no cluster")]
    #[diagnostic(help("[relay.cluster] in the configuration makes it one of several hosts'"))]
    NoCluster,
    /// The process.
    #[error("cannot {attempt}: {source}")]
    Host {
        /// What was attempted.
        attempt: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Why a round ended.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot talk to the relay: {0}")]
    Relay(#[source] io::Error),
    #[error("the relay refuses: {0}")]
    Refused(Refusal),
    #[error("the relay is {relay} in its cluster, and the configuration says {configured}: start both again")]
    Renamed { relay: HostName, configured: HostName },
    #[error("cannot {attempt} NATS: {why}")]
    Nats { attempt: &'static str, why: String },
    #[error("cannot use the credentials in {}: {why}", shown::terminal(path))]
    Credentials { path: PathBuf, why: String },
    #[error("the connection to NATS broke")]
    Lost,
    /// What could not be sent is tried again.
    #[error("some messages wait")]
    Again,
}

/// Carries messages until it is killed, which loses none.
///
/// # Errors
/// Why it does not start.
pub fn run(start: &Start) -> Result<(), BridgeError> {
    if rustix::process::geteuid().is_root() {
        return Err(BridgeError::Root);
    }
    serve(start)
}

pub(super) fn serve(start: &Start) -> Result<(), BridgeError> {
    let host = |attempt| move |source| BridgeError::Host { attempt, source };
    let mut secret = [0; 16];
    getrandom(&mut secret, GetRandomFlags::empty())
        .map_err(|errno| host("get random numbers")(io::Error::from(errno)))?;
    let policy = (start.load)().map_err(BridgeError::Policy)?;
    let cluster = policy.cluster.clone().ok_or(BridgeError::NoCluster)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(host("start the loop"))?;
    LocalSet::new().block_on(&runtime, rounds(start, &policy, &cluster, secret))
}

async fn rounds(start: &Start, policy: &Policy, cluster: &Cluster, secret: [u8; 16]) -> Result<(), BridgeError> {
    let (mut pause, mut told) = (AGAIN, String::new());
    loop {
        let mut linked = false;
        let fault = round(start, policy, cluster, secret, &mut linked).await;
        let why = fault.to_string();
        if linked {
            (pause, told) = (AGAIN, String::new());
        }
        match fault {
            Fault::Again => continue,
            // Once is enough for a trouble that stays.
            _ if why == told => {}
            _ => tracing::warn!("{}; trying again", shown::text(&why)),
        }
        told = why;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN_MAX);
    }
}

/// Until something breaks.
async fn round(start: &Start, policy: &Policy, cluster: &Cluster, secret: [u8; 16], linked: &mut bool) -> Fault {
    let mut tasks = match begin(start, policy, cluster, secret).await {
        Ok(tasks) => tasks,
        Err(fault) => return fault,
    };
    *linked = true;
    tracing::info!("linked with the other hosts as {}", cluster.host);
    match tasks.join_next().await {
        Some(Ok(fault)) => fault,
        // The others end when they are dropped.
        Some(Err(error)) => Fault::Relay(io::Error::other(error)),
        None => Fault::Lost,
    }
}

async fn begin(start: &Start, policy: &Policy, cluster: &Cluster, secret: [u8; 16]) -> Result<JoinSet<Fault>, Fault> {
    let lost = Arc::new(Notify::new());
    let nats = Rc::new(Nats::connect(cluster, secret, lost.clone()).await?);
    let consumer = nats.open(&cluster.host, policy.limits.message_expiry).await?;
    let messages = consumer.stream().max_messages_per_batch(1).expires(PULL.0).heartbeat(PULL.1).messages().await;
    let messages = messages.map_err(|error| nats::nats("ask for messages of", &error))?;
    let link = Request::Link(Link { payload: Some(nats.payload_max() as u64) });
    let (mut from, mut to) = (Relay::connect(&start.socket).await?, Relay::connect(&start.socket).await?);
    let Linked { host, message_size } = from.ask(&link).await?;
    if host != cluster.host {
        return Err(Fault::Renamed { relay: host, configured: cluster.host.clone() });
    }
    let _: Linked = to.ask(&link).await?;
    // The only bridge is who may do this: before nothing is carried.
    let _: Subscribed = from.ask(&Request::Subscribe(Subscribe {})).await?;
    let mut tasks = JoinSet::new();
    let own = cluster.host.clone();
    tasks.spawn_local(outbound(from, nats.clone(), own));
    tasks.spawn_local(inbound(to, messages, nats, message_size));
    tasks.spawn_local(async move {
        lost.notified().await;
        Fault::Lost
    });
    Ok(tasks)
}

/// What goes to other hosts, one after the other.
async fn outbound(mut relay: Relay, nats: Rc<Nats>, own: HostName) -> Fault {
    let mut stuck = Stuck::default();
    loop {
        if let Err(fault) = deliver(&mut relay, &nats, &own, &mut stuck).await {
            return fault;
        }
    }
}

/// Hosts to which NATS lets nothing through. What is for them stays in the outbox, in its order; what is for others
/// does not wait for it.
#[derive(Default)]
struct Stuck {
    hosts: HashSet<HostName>,
    until: Option<Instant>,
}

async fn deliver(relay: &mut Relay, nats: &Nats, own: &HostName, stuck: &mut Stuck) -> Result<(), Fault> {
    let first = match stuck.until {
        None => relay.message().await?,
        Some(until) if until <= Instant::now() => return Err(Fault::Again),
        Some(until) => tokio::time::timeout_at(until, relay.message()).await.map_err(|_| Fault::Again)??,
    };
    let (mut next, begun) = (Some(first), Instant::now());
    let (mut done, mut looked) = (Vec::new(), 0);
    while let Some(message) = next {
        let id = message.id.clone();
        if publish(message, nats, own, stuck).await? {
            done.push(id);
        }
        looked += 1;
        next = if looked < BATCH && begun.elapsed() < BATCH_TIME { relay.ready()? } else { None };
    }
    if !done.is_empty() {
        let _: Acked = relay.ask(&Request::Ack(Ack { ids: done })).await?;
    }
    Ok(())
}

/// Whether the message is on its way.
async fn publish(message: Message, nats: &Nats, own: &HostName, stuck: &mut Stuck) -> Result<bool, Fault> {
    let (id, to) = (message.id.clone(), message.to.host.clone());
    let Some(to) = to.filter(|to| !stuck.hosts.contains(to)) else { return Ok(false) };
    if message.expires <= Moment::now() {
        // The relay drops it, and says so in its audit.
        return Ok(false);
    }
    match nats.publish(&to, &id, parcel::pack(message, own, &to)).await? {
        Published::Kept => Ok(true),
        Published::TooLarge(why) => {
            tracing::error!("{id} stays until its time is over: {}", shown::text(&why));
            Ok(false)
        }
        Published::Refused(why) => {
            tracing::warn!("messages to {to} wait, as NATS does not take {id}: {}", shown::text(&why));
            stuck.hosts.insert(to);
            stuck.until.get_or_insert_with(|| Instant::now() + STUCK);
            Ok(false)
        }
    }
}

/// What comes from other hosts.
async fn inbound(
    mut relay: Relay,
    mut messages: async_nats::jetstream::consumer::pull::Stream,
    nats: Rc<Nats>,
    longest: usize,
) -> Fault {
    loop {
        let message = match messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return nats::nats("get messages of", &error),
            None => return Fault::Lost,
        };
        let settled = match take(&mut relay, &nats, &message, longest).await {
            Ok(kind) => message.ack_with(kind).await,
            Err(fault) => {
                // Soon again; if this does not arrive, a moment later.
                let _ = message.ack_with(AckKind::Nak(Some(AGAIN))).await;
                return fault;
            }
        };
        if let Err(error) = settled {
            return Fault::Nats { attempt: "acknowledge a message to", why: error.to_string() };
        }
    }
}

/// Gives a message to the relay; how it is settled.
async fn take(
    relay: &mut Relay,
    nats: &Nats,
    message: &async_nats::jetstream::Message,
    longest: usize,
) -> Result<AckKind, Fault> {
    let subject = shown::text(message.subject.as_str());
    let unpacked = nats.subjects.sender(message.subject.as_str()).ok_or_else(|| "no host sends there".to_owned());
    let unpacked = unpacked.and_then(|from| Ok((from, nats.subjects.unpack(&message.payload)?)));
    let (from, message) = match unpacked {
        Ok(unpacked) => unpacked,
        Err(why) => {
            tracing::warn!("what came by {subject} is no message: {}", shown::text(&why));
            return Ok(AckKind::Term);
        }
    };
    let id = message.id.clone();
    match relay.ask::<Sent>(&parcel::carry(message, from, longest)).await {
        Ok(_) => Ok(AckKind::Ack),
        Err(Fault::Refused(refusal)) if is_final(refusal.reason) => {
            tracing::warn!("{id}, which came by {subject}, was refused: {}", shown::text(&refusal.error));
            Ok(AckKind::Ack)
        }
        Err(fault) => Err(fault),
    }
}

/// Whether another try would end in the same way. A full mailbox is final, too: what is for others does not wait for it.
fn is_final(reason: Reason) -> bool {
    !matches!(reason, Reason::Storage | Reason::Closing | Reason::RateLimited | Reason::Unauthenticated)
}
