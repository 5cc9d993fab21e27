//! SIP over TCP: any segmentation, order and loss; joining in the middle; what is no SIP.

use base::ledger::Note;
use base::limits::{SIP_MESSAGE_BYTES_MAX, TCP_IDLE_SECONDS_MAX, TCP_REORDER_BYTES_MAX};
use base::{Outcome, Timestamp, Transport};
use capture::LinkType;
use demux::Handled;
use proptest::prelude::*;

use crate::build::{self, Segment, flow, frame, sip};
use crate::observe::{Observer, Seen};

const ALICE: &str = "192.0.2.1:40000";
const BOB: &str = "198.51.100.2:5060";
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const MILLISECOND: u64 = 1_000_000;
const IN_SIP: Handled = Handled::Ended(Outcome::TcpSegment);
const OTHER: Handled = Handled::Ended(Outcome::OtherTcp);

impl Observer {
    fn tcp(
        &mut self,
        nanos: u64,
        source: &str,
        destination: &str,
        segment: Segment<'_>,
    ) -> Handled {
        let packet = build::tcp(source, destination, segment);
        self.frame(&frame(LinkType::RawIp, nanos, &packet))
    }

    /// A segment from Alice to Bob.
    fn data(&mut self, nanos: u64, sequence: u32, payload: &[u8]) -> Handled {
        self.tcp(nanos, ALICE, BOB, Segment { sequence, payload, ..Segment::default() })
    }

    /// Alice's SYN: her first byte has this number.
    fn open(&mut self, first: u32) -> Handled {
        let sequence = first.wrapping_sub(1);
        self.tcp(0, ALICE, BOB, Segment { sequence, flags: SYN, ..Segment::default() })
    }

    #[track_caller]
    fn expect(&self, messages: &[&[u8]]) {
        let lossy = |message: &[u8]| String::from_utf8_lossy(message).into_owned();
        let given: Vec<String> = self.messages().map(lossy).collect();
        assert_eq!(given, messages.iter().map(|message| lossy(message)).collect::<Vec<_>>());
    }
}

fn three() -> ([Vec<u8>; 3], Vec<u8>) {
    let messages = [sip("first", 310), sip("second", 0), sip("third", 992)];
    let stream = messages.concat();
    (messages, stream)
}

#[test]
fn several_messages_in_one_segment() {
    let (messages, stream) = three();
    let mut observer = Observer::default();
    assert_eq!(observer.open(1), OTHER);
    assert_eq!(observer.data(5, 1, &stream), IN_SIP);
    observer.expect(&[&messages[0], &messages[1], &messages[2]]);
    let key = flow(ALICE, BOB);
    let first = Seen::Sip { key, transport: Transport::Tcp, message: messages[0].clone() };
    assert_eq!(observer.seen[0], (Timestamp::from_nanos(5), first));
}

#[test]
fn cut_at_every_byte() {
    let message = sip("a@b", 40);
    for cut in 1..message.len() {
        let mut observer = Observer::default();
        let _ = observer.open(1);
        let _ = observer.data(1, 1, &message[..cut]);
        let rest = u32::try_from(1 + cut).unwrap();
        assert_eq!(observer.data(2, rest, &message[cut..]), IN_SIP);
        observer.expect(&[&message]);
        assert_eq!(observer.seen[0].0, Timestamp::from_nanos(2), "with its last byte's time");
    }
}

#[test]
fn keep_alives_are_skipped() {
    let (messages, _) = three();
    let stream = [b"\r\n\r\n", &messages[0][..], b"\r\n", &messages[1], b"\r\n\r\n"].concat();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(1, 1, &stream);
    observer.expect(&[&messages[0], &messages[1]]);
    let after = 1 + u32::try_from(stream.len()).unwrap();
    assert_eq!(observer.data(2, after, b"\r\n\r\n"), IN_SIP);
    assert_eq!(observer.demux().held().connection_bytes, 0);
}

#[test]
fn compact_and_absent_content_length() {
    let compact = b"BYE sip:a@b SIP/2.0\r\nl: 4\r\n\r\nbody".as_slice();
    let absent = b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c\r\n\r\n".as_slice();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(1, 1, &[compact, absent, compact].concat());
    observer.expect(&[compact, absent, compact]);
}

#[test]
fn retransmissions_and_overlaps() {
    let (messages, stream) = three();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let part = |from: usize, to: usize| (1 + u32::try_from(from).unwrap(), &stream[from..to]);
    for (from, to) in [(0, 100), (0, 100), (50, 200), (90, 150), (0, 300), (200, stream.len())] {
        let (sequence, bytes) = part(from, to);
        assert_eq!(observer.data(1, sequence, bytes), IN_SIP);
    }
    observer.expect(&[&messages[0], &messages[1], &messages[2]]);
    // A keep-alive probe repeats the last byte, or sends one of its own.
    let (sequence, _) = part(stream.len() - 1, stream.len());
    assert_eq!(observer.data(2, sequence, b"\0"), IN_SIP);
    assert_eq!(observer.messages().count(), 3);
    assert_eq!(observer.ledger.noted(Note::TcpGap), 0);
}

#[test]
fn reversed_segments() {
    let (messages, stream) = three();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let pieces: Vec<(usize, &[u8])> = stream.chunks(100).enumerate().collect();
    for (index, piece) in pieces.iter().rev() {
        let _ = observer.data(1, 1 + u32::try_from(index * 100).unwrap(), piece);
    }
    observer.expect(&[&messages[0], &messages[1], &messages[2]]);
    assert_eq!(observer.ledger.noted(Note::TcpGap), 0);
}

#[test]
fn sequence_numbers_wrap() {
    let (messages, stream) = three();
    let first = u32::MAX - 150;
    let mut observer = Observer::default();
    let _ = observer.open(first);
    let order: Vec<usize> = [1, 0, 3, 2].into_iter().chain(4..=stream.len() / 100).collect();
    for index in order {
        let piece = stream.chunks(100).nth(index).unwrap();
        let sequence = first.wrapping_add(u32::try_from(index * 100).unwrap());
        let _ = observer.data(1, sequence, piece);
    }
    observer.expect(&[&messages[0], &messages[1], &messages[2]]);
}

#[test]
fn a_hole_is_waited_for_and_then_skipped() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let (at_second, at_third) = (1 + first.len() as u32, 1 + (first.len() + second.len()) as u32);
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, first);
    let _ = observer.data(1, at_third, third);
    observer.expect(&[first]);
    // Something else, six seconds later.
    let udp = build::udp("192.0.2.9:1", "192.0.2.8:2", b"");
    let _ = observer.frame(&frame(LinkType::RawIp, 6_000 * MILLISECOND, &udp));
    observer.expect(&[first, third]);
    assert_eq!(observer.ledger.noted(Note::TcpGap), 1);
    // Too late now, and no harm.
    assert_eq!(observer.data(6_001 * MILLISECOND, at_second, second), IN_SIP);
    assert_eq!(observer.messages().count(), 2);
}

#[test]
fn a_hole_that_the_receiver_has_acknowledged_is_skipped_soon() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let at_third = 1 + (first.len() + second.len()) as u32;
    let end = at_third + third.len() as u32;
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, first);
    let _ = observer.data(MILLISECOND, at_third, third);
    let acknowledgment = Segment { acknowledgment: Some(end), ..Segment::default() };
    let _ = observer.tcp(2 * MILLISECOND, BOB, ALICE, acknowledgment);
    observer.expect(&[first]);
    let _ = observer.tcp(150 * MILLISECOND, BOB, ALICE, acknowledgment);
    observer.expect(&[first, third]);
}

#[test]
fn a_hole_too_large_to_wait_behind_is_skipped() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, first);
    let mut sequence = 1 + (first.len() + second.len()) as u32;
    let mut given = 0;
    while observer.messages().count() == 1 {
        let _ = observer.data(1, sequence, third);
        sequence += third.len() as u32;
        given += third.len();
    }
    assert!(
        (TCP_REORDER_BYTES_MAX..TCP_REORDER_BYTES_MAX + 2_000).contains(&given)
            || given > 256 * third.len()
    );
    assert_eq!(
        observer.messages().skip(1).filter(|message| message == third).count(),
        given / third.len()
    );
    assert_eq!(observer.ledger.noted(Note::TcpGap), 1);
}

#[test]
fn a_message_with_a_hole_in_its_body_is_given_cut() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, &third[..600]);
    let after = 1 + third.len() as u32;
    let _ = observer.data(1, after, &[&first[..], second].concat());
    observer.finish(Timestamp::from_nanos(2));
    observer.expect(&[&third[..600], first, second]);
    assert_eq!(observer.ledger.noted(Note::TcpResync), 1);
}

#[test]
fn segments_cut_by_the_capture() {
    let (messages, stream) = three();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let packet =
        build::tcp(ALICE, BOB, Segment { sequence: 1, payload: &stream, ..Segment::default() });
    let cut = &packet[..40 + 200];
    let wire_bytes = u32::try_from(packet.len()).unwrap();
    let cut = capture::Frame { wire_bytes, ..frame(LinkType::RawIp, 1, cut) };
    assert_eq!(observer.frame(&cut), IN_SIP);
    observer.expect(&[&messages[0][..200]]);
    assert_eq!(observer.ledger.noted(Note::TcpGap), 1);
    let _ = observer.data(2, 1 + stream.len() as u32, &messages[1]);
    observer.expect(&[&messages[0][..200], &messages[1]]);
}

#[test]
fn joined_in_the_middle() {
    let (messages, stream) = three();
    let [first, second, third] = &messages;
    // At a segment that begins with a message.
    let mut observer = Observer::default();
    assert_eq!(observer.data(0, 77, &first[200..]), OTHER);
    assert_eq!(observer.data(1, 500, second), IN_SIP);
    observer.expect(&[second]);
    // At a line within a segment, and in the other direction too.
    let mut observer = Observer::default();
    assert_eq!(observer.data(0, 77, &stream[200..]), IN_SIP);
    observer.expect(&[second, third]);
    let answer = b"SIP/2.0 200 OK\r\nl: 0\r\n\r\n";
    let from_bob = |observer: &mut Observer, sequence, payload| {
        observer.tcp(2, BOB, ALICE, Segment { sequence, payload, ..Segment::default() })
    };
    assert_eq!(from_bob(&mut observer, 9, b"tag=1\r\nl: 0\r\n\r\nSIP/2.0 2"), IN_SIP);
    assert_eq!(from_bob(&mut observer, 33, b"00 OK\r\nl: 0\r\n\r\n"), IN_SIP);
    observer.expect(&[second, third, answer]);
    assert_eq!(observer.ledger.noted(Note::TcpResync), 0, "it was never in step before");
}

#[test]
fn garbage_in_between() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let stream = [&first[..], b"\x01\x02 garbage\r\n more\r\n", second, third].concat();
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, &stream);
    observer.expect(&[first, second, third]);
    assert_eq!(observer.ledger.noted(Note::TcpResync), 1);
}

#[test]
fn messages_longer_than_allowed_are_skipped() {
    let after = sip("after", 10);
    let fields = "X: y\r\n".repeat(SIP_MESSAGE_BYTES_MAX / 6);
    let long_header = format!("BYE sip:a@b SIP/2.0\r\n{fields}l: 0\r\n\r\n");
    let largest = SIP_MESSAGE_BYTES_MAX - sip("long", 10_000).len() + 10_000;
    let cases = [
        (sip("long", SIP_MESSAGE_BYTES_MAX), 1),
        (long_header.into_bytes(), 1),
        (b"BYE sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n".to_vec(), 1),
        (sip("long", largest), 2),
        (sip("long", largest + 1), 1),
    ];
    for (index, (long, expected)) in cases.iter().enumerate() {
        let stream = [&long[..], &after].concat();
        let mut observer = Observer::default();
        let _ = observer.open(1);
        for (at, piece) in stream.chunks(1_400).enumerate() {
            let _ = observer.data(0, 1 + at as u32 * 1_400, piece);
        }
        assert_eq!(observer.messages().count(), *expected, "case {index}");
        assert_eq!(observer.messages().last(), Some(&after[..]), "case {index}");
    }
}

#[test]
fn what_is_no_sip_leaves_nothing_behind() {
    let openings: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"220 mail ESMTP\r\n",
        b"\0",
    ];
    for opening in openings {
        let mut observer = Observer::default();
        let _ = observer.open(1);
        assert_eq!(observer.demux().held().connections, 1);
        assert_eq!(observer.data(0, 1, opening), OTHER);
        assert_eq!(observer.demux().held(), demux::Held::default(), "{}", opening.escape_ascii());
        assert_eq!(observer.data(0, 1 + opening.len() as u32, &[7; 1_000]), OTHER);
        assert_eq!(observer.demux().held(), demux::Held::default());
    }
}

#[test]
fn a_connection_that_turns_out_to_carry_something_else_is_let_go() {
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let message = sip("a@b", 0);
    let _ = observer.data(0, 1, &message);
    let mut sequence = 1 + message.len() as u32;
    for _ in 0..300 {
        let _ = observer.data(0, sequence, &[7; 1_000]);
        sequence += 1_000;
    }
    assert_eq!(observer.demux().held(), demux::Held::default());
    assert_eq!(observer.data(0, sequence, &message), IN_SIP, "joined anew");
    assert_eq!(observer.messages().count(), 2);
}

#[test]
fn a_new_connection_between_the_same_endpoints() {
    let (messages, _) = three();
    let [first, second, third] = &messages;
    let mut observer = Observer::default();
    let _ = observer.open(1_000);
    let _ = observer.data(0, 1_000, first);
    let _ = observer.data(0, 1_000 + first.len() as u32, &third[..500]);
    let _ = observer.open(3_000_000_000);
    let _ = observer.data(0, 3_000_000_000, second);
    observer.expect(&[first, &third[..500], second]);
    // Its beginning unseen: a leap that begins with a message is believed, another is not.
    let _ = observer.data(0, 10, b"nothing of the kind");
    let _ = observer.data(0, 2_000_000_000, third);
    observer.expect(&[first, &third[..500], second, third]);
}

#[test]
fn both_handshake_directions_set_the_beginning() {
    let message = sip("a@b", 0);
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let syn = Segment { sequence: 99, acknowledgment: Some(1), flags: SYN, ..Segment::default() };
    let _ = observer.tcp(0, BOB, ALICE, syn);
    // Bob's second half first: only the SYN tells that it is not the first.
    let from_bob = |observer: &mut Observer, sequence, payload| {
        observer.tcp(1, BOB, ALICE, Segment { sequence, payload, ..Segment::default() })
    };
    let _ = from_bob(&mut observer, 120, &message[20..]);
    let _ = from_bob(&mut observer, 100, &message[..20]);
    observer.expect(&[&message]);
}

#[test]
fn closed_and_reset_connections_make_room() {
    let message = sip("a@b", 0);
    let end = 1 + message.len() as u32;
    for (flags, both) in [(FIN, true), (RST, false)] {
        let mut observer = Observer::default();
        let _ = observer.open(1);
        let _ = observer.data(0, 1, &message);
        let last = Segment { sequence: end, flags, ..Segment::default() };
        assert_eq!(observer.tcp(0, ALICE, BOB, last), IN_SIP);
        if both {
            assert_eq!(observer.tcp(0, BOB, ALICE, last), IN_SIP);
        }
        assert_eq!(observer.demux().held().connections, 1, "for what comes late");
        let udp = build::udp("192.0.2.9:1", "192.0.2.8:2", b"");
        let _ = observer.frame(&frame(LinkType::RawIp, 32_000 * MILLISECOND, &udp));
        assert_eq!(observer.demux().held().connections, 0);
    }
}

#[test]
fn a_silent_connection_is_forgotten_and_joined_anew() {
    let message = sip("a@b", 0);
    let mut observer = Observer::default();
    let _ = observer.open(1);
    let _ = observer.data(0, 1, &message);
    let late = (TCP_IDLE_SECONDS_MAX + 2) * 1_000 * MILLISECOND;
    let udp = build::udp("192.0.2.9:1", "192.0.2.8:2", b"");
    let _ = observer.frame(&frame(LinkType::RawIp, late, &udp));
    assert_eq!(observer.demux().held().connections, 0);
    assert_eq!(observer.data(late, 1 + message.len() as u32, &message), IN_SIP);
    assert_eq!(observer.messages().count(), 2);
}

#[test]
fn a_body_that_looks_like_a_start_line_does_not_lose_the_framing() {
    let fragment = b"SIP/2.0 200 OK\r\n";
    let head = format!("NOTIFY sip:a@b SIP/2.0\r\nContent-Length: {}\r\n\r\n", fragment.len());
    let notify = [head.as_bytes(), fragment].concat();
    let after = sip("after", 5);
    let mut observer = Observer::default();
    assert_eq!(observer.data(0, 1, &[&notify[..], &after].concat()), IN_SIP);
    observer.expect(&[&notify, &after]);
    // Joined in the middle of it, too.
    let mut observer = Observer::default();
    assert_eq!(observer.data(0, 1, &[&notify[30..], &after].concat()), IN_SIP);
    observer.expect(&[&after]);
}

proptest! {
    /// Whatever the segments, the order in which they come and the copies: the messages are the same.
    #[test]
    fn any_segmentation_and_order(
        bodies in prop::collection::vec(0_usize..2_000, 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        seed in any::<u64>(),
        first in any::<u32>(),
    ) {
        let messages: Vec<Vec<u8>> =
            bodies.iter().enumerate().map(|(id, bytes)| sip(&id.to_string(), *bytes)).collect();
        let stream = messages.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut segments: Vec<(usize, usize)> = cuts.windows(2).map(|cut| (cut[0], cut[1])).collect();
        segments.extend(copies.iter().map(|copy| segments[copy.index(cuts.len() - 1)]).collect::<Vec<_>>());
        shuffle(&mut segments, seed);
        let mut observer = Observer::default();
        let _ = observer.open(first);
        for (from, to) in segments {
            let sequence = first.wrapping_add(u32::try_from(from).unwrap());
            let _ = observer.data(1, sequence, &stream[from..to]);
        }
        prop_assert_eq!(observer.messages().collect::<Vec<_>>(), messages);
        prop_assert_eq!(observer.ledger.noted(Note::TcpGap), 0);
        prop_assert_eq!(observer.demux().held().connection_bytes, 0);
    }

    /// Segments are lost: every message that no lost segment touched is given, whole and in order, once
    /// the stream ends.
    #[test]
    fn lost_segments_cost_only_the_messages_they_touch(
        bodies in prop::collection::vec(0_usize..2_000, 1..8),
        segment_bytes in 100_usize..1_500,
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let messages: Vec<Vec<u8>> =
            bodies.iter().enumerate().map(|(id, bytes)| sip(&id.to_string(), *bytes)).collect();
        let stream = messages.concat();
        let pieces: Vec<&[u8]> = stream.chunks(segment_bytes).collect();
        let lost: Vec<usize> = lost.iter().map(|index| index.index(pieces.len())).collect();
        let mut observer = Observer::default();
        let hello = b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\n\r\n";
        let _ = observer.data(0, 1u32.wrapping_sub(hello.len() as u32), hello);
        observer.seen.clear();
        for (index, piece) in pieces.iter().enumerate().filter(|(index, _)| !lost.contains(index)) {
            let _ = observer.data(1, 1 + u32::try_from(index * segment_bytes).unwrap(), piece);
        }
        observer.finish(Timestamp::from_nanos(2));
        let mut begin = 0;
        let untouched = messages.iter().enumerate().filter(|(_, message)| {
            let range = begin / segment_bytes..=(begin + message.len() - 1) / segment_bytes;
            begin += message.len();
            !lost.iter().any(|index| range.contains(index))
        });
        let given = observer.messages().filter_map(|given| messages.iter().position(|sent| sent == given));
        let given: Vec<usize> = given.collect();
        prop_assert_eq!(given, untouched.map(|(index, _)| index).collect::<Vec<_>>());
        let cut = observer.messages().filter(|given| messages.iter().all(|message| message != given));
        for given in cut {
            prop_assert!(messages.iter().any(|message| message.starts_with(given)));
        }
    }
}

/// Fisher and Yates, with a generator good enough for that.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, (seed >> 33) as usize % (last + 1));
    }
}
