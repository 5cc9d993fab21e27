//! Fragmented datagrams: every order, copies, overlaps, age and limits.

use base::ledger::Note;
use base::limits::{FRAGMENT_AGE_SECONDS_MAX, FRAGMENT_BYTES_MAX, FRAGMENTED_DATAGRAMS_MAX};
use base::{Outcome, Timestamp};
use capture::LinkType;
use demux::Handled;
use proptest::prelude::*;

use crate::build::{self, fragment, fragments, frame, tagged, udp};
use crate::observe::Observer;

const ALICE: &str = "192.0.2.1:5060";
const BOB: &str = "198.51.100.2:5060";
const FAMILIES: [(&str, &str); 2] = [(ALICE, BOB), ("[2001:db8::1]:5060", "[2001:db8::2]:5060")];
const SECOND: u64 = 1_000_000_000;
const HELD: Handled = Handled::Ended(Outcome::FragmentHeld);

impl Observer {
    fn raw(&mut self, nanos: u64, packet: &[u8]) -> Handled {
        self.frame(&frame(LinkType::RawIp, nanos, packet))
    }
}

#[test]
fn in_order_and_reversed() {
    let message = build::sip("a@b", 3_000);
    for (source, destination) in FAMILIES {
        let packet = udp(source, destination, &message);
        let mut parts = fragments(&packet, 7, 1_480);
        assert_eq!(parts.len(), 3);
        for _ in 0..2 {
            let mut observer = Observer::default();
            let ends: Vec<Handled> = parts.iter().map(|part| observer.raw(0, part)).collect();
            assert_eq!(ends, [HELD, HELD, Handled::Datagram]);
            assert_eq!(observer.messages().collect::<Vec<_>>(), [message.as_slice()]);
            parts.reverse();
        }
    }
}

#[test]
fn mirrored_copies_do_no_harm() {
    let message = build::sip("a@b", 2_000);
    let parts = fragments(&udp(ALICE, BOB, &message), 7, 1_480);
    let copy = Handled::Ended(Outcome::DuplicateFrame);
    let mut observer = Observer::default();
    let order = [&parts[0], &parts[0], &parts[1], &parts[1]];
    let ends = order.map(|part| observer.raw(0, part));
    assert_eq!(ends, [HELD, copy, Handled::Datagram, copy]);
    let mut observer = Observer::default();
    let order = [&parts[0], &parts[1], &parts[0], &parts[1]];
    let ends = order.map(|part| observer.raw(0, part));
    assert_eq!(ends, [HELD, Handled::Datagram, copy, copy]);
    observer.finish(Timestamp::ZERO);
    assert_eq!(observer.messages().count(), 1);
    assert_eq!(observer.ledger.noted(Note::DatagramIncomplete), 0);
}

#[test]
fn an_id_is_used_again() {
    let mut observer = Observer::default();
    let messages = [build::sip("first", 2_000), build::sip("second", 2_000)];
    for message in &messages {
        for part in fragments(&udp(ALICE, BOB, message), 7, 1_480) {
            let _ = observer.raw(0, &part);
        }
    }
    assert_eq!(observer.messages().collect::<Vec<_>>(), [&messages[0], &messages[1]]);
    // Later than any copy: the same again is SIP's retransmission.
    for part in fragments(&udp(ALICE, BOB, &messages[1]), 7, 1_480) {
        let _ = observer.raw(SECOND / 2, &part);
    }
    assert_eq!(observer.messages().count(), 3);
}

#[test]
fn what_tells_datagrams_apart() {
    let message = build::sip("a@b", 2_000);
    let parts = |source: &str| fragments(&udp(source, BOB, &message), 7, 1_480);
    let (alice, carol) = (parts(ALICE), parts("192.0.2.3:5060"));
    let other_id = fragments(&udp(ALICE, BOB, &message), 8, 1_480);
    let mut observer = Observer::default();
    assert_eq!(observer.raw(0, &alice[0]), HELD);
    assert_eq!(observer.raw(0, &carol[1]), HELD, "another source");
    assert_eq!(observer.raw(0, &other_id[1]), HELD, "another id");
    let in_vlan = tagged(&[(0x8100, 5)], &alice[1]);
    assert_eq!(observer.frame(&frame(LinkType::Ethernet, 0, &in_vlan)), HELD, "another domain");
    assert_eq!(observer.raw(0, &alice[1]), Handled::Datagram);
}

#[test]
fn where_fragments_overlap_the_first_bytes_win() {
    for (source, destination) in FAMILIES {
        let packet = udp(source, destination, &[b'a'; 32]);
        let (header, payload) = packet.split_at(packet.len() - 40);
        let forged = [b'z'; 24];
        let mut observer = Observer::default();
        assert_eq!(observer.raw(0, &fragment(header, 7, 0, true, &payload[..16])), HELD);
        assert_eq!(observer.raw(0, &fragment(header, 7, 32, false, &payload[32..])), HELD);
        assert_eq!(observer.raw(0, &fragment(header, 7, 8, true, &forged)), Handled::Datagram);
        let expected = [&[b'a'; 8][..], &[b'z'; 16], &[b'a'; 8]].concat();
        let payloads: Vec<&[u8]> = observer.payloads().collect();
        assert_eq!(payloads, [expected.as_slice()], "{source}");
    }
}

#[test]
fn the_rest_never_comes() {
    let parts = fragments(&udp(ALICE, BOB, &build::sip("a@b", 2_000)), 7, 1_480);
    let mut observer = Observer::default();
    assert_eq!(observer.raw(0, &parts[0]), HELD);
    let late = (FRAGMENT_AGE_SECONDS_MAX + 2) * SECOND;
    assert_eq!(observer.raw(late, &parts[1]), HELD);
    assert_eq!(observer.ledger.noted(Note::DatagramIncomplete), 1);
    assert_eq!(observer.demux().held().datagrams, 1);
    observer.finish(Timestamp::ZERO);
    assert_eq!(observer.ledger.noted(Note::DatagramIncomplete), 2);
}

#[test]
fn a_clock_set_back_does_not_keep_them_forever() {
    let parts = fragments(&udp(ALICE, BOB, &build::sip("a@b", 2_000)), 7, 1_480);
    let mut observer = Observer::default();
    assert_eq!(observer.raw(u64::MAX, &parts[0]), HELD);
    let _ = observer.raw(SECOND, &udp(ALICE, BOB, b""));
    assert_eq!(observer.demux().held().datagrams, 0);
}

#[test]
fn contradictions() {
    let packet = udp(ALICE, BOB, &[7; 100]);
    let (header, payload) = packet.split_at(20);
    let mut observer = Observer::default();
    let mut end =
        |offset, more, piece: &[u8]| observer.raw(0, &fragment(header, 7, offset, more, piece));
    let malformed = Handled::Ended(Outcome::Malformed);
    assert_eq!(end(0, true, &payload[..12]), malformed, "not a multiple of 8");
    assert_eq!(end(0, true, &[]), malformed, "empty");
    assert_eq!(end(65_528, false, &[0; 8]), malformed, "beyond the longest datagram");
    assert_eq!(end(64, true, &[0; 32]), HELD);
    assert_eq!(end(8, false, &[0; 8]), malformed, "an end before what came already");
    assert_eq!(end(96, false, &[0; 12]), HELD);
    assert_eq!(end(96, true, &[0; 16]), malformed, "bytes behind the end");
    let mut gre = fragment(header, 8, 0, true, &payload[..16]);
    gre[9] = 47;
    assert_eq!(observer.raw(0, &gre), Handled::Ended(Outcome::OtherProtocol));
}

#[test]
fn a_cut_fragment_is_no_use() {
    let parts = fragments(&udp(ALICE, BOB, &build::sip("a@b", 2_000)), 7, 1_480);
    let mut observer = Observer::default();
    let ended = observer.raw(0, &parts[0][..100]);
    assert_eq!(ended, Handled::Ended(Outcome::Truncated));
}

#[test]
fn ipv6_extensions_behind_the_fragment_header() {
    let datagram = build::udp_datagram("[::1]:5060", "[::2]:5060", &build::sip("a@b", 200));
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &datagram].concat();
    let packet =
        build::ip("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), 60, &options);
    let mut observer = Observer::default();
    let ends: Vec<_> =
        fragments(&packet, 7, 104).iter().map(|part| observer.raw(0, part)).collect();
    assert_eq!(ends.last(), Some(&Handled::Datagram));
    assert_eq!(observer.messages().count(), 1);
}

#[test]
fn a_flood_of_first_fragments_fills_the_table_and_no_more() {
    let packet = udp(ALICE, BOB, &[7; 1_000]);
    let header = &packet[..20];
    let mut observer = Observer::default();
    for id in 0..u16::MAX {
        let _ = observer.raw(0, &fragment(header, id, 0, true, &[7; 8]));
    }
    let held = observer.demux().held();
    assert_eq!(held.datagrams, FRAGMENTED_DATAGRAMS_MAX);
    let refused = u64::from(u16::MAX) - FRAGMENTED_DATAGRAMS_MAX as u64;
    assert_eq!(observer.ledger.of(Outcome::FragmentTableFull), refused);
    // When they are too old, there is room again.
    let _ = observer.raw(40 * SECOND, &udp(ALICE, BOB, b""));
    assert_eq!(observer.demux().held().datagrams, 0);
}

#[test]
fn a_flood_of_last_fragments_takes_no_more_bytes_than_allowed() {
    let packet = udp(ALICE, BOB, &[7; 1_000]);
    let header = &packet[..20];
    let mut observer = Observer::default();
    for id in 0..2_000 {
        let _ = observer.raw(0, &fragment(header, id, 65_000, false, &[7; 8]));
    }
    let held = observer.demux().held();
    assert!(held.datagram_bytes <= FRAGMENT_BYTES_MAX, "{held:?}");
    assert_eq!(held.datagrams, FRAGMENT_BYTES_MAX / 65_536);
    assert!(observer.ledger.of(Outcome::FragmentTableFull) > 0);
}

#[test]
fn a_datagram_in_tiny_pieces_with_holes_is_given_up() {
    let packet = udp(ALICE, BOB, &[7; 1_000]);
    let header = &packet[..20];
    let mut observer = Observer::default();
    let ends: Vec<_> = (0..100)
        .map(|piece| observer.raw(0, &fragment(header, 7, piece * 16, true, &[7; 8])))
        .collect();
    assert_eq!(ends.iter().filter(|end| **end == HELD).count(), 64);
    assert_eq!(ends.last(), Some(&Handled::Ended(Outcome::FragmentTableFull)));
    let joining = observer.raw(0, &fragment(header, 7, 8, true, &[7; 8]));
    assert_eq!(joining, HELD, "what closes a hole is still taken");
}

proptest! {
    /// Any order, any copies: one datagram, as it was sent.
    #[test]
    fn any_order_gives_the_same(
        body_bytes in 0_usize..6_000,
        piece_words in 1_usize..200,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
        v6 in any::<bool>(),
    ) {
        let (source, destination) = FAMILIES[usize::from(v6)];
        let message = build::sip("a@b", body_bytes);
        // Few enough pieces that their order cannot leave too many stretches.
        let piece_words = piece_words.clamp(message.len() / 8 / 60 + 1, message.len() / 16);
        let parts = fragments(&udp(source, destination, &message), 7, piece_words * 8);
        let mut observer = Observer::default();
        for index in order {
            let _ = observer.raw(0, &parts[index.index(parts.len())]);
        }
        for part in &parts {
            let _ = observer.raw(0, part);
        }
        prop_assert_eq!(observer.messages().collect::<Vec<_>>(), [message.as_slice()]);
    }
}
