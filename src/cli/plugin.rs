//! What the commands of plugins take.

/// `rcc plugin-chamber`.
#[derive(Debug, clap::Args)]
pub struct ChamberArguments {
    /// The broker's process
    pub(super) broker: u32,
}
