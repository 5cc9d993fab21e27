//! Capturing from interfaces, in network namespaces that the tests make and that vanish with their threads.
//!
//! They need root and the `ip` program; without, each says that it was skipped, why, and how many were so far.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy knows only functions marked #[test] for such"
)]

mod fanout;
mod frames;
mod giving_back;
mod links;
mod outages;
mod wire;
