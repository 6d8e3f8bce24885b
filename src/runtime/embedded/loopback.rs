//! Ports of the sandbox's own loopback, behind which a process of rcc's leads to plugins ([`crate::guest::ports`]).

use super::{agent, process};
use crate::guest::PROGRAM;
use crate::plugin::name::ToolName;
use crate::plugin::port::Port;
use crate::terminal;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;

/// Why a port leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    /// The kernel gives no socket.
    #[error("cannot listen at port {port} of the sandbox for the plugin {tool}: {source}")]
    Listen {
        /// The plugin.
        tool: ToolName,
        /// Its port.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nobody to serve it.
    #[error("cannot start what serves the sandbox's ports: {0}")]
    Fork(Errno),
}

/// Listens, and starts the process that serves the ports, confined as the calling process is. To be called by PID 1
/// after [`terminal::init::Init::prepare`]; clients of a port need not wait for anything afterwards.
pub fn serve(ports: &[Port]) -> Result<(), LoopbackError> {
    if ports.is_empty() {
        return Ok(());
    }
    let listening = ports.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
    process::fork(|| become_server(&listening)).map_err(LoopbackError::Fork)?;
    Ok(())
}

fn listen(port: &Port) -> Result<(ToolName, TcpListener), LoopbackError> {
    let Port { tool, port } = port;
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
    let socket = socket.map_err(|source| LoopbackError::Listen { tool: tool.clone(), port: *port, source })?;
    Ok((tool.clone(), socket))
}

/// Returns only if there is nothing to become: nobody is there to be told, and clients find the ports closed.
fn become_server(listening: &[(ToolName, TcpListener)]) -> u8 {
    const FAILED: u8 = 1;
    if terminal::agent::detach().is_err() {
        return FAILED;
    }
    if listening.iter().any(|(_, socket)| fcntl_setfd(socket, FdFlags::empty()).is_err()) {
        return FAILED;
    }
    let mut command: Vec<OsString> = [PROGRAM, "guest", "ports"].map(OsString::from).into();
    command.extend(listening.iter().map(|(tool, socket)| format!("{tool}={}", socket.as_raw_fd()).into()));
    agent::execute(&command, &BTreeMap::new())
}
