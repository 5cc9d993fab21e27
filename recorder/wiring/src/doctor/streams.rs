//! The RTP seen: how many streams, which have an answer, how much of them is missing.

use std::net::IpAddr;

use base::{Domain, FlowKey};
use hashbrown::{HashMap, HashSet};

/// Flows told apart; packets of further ones are counted only.
const FLOWS_MAX: usize = 65_536;
/// Packets that make a stream; fewer may be something else that looks like RTP.
const PACKETS_MIN: u64 = 10;
/// RTP's sequence numbers leap when a sender begins anew (RFC 3550, A.1, MAX_DROPOUT).
const LEAP_MAX: u16 = 3_000;

/// What is remembered of one flow's last SSRC.
#[derive(Clone, Copy, Debug)]
struct Flow {
    ssrc: u32,
    sequence: u16,
    packets: u64,
    /// Packets that the sequence numbers tell of.
    expected: u64,
}

/// What there is to say of all streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Streams.
    pub(super) streams: u64,
    /// Of these, those between two hosts from which nothing comes the other way.
    pub(super) one_way: u64,
    /// Of these, those whose other direction is in another VLAN or tunnel.
    pub(super) across: u64,
    /// Packets of all streams, copies not counted.
    pub(super) packets: u64,
    /// Packets that their sequence numbers tell of.
    pub(super) expected: u64,
}

/// All flows that look like RTP.
#[derive(Default)]
pub(super) struct Streams(HashMap<FlowKey, Flow>);

impl Streams {
    /// Takes the first copy of a packet that looks like RTP (RFC 3550, 5.1).
    pub(super) fn take(&mut self, key: &FlowKey, payload: &[u8]) {
        let Some(header) = payload.first_chunk::<12>() else { return };
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        if self.0.len() >= FLOWS_MAX && !self.0.contains_key(key) {
            return;
        }
        let flow = self.0.entry(*key).or_insert(Flow { ssrc, sequence, packets: 0, expected: 0 });
        let ahead = sequence.wrapping_sub(flow.sequence);
        if flow.packets == 0
            || ssrc != flow.ssrc
            || (ahead > LEAP_MAX && ahead < u16::MAX - LEAP_MAX)
        {
            (flow.ssrc, flow.sequence) = (ssrc, sequence);
            flow.expected += 1;
        } else if ahead <= LEAP_MAX {
            flow.sequence = sequence;
            flow.expected += u64::from(ahead);
        }
        flow.packets += 1;
    }

    /// Whether a stream goes to this endpoint, or comes from it.
    pub(super) fn touches(&self) -> HashSet<base::Endpoint> {
        self.real().flat_map(|(key, _)| [key.source, key.destination]).collect()
    }

    fn real(&self) -> impl Iterator<Item = (&FlowKey, &Flow)> {
        // What is not RTP has other bytes where the sequence number is: it leaps about.
        self.0.iter().filter(|(_, flow)| {
            flow.packets >= PACKETS_MIN && flow.expected <= flow.packets.saturating_mul(4)
        })
    }

    pub(super) fn summary(&self) -> Summary {
        let hosts = |key: &FlowKey| (key.source.ip(), key.destination.ip());
        let anywhere: HashSet<(IpAddr, IpAddr)> = self.real().map(|(key, _)| hosts(key)).collect();
        let here: HashSet<(Domain, IpAddr, IpAddr)> = self
            .real()
            .map(|(key, _)| (key.domain, key.source.ip(), key.destination.ip()))
            .collect();
        let mut summary = Summary::default();
        for (key, flow) in self.real() {
            let (source, destination) = hosts(key);
            summary.streams += 1;
            summary.packets += flow.packets;
            summary.expected += flow.expected.max(flow.packets);
            if !anywhere.contains(&(destination, source)) {
                summary.one_way += 1;
            } else if !here.contains(&(key.domain, destination, source)) {
                summary.across += 1;
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, destination: &str, vlan: u16) -> FlowKey {
        let domain = Domain::UNTAGGED.within_vlan(vlan);
        FlowKey {
            domain,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        [&[0x80, 0, high, low, 0, 0, 0, 0][..], &ssrc.to_be_bytes(), &[0; 160]].concat()
    }

    fn send(streams: &mut Streams, key: FlowKey, sequences: impl IntoIterator<Item = u16>) {
        sequences.into_iter().for_each(|sequence| streams.take(&key, &packet(sequence, 7)));
    }

    #[test]
    fn missing_packets_are_told_from_the_sequence_numbers() {
        let mut streams = Streams::default();
        let there = key("192.0.2.1:4000", "192.0.2.2:5000", 1);
        send(&mut streams, there, (65_500..=u16::MAX).chain(0..64).filter(|it| it % 10 != 3));
        // Overtaken by its successor, which costs nothing.
        send(&mut streams, there, [65, 64]);
        let summary = streams.summary();
        assert_eq!((summary.packets, summary.expected, summary.streams), (91, 102, 1));
        // A sender that begins anew.
        send(&mut streams, there, 30_000..30_020);
        let summary = streams.summary();
        assert_eq!((summary.packets, summary.expected), (111, 122));
    }

    #[test]
    fn directions_are_told_by_hosts() {
        let mut streams = Streams::default();
        let flows = [
            key("192.0.2.1:4000", "192.0.2.2:5000", 1),
            // Another port back is still a direction back.
            key("192.0.2.2:5002", "192.0.2.1:4000", 1),
            key("192.0.2.1:4000", "192.0.2.3:5000", 1),
            key("192.0.2.1:4000", "192.0.2.4:5000", 1),
            key("192.0.2.4:5000", "192.0.2.1:4000", 2),
        ];
        flows.iter().for_each(|flow| send(&mut streams, *flow, 0..50));
        let summary = streams.summary();
        assert_eq!((summary.streams, summary.one_way, summary.across), (5, 1, 2));
        assert!(streams.touches().contains(&key("192.0.2.3:5000", "192.0.2.1:1", 1).source));
    }

    #[test]
    fn a_few_packets_or_leaping_numbers_are_no_stream() {
        let mut streams = Streams::default();
        send(&mut streams, key("192.0.2.1:4000", "192.0.2.2:5000", 1), 0..9);
        let leaps = (0..50_u16).map(|it| it.wrapping_mul(2_000));
        send(&mut streams, key("192.0.2.1:53", "192.0.2.2:5000", 1), leaps);
        assert_eq!(streams.summary(), Summary::default());
    }
}
