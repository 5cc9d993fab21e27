//! The RTP of a capture, read here once more: apart from the recorder's own media code.

use std::collections::HashMap;
use std::path::Path;

use base::{Endpoint, Ledger, Timestamp};
use capture::{FileSource, Poll, Source};
use demux::{Demux, Packet};

/// From whom, to whom, SSRC.
pub(crate) type StreamKey = (Endpoint, Endpoint, u32);

/// One RTP packet (RFC 3550, 5.1).
#[derive(Clone, PartialEq)]
pub(crate) struct Rtp {
    pub(crate) time: Timestamp,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) payload: Vec<u8>,
}

/// Every RTP stream of a capture, packets in the order of arrival.
pub(crate) fn streams(capture: &Path) -> HashMap<StreamKey, Vec<Rtp>> {
    let mut streams: HashMap<StreamKey, Vec<Rtp>> = HashMap::new();
    let (mut demux, mut ledger) = (Demux::new(), Ledger::default());
    let mut source = FileSource::open(capture).expect("the capture opens");
    let mut emit = |time, packet: Packet<'_>| {
        if let Packet::Udp { key, payload, .. } = packet
            && let Some((ssrc, rtp)) = parse(time, payload)
        {
            streams.entry((key.source, key.destination, ssrc)).or_default().push(rtp);
        }
    };
    // A capture may end in damage; what came before counts.
    while let Ok(Poll::Frames(_)) = source.poll(&mut |frame| {
        let _ = demux.frame(&frame, &mut ledger, &mut emit);
    }) {}
    streams
}

fn parse(time: Timestamp, datagram: &[u8]) -> Option<(u32, Rtp)> {
    let (head, rest) = datagram.split_first_chunk::<12>()?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[0] >> 6 != 2 || (192..224).contains(&head[1]) {
        return None;
    }
    let mut payload = rest.get(usize::from(head[0] & 0xf) * 4..)?;
    if head[0] & 0x10 != 0 {
        let words = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
        payload = payload.get(4 + usize::from(words) * 4..)?;
    }
    if head[0] & 0x20 != 0 {
        payload = payload.get(..payload.len().checked_sub(usize::from(*payload.last()?))?)?;
    }
    let sequence = u16::from_be_bytes([head[2], head[3]]);
    let payload_type = head[1] & 0x7f;
    Some((
        word(8),
        Rtp { time, sequence, timestamp: word(4), payload_type, payload: payload.to_vec() },
    ))
}

/// A stream's packets, each once (its first copy), in the order of sequence numbers, which may wrap.
pub(crate) struct Unique<'a> {
    pub(crate) packets: Vec<&'a Rtp>,
    /// Sequence numbers between the first and the last that never came.
    pub(crate) lost: u64,
}

pub(crate) fn unique(packets: &[Rtp]) -> Unique<'_> {
    let mut numbered: Vec<(i64, &Rtp)> = Vec::with_capacity(packets.len());
    let mut highest = packets.first().map_or(0, |p| i64::from(p.sequence));
    for packet in packets {
        let step = packet.sequence.wrapping_sub(highest as u16) as i16;
        numbered.push((highest + i64::from(step), packet));
        highest = highest.max(highest + i64::from(step));
    }
    numbered.sort_by_key(|(number, _)| *number);
    numbered.dedup_by_key(|(number, _)| *number);
    let span = match numbered.as_slice() {
        [(first, _), .., (last, _)] => (last - first + 1) as u64,
        few => few.len() as u64,
    };
    let lost = span - numbered.len() as u64;
    Unique { packets: numbered.into_iter().map(|(_, packet)| packet).collect(), lost }
}
