//! The capture bench's own programs (`ebpf/program/src/bin/bench.rs`), which no user runs.

/// What the sender is told: the one value of its map [`LOAD`].
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Load {
    /// Where frames are sent, by its number.
    pub interface: u32,
    /// How many flows they are of.
    pub flows: u32,
}

/// Sends frames to an interface.
pub const SEND: &str = "send";
/// Redirects everything to AF_XDP sockets.
pub const BARE: &str = "bare";
/// Drops everything.
pub const DISCARD: &str = "discard";
/// Passes everything.
pub const PASS: &str = "pass";
/// Array, one [`Load`].
pub const LOAD: &str = "LOAD";
/// AF_XDP sockets by receive queue.
pub const SOCKETS: &str = "SOCKETS";
