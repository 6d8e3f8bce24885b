//! The second layer of denials, as plain data.

use ipnet::IpNet;
use serde::Serialize;

/// The second layer of denials: routes that answer at once, where the first layer's answer may
/// take pasta a second. The first layer, the host's firewall, does not depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Routes {
    /// Prefixes without a way.
    pub prohibited: Vec<IpNet>,
    /// Exceptions from them: the same way as the default route.
    pub permitted: Vec<IpNet>,
}
