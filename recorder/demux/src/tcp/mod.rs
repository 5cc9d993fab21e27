//! SIP over TCP, on any port.
//!
//! - [`header`]: the TCP header.
//! - [`stream`]: one direction, its segments put in order.
//! - [`framer`]: one direction, cut into messages.
//! - [`search`]: where in a stream a message begins.
//! - [`connections`]: which connections are followed, and for how long.

pub(crate) mod connections;
pub(crate) mod framer;
pub(crate) mod header;
pub(crate) mod search;
pub(crate) mod stream;

pub(crate) use connections::Connections;

use base::ledger::Note;

/// Takes what a stream gives.
pub(crate) trait Sink {
    /// A SIP message, from its start line to the end of its body.
    fn message(&mut self, message: &[u8]);
    /// Something noteworthy.
    fn note(&mut self, note: Note);
}
