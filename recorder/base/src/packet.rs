//! A media datagram as it travels from the journal to the decoder.

use crate::Timestamp;

/// One UDP datagram of a media flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPacket<'a> {
    /// Arrival on the capture clock.
    pub time: Timestamp,
    /// The UDP payload as captured: RTP, RTCP, or what else the endpoint was sent.
    pub payload: &'a [u8],
    /// Payload bytes on the wire; more than `payload.len()` if the capture cut it.
    pub wire_bytes: u16,
}
