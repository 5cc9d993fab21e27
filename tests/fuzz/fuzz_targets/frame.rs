//! Arbitrary frames through the demultiplexer, several in a row so that fragments and TCP streams build up.
//!
//! The input is a link type, then frames: length (2 bytes, big-endian), time step in units of 1 ms (1 byte),
//! the frame.
#![no_main]

use base::limits::{FRAGMENT_BYTES_MAX, TCP_BYTES_MAX};
use base::{Ledger, Timestamp};
use capture::{Frame, LinkType};
use demux::{Demux, Handled, Held, Packet};
use libfuzzer_sys::fuzz_target;

const LINKS: [LinkType; 6] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxCooked,
    LinkType::LinuxCookedV2,
];

fuzz_target!(|input: &[u8]| {
    let Some((link, mut rest)) = input.split_first() else { return };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let mut demux = Demux::new();
    let mut ledger = Ledger::default();
    let mut now = 0_u64;
    while let Some(([high, low, step], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let data = after.get(..length).unwrap_or(after);
        rest = after.get(length..).unwrap_or_default();
        now += u64::from(*step) * 1_000_000;
        let time = Timestamp::from_nanos(now);
        let frame = Frame { time, link, data, wire_bytes: length as u32, number: 1 };
        let mut emitted = Vec::new();
        let handled = demux.frame(&frame, &mut ledger, &mut |_, packet| {
            emitted.push(matches!(packet, Packet::Udp { .. }));
            if let Packet::Udp { payload, wire_bytes, .. } = packet {
                assert!(payload.len() <= usize::from(wire_bytes) || wire_bytes == u16::MAX);
            }
        });
        if handled == Handled::Datagram {
            assert!(!emitted.is_empty());
        } else {
            assert!(!emitted.contains(&true));
        }
        let held = demux.held();
        assert!(held.datagram_bytes <= FRAGMENT_BYTES_MAX && held.connection_bytes <= TCP_BYTES_MAX);
    }
    demux.finish(Timestamp::from_nanos(now), &mut ledger, &mut |_, _| ());
    assert_eq!(demux.held(), Held::default());
});
