//! Frames come as they were sent, and each is accounted for.

use std::time::{SystemTime, UNIX_EPOCH};

use base::Timestamp;
use capture::PacketSource;
use capture::nic::{Counter, Link};
use capture::packet_socket::Options;
use rustix::net::SendFlags;

use crate::wire::{Reader, SPAN, frame, ip, sender, small, with_wire};

#[expect(clippy::disallowed_methods, reason = "the kernel's times are compared with it")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(since.as_nanos() as u64)
}

/// A frame that can be told from all others, of a length that differs too.
fn numbered(number: u32) -> Vec<u8> {
    let length = 4 + number as usize % 1_400;
    let mut payload = vec![number as u8; length];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    frame(&[], &payload)
}

#[test]
fn what_is_sent_is_received_in_order_with_sane_times() {
    with_wire(|wire| {
        let before_counts = Link::find(SPAN).unwrap().statistics;
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        let mut reader = Reader::default();
        let begun = now();
        for number in 0..20_000 {
            wire.send(&numbered(number));
            if number % 500 == 0 {
                reader.poll(&mut source).unwrap();
            }
        }
        let statistics = reader.finish(&mut source);
        let ended = now();
        assert_eq!(
            (statistics.offered, statistics.received, statistics.lost()),
            (20_000, 20_000, 0)
        );
        assert_eq!(statistics.waiting(), 0);
        let mut last = begun;
        for (index, seen) in reader.seen.iter().enumerate() {
            assert_eq!(seen.data, numbered(index as u32), "frame {index}");
            assert_eq!(
                (seen.wire_bytes as usize, seen.number),
                (seen.data.len(), index as u64 + 1)
            );
            assert!(last <= seen.time && seen.time <= ended, "{last} {} {ended}", seen.time);
            last = seen.time;
        }
        let counted = Link::find(SPAN).unwrap().statistics.since(&before_counts);
        assert_eq!((counted.of(Counter::RxPackets), counted.of(Counter::TxPackets)), (20_000, 0));
    });
}

#[test]
fn what_does_not_fit_the_ring_is_counted() {
    with_wire(|wire| {
        let options = Options { blocks: 2, ..small() };
        let mut source = PacketSource::open(SPAN, options).unwrap();
        for number in 0..3_000_u32 {
            wire.send(&frame(&[], &[number as u8; 1_400]));
        }
        let mut reader = Reader::default();
        let statistics = reader.finish(&mut source);
        assert_eq!(statistics.offered, 3_000);
        assert_eq!(statistics.received, reader.seen.len() as u64);
        assert_eq!(statistics.received + statistics.dropped, 3_000);
        // The block timeout may close one of the two blocks early; the other holds some 340.
        assert!(statistics.dropped > 1_000 && statistics.received > 300, "{statistics:?}");
        assert!(statistics.freezes > 0, "{statistics:?}");
    });
}

#[test]
fn vlan_tags_are_in_the_frame_as_they_were_on_the_wire() {
    with_wire(|wire| {
        let tags: [&[u8]; 7] = [
            &[],
            &[0x81, 0x00, 0x00, 0x64],
            &[0x81, 0x00, 0xe0, 0x00],
            &[0x88, 0xa8, 0x3f, 0xff],
            &[0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x00, 0x07],
            &[0x81, 0x00, 0x00, 0x64, 0x81, 0x00, 0x00, 0x07, 0x81, 0x00, 0x00, 0x09],
            &[0x91, 0x00, 0x00, 0x05],
        ];
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        let frames: Vec<_> = tags.iter().map(|tags| frame(tags, b"tagged or not")).collect();
        frames.iter().for_each(|frame| wire.send(frame));
        let mut reader = Reader::default();
        reader.finish(&mut source);
        let seen: Vec<_> = reader.seen.iter().map(|seen| seen.data.clone()).collect();
        assert_eq!(seen, frames);
        assert!(reader.seen.iter().all(|seen| seen.wire_bytes as usize == seen.data.len()));
    });
}

#[test]
fn jumbo_frames_are_whole() {
    with_wire(|wire| {
        for interface in [SPAN, crate::wire::FAR] {
            ip(&["link", "set", interface, "mtu", "65535"]);
        }
        let mut source = PacketSource::open(SPAN, small()).unwrap();
        let payload: Vec<u8> = (0..60_000_u32).map(|index| (index / 7) as u8).collect();
        let sent = frame(&[0x81, 0x00, 0x00, 0x64], &payload);
        wire.send(&sent);
        let mut reader = Reader::default();
        reader.finish(&mut source);
        assert!(reader.seen.len() == 1 && reader.seen[0].data == sent, "a frame of 60,000 bytes");
    });
}

#[test]
fn what_the_host_sends_is_left_out_unless_wanted() {
    with_wire(|wire| {
        let from_span = sender(SPAN);
        for (outgoing, expected) in [(false, 1), (true, 2)] {
            let mut source = PacketSource::open(SPAN, Options { outgoing, ..small() }).unwrap();
            rustix::net::send(&from_span, &frame(&[], b"out"), SendFlags::empty()).unwrap();
            wire.send(&frame(&[], b"in"));
            let mut reader = Reader::default();
            reader.finish(&mut source);
            assert_eq!(reader.seen.len(), expected, "outgoing: {outgoing}");
            assert_eq!(reader.seen.last().unwrap().data, frame(&[], b"in"));
        }
    });
}
