//! What carries out a plan.

pub mod embedded;
