//! See `../resolver.rs`.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use rcc::policy::identity::{BLOCK_START, RANGE_LENGTH, UserRange};
use rcc::policy::ruleset::{IdentityRange, Ruleset, Version};
use rcc::policy::{Listed, Policy, Ports, Profile, ProfileName, Protocol, Reach};
use rcc::resolver::bell::Bell;
use rcc::resolver::{Config, Resolver, Rules};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names that are asked for in turn: fewer than replies are kept, and so many that none is left when its
/// name comes again, and it is made from the answer that is kept for everybody.
const FEW: usize = 2000;
const MANY: usize = 6000;
/// Names of the listed profile.
const LISTED: usize = MANY;
/// Queries that are under way at the same time while throughput is measured.
const WINDOW: usize = 64;

pub fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(3);
    let queries: Vec<Vec<u8>> = (0..MANY).map(|number| query(&format!("host{number}.example.com."))).collect();
    let upstream = upstream();
    let dnsmasq = Dnsmasq::start(upstream);
    let own = std::process::id();
    let (public, listed) = (resolver(upstream, Reach::Public), resolver(upstream, listed_names()));
    let servers = [
        ("dnsmasq", dnsmasq.address, dnsmasq.child.id()),
        ("rcc, public profile", public.address(), own),
        ("rcc, all of them listed", listed.address(), own),
    ];
    println!("{:48} {:>9} {:>9} {:>12} {:>16}", "cached names", "median", "p99", "queries/s", "queries/CPU s");
    for (which, count) in [("2,000 names", FEW), ("6,000 names", MANY)] {
        for (name, address, process) in servers {
            let queries = &queries[..count];
            let latency = latency(address, queries, seconds);
            let (rate, cpu) = throughput(address, queries, seconds, &threads(process));
            let (median, p99) = (latency[latency.len() / 2], latency[latency.len() * 99 / 100]);
            let label = format!("{name}, {which}");
            let each = rate * seconds as f64 / cpu;
            println!("{label:48} {:>9} {:>9} {rate:>12.0} {each:>16.0}", micros(median), micros(p99));
        }
    }
    println!("memory of this process, client included: {} KiB", resident(own));
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_nanos() as f64 / 1000.0)
}

/// Sorted times from query to answer, one at a time.
fn latency(server: SocketAddr, queries: &[Vec<u8>], seconds: u64) -> Vec<Duration> {
    let socket = client(server);
    let mut buffer = [0; 1500];
    let mut times = Vec::new();
    for round in 0.. {
        let start = Instant::now();
        for query in queries {
            let asked = Instant::now();
            socket.send(query).expect("the server is there");
            socket.recv(&mut buffer).expect("an answer");
            // The first round fills the cache.
            if round > 0 {
                times.push(asked.elapsed());
            }
        }
        if round > 0 && (times.iter().sum::<Duration>() + start.elapsed()).as_secs() >= seconds {
            break;
        }
    }
    times.sort_unstable();
    times
}

/// Queries a second with a full window, and the processor time that the server took for all.
fn throughput(server: SocketAddr, queries: &[Vec<u8>], seconds: u64, threads: &[String]) -> (f64, f64) {
    let socket = client(server);
    let mut buffer = [0; 1500];
    let mut next = queries.iter().cycle();
    let mut send = || socket.send(next.next().expect("a cycle")).expect("the server is there");
    for _ in 0..WINDOW {
        send();
    }
    let (start, before, mut answers) = (Instant::now(), processor_time(threads), 0_u64);
    while start.elapsed().as_secs() < seconds {
        // What was lost is sent again too, or the window would shrink.
        answers += u64::from(socket.recv(&mut buffer).is_ok());
        send();
    }
    (answers as f64 / start.elapsed().as_secs_f64(), processor_time(threads) - before)
}

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    socket
}

/// The threads that serve: of this process, those of its resolvers, of which one is idle.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("proc(5)");
    let tasks = tasks.flatten().map(|task| task.path().display().to_string());
    if process != std::process::id() {
        return tasks.collect();
    }
    let is_ours =
        |task: &String| fs::read_to_string(format!("{task}/comm")).is_ok_and(|name| name.trim() == "rcc-resolver");
    tasks.filter(is_ours).collect()
}

/// Seconds that these threads ran, from /proc/PID/task/TID/schedstat.
fn processor_time(threads: &[String]) -> f64 {
    let nanoseconds = |task: &String| {
        let text = fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
    };
    threads.iter().map(nanoseconds).sum::<u64>() as f64 / 1e9
}

fn resident(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("?");
    line.trim().trim_end_matches(" kB").to_owned()
}

fn query(name: &str) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::A));
    message.to_vec().expect("a query")
}

/// Answers every name with one public address, for an hour.
fn upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            let mut reply = Message::error_msg(query.metadata.id, query.metadata.op_code, ResponseCode::NoError);
            reply.metadata.recursion_available = true;
            let owner = query.queries[0].name.clone();
            reply.add_query(query.queries[0].clone());
            reply.add_answer(Record::from_rdata(owner, 3600, RData::A(A(Ipv4Addr::new(203, 0, 113, 1)))));
            let _ = socket.send_to(&reply.to_vec().expect("a reply"), peer);
        }
    });
    address
}

fn listed_names() -> Reach {
    let ports = Ports::new(vec!["443".parse().expect("a port")]).expect("a port");
    let names = (0..LISTED).map(|number| Listed {
        pattern: format!("host{number}.example.com").parse().expect("a name"),
        ports: ports.clone(),
        protocol: Protocol::Tcp,
    });
    Reach::Listed(names.collect())
}

/// A resolver for this process's own uid, which opens nothing.
fn resolver(upstream: SocketAddr, reach: Reach) -> Resolver {
    let policy = Policy {
        profiles: vec![Profile { name: ProfileName::public(), exceptions: vec![], reach }],
        users: vec![UserRange::new(1000, BLOCK_START, RANGE_LENGTH).expect("one of ours")],
        private: vec![],
        vpn_interfaces: vec![],
        bridging: None,
    };
    let mut ruleset = Ruleset::from(&policy);
    let own = rustix::process::geteuid().as_raw();
    ruleset.profiles[0].identities.push(IdentityRange { first: own, last: own });
    let port = free_port();
    Resolver::start(Config {
        listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        rules: Rules { ruleset: Arc::new(ruleset), version: Version::new([0; 32]), on_link: vec![], own: vec![] },
        upstreams: vec![upstream],
        opener: Box::new(|_, _, _| Ok(())),
        bell: Bell::new().expect("a bell"),
    })
    .expect("a resolver")
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

struct Dnsmasq {
    child: Child,
    address: SocketAddr,
}

impl Dnsmasq {
    fn start(upstream: SocketAddr) -> Self {
        let port = free_port();
        let child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--cache-size=10000", "--user=root"])
            .arg(format!("--port={port}"))
            .arg(format!("--server=127.0.0.1#{}", upstream.port()))
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq is installed");
        std::thread::sleep(Duration::from_millis(300));
        Self { child, address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port) }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
