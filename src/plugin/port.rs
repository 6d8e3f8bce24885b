//! Ports of a sandbox's own loopback that lead to plugins of kind `http`, for clients that have no Unix sockets.

use super::name::ToolName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A port and the plugin that is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The plugin.
    pub tool: ToolName,
    /// The port at 127.0.0.1.
    pub port: u16,
}

/// A plugin that does not get its port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plugins {has} and {without} have the same `port`, {port}, which leads to {has}: give {without} another one in \
     its manifest"
)]
pub struct Taken {
    /// The port.
    pub port: u16,
    /// The plugin that has it.
    pub has: ToolName,
    /// The one that goes without.
    pub without: ToolName,
}

/// Each port once, with the plugin that names it first, and who goes without.
pub fn settle(named: Vec<Port>) -> (Vec<Port>, Vec<Taken>) {
    let mut settled: BTreeMap<u16, ToolName> = BTreeMap::new();
    let mut taken = Vec::new();
    for Port { tool, port } in named {
        match settled.get(&port) {
            Some(has) => taken.push(Taken { port, has: has.clone(), without: tool }),
            None => {
                settled.insert(port, tool);
            }
        }
    }
    (settled.into_iter().map(|(port, tool)| Port { tool, port }).collect(), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(tool: &str, port: u16) -> Port {
        Port { tool: tool.parse().unwrap(), port }
    }

    #[test]
    fn a_port_leads_to_one_plugin_and_the_other_one_is_told() {
        let (settled, taken) = settle(vec![port("a", 4873), port("b", 4874), port("c", 4873)]);
        assert_eq!(settled, [port("a", 4873), port("b", 4874)]);
        assert_eq!(taken.len(), 1);
        assert!(taken[0].to_string().starts_with("the plugins a and c have the same `port`, 4873"));
    }
}
