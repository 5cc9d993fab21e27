//! Several sources share an interface: each frame goes to one of them.

use std::collections::BTreeMap;

use base::FlowKey;
use capture::PacketSource;
use capture::packet_socket::{Fanout, FanoutBy, Options, PacketError};
use capture::write::ip::{ethernet_header, udp_packet};

use crate::wire::{Reader, SPAN, small, with_wire};

fn grouped(by: FanoutBy) -> Options {
    Options { fanout: Some(Fanout { group: 77, by }), ..small() }
}

fn datagram(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    let flow = FlowKey { source, destination, ..FlowKey::default() };
    let mut packet = Vec::new();
    udp_packet(&flow, payload, payload.len() as u16, &mut packet);
    [&ethernet_header(&flow)[..], &packet].concat()
}

#[test]
fn each_frame_goes_to_one_source_and_a_flow_stays_together() {
    with_wire(|wire| {
        let mut sources: Vec<_> =
            (0..3).map(|_| PacketSource::open(SPAN, grouped(FanoutBy::Flow)).unwrap()).collect();
        for round in 0..50_u8 {
            for call in 0..40_u16 {
                let (here, there) = (format!("10.0.0.1:{}", 4_000 + call), "10.0.0.2:9000");
                wire.send(&datagram(&here, there, &[call as u8, round]));
                wire.send(&datagram(there, &here, &[call as u8, round]));
            }
        }
        let mut home = BTreeMap::new();
        let (mut frames, mut used) = (0, 0);
        for (index, source) in sources.iter_mut().enumerate() {
            let mut reader = Reader::default();
            let statistics = reader.finish(source);
            assert_eq!(statistics.lost(), 0);
            frames += reader.seen.len();
            used += usize::from(!reader.seen.is_empty());
            for seen in &reader.seen {
                let call = seen.data[14 + 20 + 8];
                assert_eq!(*home.entry(call).or_insert(index), index, "call {call} is split");
            }
        }
        assert_eq!((frames, home.len()), (4_000, 40));
        assert!(used > 1, "all 40 calls went to one source");
    });
}

#[test]
fn a_group_of_another_kind_is_refused_by_name() {
    with_wire(|_| {
        let _first = PacketSource::open(SPAN, grouped(FanoutBy::Cpu)).unwrap();
        let error = PacketSource::open(SPAN, grouped(FanoutBy::Queue)).unwrap_err();
        assert!(matches!(error, PacketError::Group { .. }), "{error}");
        assert!(error.to_string().contains("another program may use that number"), "{error}");
    });
}
