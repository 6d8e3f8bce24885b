//! Memory that was freed. glibc keeps it for the process unless it is asked; other C libraries return it
//! by themselves.

#[cfg(target_env = "gnu")]
#[path = "heap/glibc.rs"]
mod allocator;

#[cfg(not(target_env = "gnu"))]
#[path = "heap/other.rs"]
mod allocator;

pub(super) use allocator::give_back;
