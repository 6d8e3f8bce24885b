//! The second layer of denials, as plain data.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The second layer of denials: a way to somebody who answers at once (`dead_end`), where the first
/// layer's answer may take pasta a second or be lost. The first layer, the host's firewall, does not
/// depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    /// Prefixes that are denied.
    pub prohibited: Vec<IpNet>,
    /// Exceptions from them: the same way as the default route.
    pub permitted: Vec<IpNet>,
}
