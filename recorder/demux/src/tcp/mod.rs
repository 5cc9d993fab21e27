//! SIP over TCP, on any port.
//!
//! - [`header`]: the TCP header.
//! - [`stream`]: one direction, its segments put in order.
//! - [`framer`]: one direction, cut into messages.
//! - [`search`]: where in a stream a message begins.
//! - [`connection`]: both directions, and whether they carry SIP.
//! - [`connections`]: which connections are followed, and for how long.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod framer;
pub(crate) mod header;
pub(crate) mod search;
pub(crate) mod stream;

pub(crate) use connections::Connections;

/// Takes what a stream gives.
pub(crate) trait Sink {
    /// A SIP message, from its start line to the end of its body.
    fn message(&mut self, message: &[u8]);
    /// A hole was skipped.
    fn gap(&mut self);
    /// The framing was lost and is found again.
    fn resync(&mut self);
}
