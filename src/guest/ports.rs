//! Leads connections to ports of the sandbox's own loopback to plugins of kind `http`, which listen at Unix sockets.
//!
//! PID 1 starts it before the agent, with sockets that listen already, so that no client comes too early. It is a
//! process of the sandbox like the agent's own, and passes on what the agent could say at the plugin's socket itself.

use crate::plugin::http::own;
use crate::plugin::name::ToolName;
use crate::plugin::place::{INSIDE, socket_name};
use hyper::StatusCode;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;

/// Connections at a time, of all ports; of more, one of each port waits here, and the others in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// Between attempts where there is no descriptor left for a client.
const RETRY: Duration = Duration::from_millis(100);
/// What a client that gets no plugin may go on to send before its connection is closed, so that it reads why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// The first descriptor that is no standard stream.
const FIRST: RawFd = 3;

/// Serves `TOOL=DESCRIPTOR` each, for as long as the sandbox lives.
pub fn run(ports: &[String]) -> ExitCode {
    let taken: Option<Vec<(ToolName, OwnedFd)>> = ports.iter().map(|word| take(word)).collect();
    match taken.map(serve) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}

fn take(word: &str) -> Option<(ToolName, OwnedFd)> {
    let (tool, number) = word.split_once('=')?;
    let tool = tool.parse().ok()?;
    let number = number.parse().ok().filter(|number: &RawFd| *number >= FIRST)?;
    // SAFETY: F_GETFD only asks, and says of one that is not open that it is none.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and this process has just begun: whoever started it says that nothing else of it has this one.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    Some((tool, socket))
}

fn serve(ports: Vec<(ToolName, OwnedFd)>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let clients = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut accepting = tokio::task::JoinSet::new();
        for (tool, socket) in ports {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            let socket = Path::new(INSIDE).join(socket_name(&tool));
            accepting.spawn(accept(TcpListener::from_std(listener)?, tool, socket, clients.clone()));
        }
        while accepting.join_next().await.is_some() {}
        Ok(())
    })
}

async fn accept(listener: TcpListener, tool: ToolName, socket: PathBuf, clients: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                // A port that nobody comes to has none. Nobody closes the semaphore.
                let Ok(permit) = clients.clone().acquire_owned().await else { return };
                let (tool, socket) = (tool.clone(), socket.clone());
                tokio::spawn(async move {
                    // A client that breaks off is its own affair.
                    let _ = lead(client, &tool, &socket).await;
                    drop(permit);
                });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn lead(mut client: TcpStream, tool: &ToolName, socket: &Path) -> io::Result<()> {
    // Small requests and their answers are not to wait for each other.
    client.set_nodelay(true)?;
    match UnixStream::connect(socket).await {
        Ok(mut plugin) => copy_bidirectional(&mut client, &mut plugin).await.map(drop),
        Err(error) => {
            let why = format!("the plugin {tool} does not answer ({error}); on the host: rcc plugin status");
            client.write_all(&own::farewell(StatusCode::SERVICE_UNAVAILABLE, "rcc_no_plugin", &why)).await?;
            client.shutdown().await?;
            let (mut rest, mut nowhere) = (client.take(LINGER_BYTES), sink());
            let _ = tokio::time::timeout(LINGER, copy(&mut rest, &mut nowhere)).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    /// A port that leads to `socket`, and where it is.
    async fn port(socket: PathBuf, clients: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, "api".parse().unwrap(), socket, Arc::new(Semaphore::new(clients))));
        address
    }

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_is_led_to_the_plugin_and_its_ends_are_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let plugin = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = plugin.accept().await.unwrap();
                let mut asked = String::new();
                stream.read_to_string(&mut asked).await.unwrap();
                stream.write_all(format!("answer to {asked}").as_bytes()).await.unwrap();
            }
        });
        // With room for one at a time the second one comes when the first one has gone.
        let address = port(socket, 1).await;
        assert_eq!(ask(address).await, "answer to question");
        assert_eq!(ask(address).await, "answer to question");
    }

    #[tokio::test]
    async fn a_client_reads_why_there_is_no_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let answer = ask(port(dir.path().join("api.sock"), 2).await).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("the plugin api does not answer"), "{answer}");
    }

    #[tokio::test]
    async fn a_port_that_nobody_uses_takes_no_room_from_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let clients = Arc::new(Semaphore::new(1));
        let mut used = None;
        for _ in 0..3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            used = listener.local_addr().ok();
            tokio::spawn(accept(listener, "api".parse().unwrap(), dir.path().join("api.sock"), clients.clone()));
            tokio::task::yield_now().await;
        }
        let answer = tokio::time::timeout(LINGER * 20, ask(used.unwrap())).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }

    #[test]
    fn what_names_no_tool_or_no_descriptor_is_not_taken() {
        for word in ["api", "api=x", "api=1", "api=-1", "api=1000000", "../x=3"] {
            assert_eq!(run(&[word.to_owned()]), ExitCode::FAILURE, "{word}");
        }
    }
}
