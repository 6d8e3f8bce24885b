//! The manifests in force.
