//! Everything between the user's terminal and the agent's.

pub mod filter;
mod utf8;
mod verdict;
