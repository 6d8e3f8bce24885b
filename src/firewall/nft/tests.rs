//! Rendering, and what nft makes of it.
