//! What holds of the whole: the pure decisions by tables, the rest with real sockets and a scripted
//! upstream. The test's own uid is the network identity.

mod as_root;
mod decisions;
mod explained;
mod hostile;
mod kept;
mod presented;
mod serving;
mod wire;
mod world;
