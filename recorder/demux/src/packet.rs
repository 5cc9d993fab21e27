//! What comes out: packets, and who says how their frame ended.

use base::{FlowKey, Outcome, Transport};

/// One SIP message or one UDP datagram, borrowed for the length of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A SIP message (RFC 3261, 7).
    Sip {
        /// Who sent it to whom.
        key: FlowKey,
        /// What carried it.
        transport: Transport,
        /// From its start line on. Over UDP to the end of the datagram, whatever `Content-Length` says;
        /// over TCP to the end that `Content-Length` says. Its end is missing if the capture cut it, or if
        /// the rest of its TCP stream never came.
        message: &'a [u8],
    },
    /// Any other UDP datagram.
    Udp {
        /// Who sent it to whom.
        key: FlowKey,
        /// What its first bytes look like.
        guess: Guess,
        /// As much of its payload as was captured; may be empty.
        payload: &'a [u8],
        /// Bytes of the payload on the wire (65,535 for longer ones): more than `payload.len()` if the
        /// capture cut it.
        wire_bytes: u16,
    },
}

/// What a datagram looks like. Whoever knows what was announced for its endpoints knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guess {
    /// RFC 3550, A.1.
    Rtp,
    /// RFC 3550, A.2, reduced-size packets (RFC 5506) included.
    Rtcp,
    /// Neither.
    Other,
}

/// Who decides how a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "each frame is counted under exactly one outcome"]
pub enum Handled {
    /// The demultiplexer did: count this outcome.
    Ended(Outcome),
    /// The frame gave (or completed) one UDP datagram: of what was emitted, the last, and the only one that
    /// did not come by TCP. How it ended is up to whoever took it.
    Datagram,
}
