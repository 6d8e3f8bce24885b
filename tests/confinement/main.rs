//! What the confinement refuses and what it lets through, seen from inside.
#![cfg(target_os = "linux")]

mod fixture;
mod landlock;
mod lockdown;
mod programs;
mod seccomp;
