//! What the confinement refuses and what it lets through, seen from inside.

mod fixture;
mod landlock;
mod lockdown;
mod programs;
mod seccomp;
