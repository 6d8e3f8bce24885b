//! What the host knows of addresses and leases.

use crate::firewall::leases::{Leases, Remaining};
use crate::firewall::onlink;
use crate::network::way;
use crate::permit::span;
use crate::policy::Lease;
use ipnet::IpNet;
use miette::{IntoDiagnostic, WrapErr};
use std::net::IpAddr;

/// Every lease, with how long it lasts; `None` for who may not read them.
pub(in crate::cli) fn leases() -> miette::Result<Option<Vec<(Lease, String)>>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let leases = Leases::open().and_then(|mut leases| leases.list()).into_diagnostic()?;
    Ok(Some(leases.into_iter().map(|Remaining { lease, time }| (lease, span(time))).collect()))
}

/// The host's own addresses, and the prefixes next to it.
pub(in crate::cli) fn links() -> miette::Result<(Vec<IpAddr>, Vec<IpNet>)> {
    let onlink::Links { own, on_link } = onlink::read().into_diagnostic()?;
    Ok((own, on_link))
}

/// By which interface the host would send to an address.
pub(in crate::cli) fn interface_to(address: IpAddr) -> miette::Result<Option<String>> {
    way::interface_to(address).into_diagnostic().wrap_err_with(|| format!("cannot tell the way to {address}"))
}
