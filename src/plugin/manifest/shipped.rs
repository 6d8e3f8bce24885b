//! The manifests that come with rcc.
