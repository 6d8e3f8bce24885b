//! The three configuration files: what is refused and how it is said, what may be merged.

mod bad_files;
mod bad_values;
mod documented;
mod fuzz;
mod golden;
mod merging;
mod names;
mod printed;
mod reference;
mod relay;
mod schema;
mod world;
