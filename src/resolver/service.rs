//! The resolver's thread, as the rest of the service holds it.

use super::bell::Bell;
use super::core::Core;
use super::decision::{Rules, View};
use super::granting::{Granting, Opener};
use super::hosts::Hosts;
use super::listen;
use super::seen::NameDenial;
use super::shared::Shared;
use crate::policy::Lease;
use crate::policy::ruleset::{RESOLVER, Ruleset};
use rustix::net::sockopt;
use std::io::{self, PipeReader, PipeWriter};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

/// Port of DNS (RFC 1035, 4.2).
const DOMAIN: u16 = 53;
/// Octets that may wait in the kernel, so that a burst of all sandboxes is not lost; about 4,000 queries.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What the resolver starts with.
pub struct Config {
    /// Where it listens; [`Config::ADDRESS`] but in tests.
    pub listen: SocketAddr,
    /// What is loaded.
    pub rules: Rules,
    /// The host's resolvers, the first first.
    pub upstreams: Vec<SocketAddr>,
    /// Opens addresses in the kernel.
    pub opener: Opener,
    /// Rung when something is denied.
    pub bell: Bell,
}

impl Config {
    /// Where sandboxes ask.
    pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(RESOLVER), DOMAIN);
}

/// Why the resolver did not start, or ended. Sandboxes resolve no names then.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// The sockets that sandboxes ask at.
    #[error("cannot listen on {address} for the queries of sandboxes: {source}; `ss -tulpn` shows who does")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread, or what runs in it.
    #[error("cannot start the resolver: {0}")]
    Start(#[source] io::Error),
    /// It ran, and ended.
    #[error("the resolver ended: {0}")]
    Ended(String),
}

/// The running resolver. Dropping it ends it.
pub struct Resolver {
    shared: Arc<Shared>,
    /// What the view is made of.
    rules: Rules,
    leases: Vec<(Lease, Instant)>,
    hosts: Hosts,
    address: SocketAddr,
    /// Where sandboxes on bridges ask.
    gateways: Vec<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// Readable, with nothing to read, when the thread has ended.
    ended: PipeReader,
}

impl Resolver {
    /// Listens, and answers from now on.
    pub fn start(config: Config) -> Result<Self, ResolverError> {
        let Config { listen: address, rules, upstreams, opener, bell } = config;
        let first = sockets(address).map_err(|source| ResolverError::Listen { address, source })?;
        let address = first.0.local_addr().map_err(ResolverError::Start)?;
        let gateways = gateways(&rules.ruleset);
        let others = gateways.iter().filter_map(|gateway| match sockets(*gateway) {
            Ok(sockets) => Some(sockets),
            // Whoever is on no bridge needs none of them.
            Err(error) => {
                tracing::error!("cannot listen on {gateway} for the queries of sandboxes on a bridge: {error}");
                None
            }
        });
        let sockets: Vec<_> = [first].into_iter().chain(others).collect();
        let shared = Arc::new(Shared::new(View::new(&rules, vec![], Hosts::new()), bell));
        let (stop, stopped) = oneshot::channel();
        let (ended, alive) = io::pipe().map_err(ResolverError::Start)?;
        let theirs = Arc::clone(&shared);
        let thread = Builder::new()
            .name("rcc-resolver".to_owned())
            .spawn(move || run(theirs, opener, sockets, stopped, alive))
            .map_err(ResolverError::Start)?;
        let resolver = Self {
            shared,
            rules,
            leases: vec![],
            hosts: Hosts::new(),
            address,
            gateways,
            stop: Some(stop),
            thread: Some(thread),
            ended,
        };
        resolver.upstreams(upstreams);
        Ok(resolver)
    }

    /// Whether it listens where sandboxes on these rules' bridges ask; if not, another has to be started.
    pub fn serves(&self, ruleset: &Ruleset) -> bool {
        self.gateways == gateways(ruleset)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on these rules hold; they are loaded already. What was granted before is granted again
    /// when it is asked for.
    pub fn policy(&mut self, rules: Rules) {
        self.rules = rules;
        self.renew();
    }

    /// From now on these are the leases by name, with the time that they have left.
    pub fn leases(&mut self, leases: Vec<(Lease, Duration)>) {
        let now = Instant::now();
        self.leases = leases.into_iter().map(|(lease, left)| (lease, now + left)).collect();
        self.renew();
    }

    /// From now on these are the names that the host itself knows ([`super::hosts::parse`]).
    pub fn hosts(&mut self, hosts: Hosts) {
        self.hosts = hosts;
        self.renew();
    }

    /// From now on these are asked, the first first. Ourselves would be asked in vain, and is left out.
    pub fn upstreams(&self, mut upstreams: Vec<SocketAddr>) {
        upstreams.retain(|upstream| upstream.ip() != self.address.ip() || upstream.port() != self.address.port());
        self.shared.set_upstreams(upstreams);
    }

    /// The kernel may have lost what was granted: somebody else changed its sets.
    pub fn grants_lost(&self) {
        self.shared.lose_grants();
    }

    /// The policy that questions are decided by, to explain it.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// The names that led this identity to the address, the latest first; few, and for a while only.
    pub fn names(&self, identity: u32, address: IpAddr) -> Vec<String> {
        self.shared.seen().names(identity, address)
    }

    /// What was denied since the last time, the latest last.
    pub fn take_denials(&self) -> Vec<NameDenial> {
        self.shared.seen().take_denials()
    }

    /// Why it ended, if it has. To be asked when the descriptor ([`AsFd`]) is readable.
    pub fn ended(&mut self) -> Option<ResolverError> {
        let thread = self.thread.take_if(|thread| thread.is_finished())?;
        Some(ResolverError::Ended(match thread.join() {
            Ok(Ok(())) => "it was told to".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked, which is an error of rcc's".to_owned(),
        }))
    }

    /// Ends it; [`Resolver::ended`] tells when it has.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    fn renew(&self) {
        self.shared.set_view(View::new(&self.rules, self.leases.clone(), self.hosts.clone()));
    }
}

impl AsFd for Resolver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it ended with, nobody waits for it any more.
            let _ = thread.join();
        }
    }
}

fn gateways(ruleset: &Ruleset) -> Vec<SocketAddr> {
    ruleset.bridges.iter().map(|rules| (rules.bridge.gateway_v4(), DOMAIN).into()).collect()
}

fn sockets(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(address)?;
    // The same port, where tests leave the choice to the kernel.
    let tcp = TcpListener::bind(udp.local_addr()?)?;
    // Without CAP_NET_ADMIN it stays as it is.
    let _ = sockopt::set_socket_recv_buffer_size_force(&udp, RECEIVE_BUFFER);
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

/// The thread. Ends when it is told to, or when one of its sockets cannot go on.
fn run(
    shared: Arc<Shared>,
    opener: Opener,
    sockets: Vec<(UdpSocket, TcpListener)>,
    stopped: oneshot::Receiver<()>,
    _alive: PipeWriter,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let local = LocalSet::new();
    let granting = Granting::start(opener)?;
    local.block_on(&runtime, async move {
        let core = Core::new(shared, granting);
        let mut tasks = JoinSet::new();
        for (udp, tcp) in sockets {
            tasks.spawn_local(listen::udp(Rc::clone(&core), Rc::new(udp)));
            tasks.spawn_local(listen::tcp(Rc::clone(&core), tokio::net::TcpListener::from_std(tcp)?));
        }
        tasks.spawn_local(async move {
            // Told to, or the handle is gone.
            let _ = stopped.await;
            Ok(())
        });
        // The first that ends, even by a panic, ends all.
        match tasks.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Ok(()),
        }
    })
}
