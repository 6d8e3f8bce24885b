//! What a sandbox sees of the file system, as plain data in the order of mounting.
//!
//! The root is a new tmpfs, read-only in the end. Nothing of the host is in it but what a
//! [`Mount`] names: there is no list of things to hide that could be forgotten to grow.

pub mod host;
mod plan;

pub use plan::{ViewError, ViewRequest, plan};

use crate::project::handover::Substitute;
use crate::project::scan::Mask;
use serde::Serialize;
use std::path::PathBuf;

/// The whole file system of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// In the order of mounting: a later one lies on top of an earlier one.
    pub mounts: Vec<Mount>,
}

impl View {
    /// Where the agent may write, as far as the mounts decide.
    pub fn writable(&self) -> Vec<PathBuf> {
        let writable = |what: &What| match what {
            What::Tmpfs { .. } | What::Ramfs { .. } | What::Devices { .. } => true,
            What::Bind { access, .. } | What::Tree(Tree { access, .. }) => access.is_writable(),
            What::Directory | What::Symlink { .. } | What::File { .. } | What::Processes { .. } => false,
        };
        self.mounts.iter().filter(|mount| writable(&mount.what)).map(|mount| mount.target.clone()).collect()
    }
}

/// One thing in the file system and where it appears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// An absolute path inside, without `..`.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub target: PathBuf,
    /// What appears there.
    #[serde(flatten)]
    pub what: What,
}

/// What appears at a path. All mounts are nosuid and nodev, but the five devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// An empty directory in the read-only root.
    Directory,
    /// A symbolic link in the read-only root.
    Symlink {
        /// The text of the link.
        #[serde(serialize_with = "crate::shown::lossy")]
        to: PathBuf,
    },
    /// A generated file in the read-only root.
    File {
        /// Its content.
        text: String,
    },
    /// An empty tmpfs that lives as long as the sandbox.
    Tmpfs {
        /// Permission bits of its top directory.
        mode: u32,
        /// Nothing in it can be executed.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        noexec: bool,
    },
    /// Likewise, and never swapped: for credentials. Nothing in it can be executed.
    Ramfs {
        /// Permission bits of its top directory.
        mode: u32,
    },
    /// A file or directory of the host.
    Bind {
        /// Absolute, without symbolic links.
        #[serde(serialize_with = "crate::shown::lossy")]
        source: PathBuf,
        /// Read-only or not.
        access: Access,
    },
    /// A directory of the host that agents write, with parts that they must not.
    Tree(Tree),
    /// A `/dev` with null, zero, full, random, urandom, tty, pts, shm and mqueue.
    Devices {
        /// Nothing in its shm can be executed, as nothing else in it can.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        noexec: bool,
    },
    /// A `/proc` of the sandbox's own processes.
    Processes {
        /// Entries that are read-only; they matter where the agent is the host's uid 0, whom
        /// many files of procfs obey without asking for a capability.
        read_only: Vec<String>,
        /// Entries that are empty.
        masked: Vec<String>,
    },
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing below may be changed.
    ReadOnly,
    /// Nothing below may be changed or executed.
    Inert,
    /// As the file modes say.
    Writable,
    /// As the file modes say, but nothing below may be executed.
    WritableNoexec,
}

impl Access {
    /// Whether something below may be changed.
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Writable | Self::WritableNoexec)
    }
}

/// A directory of the host with protected parts. All paths are relative to `source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// Absolute, without symbolic links.
    #[serde(serialize_with = "crate::shown::lossy")]
    pub source: PathBuf,
    /// What may be done with the rest of it.
    pub access: Access,
    /// Cannot be renamed or removed: directories above protected paths, and links. Innermost
    /// first.
    #[serde(serialize_with = "crate::shown::all_lossy")]
    pub pins: Vec<PathBuf>,
    /// Cannot be changed, renamed or removed.
    #[serde(serialize_with = "crate::shown::all_lossy")]
    pub read_only: Vec<PathBuf>,
    /// Appear with another content, read-only.
    pub substitutes: Vec<Substitute>,
    /// Appear empty and unreadable.
    pub masks: Vec<Mask>,
}
