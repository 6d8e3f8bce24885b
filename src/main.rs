//! The `rcc` program.

fn main() {}
