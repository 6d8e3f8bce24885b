//! The sandbox that a plugin's tools run in: one for each session and tool, started with the first call and
//! ended when none came for a while.
