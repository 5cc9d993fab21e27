//! A flow's packets told apart: its streams by SSRC, and what is not RTP.
//!
//! Nothing is dropped: a packet that belongs to no stream is named in `aside`, to be kept as it was.

use base::limits::{STREAMS_PER_CALL_MAX, STREAMS_PER_FLOW_MAX};
use base::{MediaPacket, Timestamp};

use crate::input::FlowInput;
use crate::rtcp::{SenderClock, is_rtcp, sender_clocks};
use crate::rtp::Rtp;

/// One RTP packet of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) time: Timestamp,
    /// Its place in the stream (`sequence`): the epoch above, the extended sequence number below.
    pub(crate) place: i64,
    /// Which of the flow's packets it is.
    pub(crate) index: u32,
    pub(crate) timestamp: u32,
    pub(crate) sequence: u16,
    pub(crate) payload_type: u8,
    /// Bytes of its payload that the capture cut off.
    pub(crate) missing: u16,
    /// It came after one with a higher sequence number.
    pub(crate) late: bool,
}

impl Packet<'_> {
    /// Whether the capture cut its end off.
    pub(crate) const fn is_cut(&self) -> bool {
        self.missing > 0
    }
}

/// One SSRC of one flow, in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) struct Stream<'a> {
    pub(crate) ssrc: u32,
    pub(crate) packets: Vec<Packet<'a>>,
}

/// Why a datagram belongs to no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    Rtcp,
    /// RFC 8489: connectivity checks and keep-alives.
    Stun,
    /// The announced medium is not RTP (T.38 over UDPTL, for one).
    NotRtpByNature,
    /// Neither RTP nor RTCP nor STUN.
    Unknown,
    /// RTP of one SSRC too many.
    SsrcLimit,
}

/// A flow, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Split<'a> {
    pub(crate) streams: Vec<Stream<'a>>,
    /// Index of a packet in the flow, and why it is in no stream.
    pub(crate) aside: Vec<(u32, Aside)>,
    pub(crate) clocks: Vec<SenderClock>,
    /// When keys were first agreed on the media path itself: what follows is SRTP, announced or not.
    pub(crate) agreed: Option<Timestamp>,
}

/// Takes `flow` apart. `streams_before` streams of the call are known already.
pub(crate) fn split<'a>(flow: &FlowInput<'a>, streams_before: usize) -> Split<'a> {
    let mut split = Split::default();
    let streams_max = STREAMS_PER_CALL_MAX.saturating_sub(streams_before).min(STREAMS_PER_FLOW_MAX);
    let carries_rtp = flow.media != "image";
    let mut last = 0;
    for (index, packet) in flow.packets.iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if is_rtcp(packet.payload) {
            split.aside.push((index, Aside::Rtcp));
            if !flow.secure {
                sender_clocks(packet.time, packet.payload, |clock| split.clocks.push(clock));
            }
            continue;
        }
        let missing = packet.wire_bytes.saturating_sub(length_of(packet.payload));
        let rtp = Rtp::parse(packet.payload, missing == 0).ok().filter(|_| carries_rtp);
        let Some(rtp) = rtp else {
            split.aside.push((index, not_rtp(packet, carries_rtp)));
            if split.agreed.is_none() && agrees_on_keys(packet.payload) {
                split.agreed = Some(packet.time);
            }
            continue;
        };
        let Some(stream) = stream_of(&mut split.streams, rtp.ssrc, &mut last, streams_max, flow)
        else {
            split.aside.push((index, Aside::SsrcLimit));
            continue;
        };
        stream.packets.push(Packet {
            payload: rtp.payload,
            time: packet.time,
            place: 0,
            index,
            timestamp: rtp.timestamp,
            sequence: rtp.sequence,
            payload_type: rtp.payload_type,
            missing,
            late: false,
        });
    }
    split
}

fn length_of(payload: &[u8]) -> u16 {
    u16::try_from(payload.len()).unwrap_or(u16::MAX)
}

/// The stream of `ssrc`, which is nearly always the one of the packet before (`last`).
fn stream_of<'s, 'a>(
    streams: &'s mut Vec<Stream<'a>>,
    ssrc: u32,
    last: &mut usize,
    streams_max: usize,
    flow: &FlowInput<'a>,
) -> Option<&'s mut Stream<'a>> {
    if streams.get(*last).is_none_or(|stream| stream.ssrc != ssrc) {
        *last = match streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(known) => known,
            None if streams.len() < streams_max => {
                // Nearly every flow has one stream; it gets its room at once.
                let room = if streams.is_empty() { flow.packets.len() } else { 0 };
                streams.push(Stream { ssrc, packets: Vec::with_capacity(room) });
                streams.len() - 1
            }
            None => return None,
        };
    }
    streams.get_mut(*last)
}

fn not_rtp(packet: &MediaPacket<'_>, carries_rtp: bool) -> Aside {
    match packet.payload {
        // RFC 8489, 5: two zero bits, and the magic cookie after type and length.
        [kind, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] if kind >> 6 == 0 => Aside::Stun,
        _ if !carries_rtp => Aside::NotRtpByNature,
        _ => Aside::Unknown,
    }
}

/// Whether this is the message of a key agreement after which both sides encrypt: ZRTP's Conf2ACK
/// (RFC 6189, 5.1 and 5.7) or DTLS's ChangeCipherSpec (RFC 5764, 5.1.2; RFC 6347, 4.1).
fn agrees_on_keys(payload: &[u8]) -> bool {
    const COOKIE: &[u8] = b"ZRTP";
    const CHANGE_CIPHER_SPEC: u8 = 20;
    match payload {
        [0x10, _, _, _, rest @ ..] if rest.starts_with(COOKIE) => {
            rest.get(12..).is_some_and(|message| message.starts_with(b"Conf2ACK"))
        }
        // Records follow each other in a flight.
        [20..=63, 0xfe, ..] => {
            let mut records = payload;
            while let Some((head, rest)) = records.split_first_chunk::<13>() {
                if head[0] == CHANGE_CIPHER_SPEC {
                    return true;
                }
                let length = usize::from(u16::from_be_bytes([head[11], head[12]]));
                records = rest.get(length..).unwrap_or_default();
            }
            false
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_agreements_are_recognised() {
        let mut zrtp = b"\x10\0\0\x07ZRTP\0\0\0\x01\x50\x5a\0\x03Conf2ACK".to_vec();
        assert!(agrees_on_keys(&zrtp));
        zrtp[16] = b'H';
        assert!(!agrees_on_keys(&zrtp));
        let record = |kind: u8, body: &[u8]| {
            let mut bytes = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, body.len() as u8];
            bytes.extend(body);
            bytes
        };
        let flight = [record(22, &[20; 30]), record(20, &[1])].concat();
        assert!(agrees_on_keys(&flight));
        assert!(!agrees_on_keys(&record(22, &[20; 30])));
        assert!(!agrees_on_keys(&flight[..20]));
    }
}
