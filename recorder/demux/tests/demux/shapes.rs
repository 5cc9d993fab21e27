//! One frame of each shape: the packet that it gives, or how it ended.

use base::{Domain, Outcome, Transport};
use capture::{Frame, LinkType};
use demux::{Guess, Handled};
use proptest::prelude::*;

use crate::build::{self, ethernet, flow, frame, ip, rtp, tagged, tcp, udp};
use crate::observe::{Observer, Seen};

const ALICE: &str = "192.0.2.1:16384";
const BOB: &str = "198.51.100.2:20000";
const ALICE_6: &str = "[2001:db8::1]:16384";
const BOB_6: &str = "[2001:db8::2]:20000";

/// What the frame gives, in the order in which it does.
fn run(frame: &Frame<'_>) -> (Handled, Vec<Seen>) {
    let mut observer = Observer::default();
    let handled = observer.frame(frame);
    (handled, observer.seen.into_iter().map(|(_, seen)| seen).collect())
}

fn ends(link: LinkType, data: &[u8]) -> Outcome {
    match run(&frame(link, 0, data)) {
        (Handled::Ended(outcome), seen) if seen.is_empty() => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_datagram_is_the_same_in_every_encapsulation() {
    let vlan = Domain::UNTAGGED.within_vlan(100);
    let nested = vlan.within_vlan(7);
    let prefixed = |prefix: &[u8], packet: &[u8]| [prefix, packet].concat();
    for (source, destination) in [(ALICE, BOB), (ALICE_6, BOB_6)] {
        let packet = udp(source, destination, &rtp(1));
        let [high, low] = if source == ALICE { [0x08, 0x00] } else { [0x86, 0xdd] };
        let family = if source == ALICE { 2 } else { 30 };
        let cooked_v1 = [&[0; 14][..], &[high, low]].concat();
        let cooked_v2 = [&[high, low][..], &[0; 18]].concat();
        let cooked_vlan = [&[0; 14][..], &[0x81, 0x00, 0, 100, high, low]].concat();
        let cases = [
            (LinkType::Ethernet, ethernet(&packet), Domain::UNTAGGED),
            (LinkType::Ethernet, [ethernet(&packet), vec![0xaa; 9]].concat(), Domain::UNTAGGED),
            (LinkType::Ethernet, tagged(&[(0x8100, 100)], &packet), vlan),
            (LinkType::Ethernet, tagged(&[(0x88a8, 100), (0x8100, 7)], &packet), nested),
            (LinkType::Ethernet, tagged(&[(0x9100, 100), (0x8100, 7)], &packet), nested),
            (LinkType::RawIp, packet.clone(), Domain::UNTAGGED),
            (LinkType::Null, prefixed(&[family, 0, 0, 0], &packet), Domain::UNTAGGED),
            (LinkType::Loop, prefixed(&[0, 0, 0, family], &packet), Domain::UNTAGGED),
            (LinkType::LinuxCooked, prefixed(&cooked_v1, &packet), Domain::UNTAGGED),
            (LinkType::LinuxCooked, prefixed(&cooked_vlan, &packet), vlan),
            (LinkType::LinuxCookedV2, prefixed(&cooked_v2, &packet), Domain::UNTAGGED),
        ];
        for (index, (link, data, domain)) in cases.into_iter().enumerate() {
            let mut key = flow(source, destination);
            key.domain = domain;
            let expected = Seen::Udp { key, guess: Guess::Rtp, payload: rtp(1), wire_bytes: 172 };
            let given = run(&frame(link, 0, &data));
            assert_eq!(given, (Handled::Datagram, vec![expected]), "case {index}, {source}");
        }
    }
}

#[test]
fn sip_is_found_on_any_port_and_behind_newlines() {
    let message = build::sip("a@b", 10);
    for payload in [message.clone(), [b"\r\n\r\n", message.as_slice()].concat()] {
        let data = ethernet(&udp(ALICE, BOB, &payload));
        let key = flow(ALICE, BOB);
        let expected = Seen::Sip { key, transport: Transport::Udp, message: message.clone() };
        assert_eq!(run(&frame(LinkType::Ethernet, 0, &data)), (Handled::Datagram, vec![expected]));
    }
}

#[test]
fn other_datagrams_are_given_with_a_guess() {
    let rtcp = [&[0x80, 200, 0, 6][..], &[0; 24]].concat();
    let cases: [(&[u8], Guess); 5] = [
        (&rtcp, Guess::Rtcp),
        (b"\r\n\r\n", Guess::Other),
        (b"", Guess::Other),
        (b"GET / HTTP/1.1\r\n\r\n", Guess::Other),
        (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], Guess::Other),
    ];
    for (payload, expected) in cases {
        let data = ethernet(&udp(ALICE, BOB, payload));
        let (_, seen) = run(&frame(LinkType::Ethernet, 0, &data));
        let [Seen::Udp { guess, payload: given, .. }] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((*guess, given.as_slice()), (expected, payload));
    }
}

#[test]
fn a_datagram_cut_by_the_capture_says_how_long_it_was() {
    let whole = ethernet(&udp(ALICE, BOB, &rtp(1)));
    let cut = Frame { data: &whole[..60], ..frame(LinkType::Ethernet, 0, &whole) };
    let (handled, seen) = run(&cut);
    assert_eq!(handled, Handled::Datagram);
    let payload = rtp(1)[..18].to_vec();
    let key = flow(ALICE, BOB);
    assert_eq!(seen, [Seen::Udp { key, guess: Guess::Rtp, payload, wire_bytes: 172 }]);
    let message = build::sip("a@b", 900);
    let whole = ethernet(&udp(ALICE, BOB, &message));
    let cut = Frame { data: &whole[..200], ..frame(LinkType::Ethernet, 0, &whole) };
    let message = message[..158].to_vec();
    assert_eq!(run(&cut).1, [Seen::Sip { key, transport: Transport::Udp, message }]);
    let no_ports = Frame { data: &whole[..36], ..cut };
    assert_eq!(run(&no_ports).0, Handled::Ended(Outcome::Truncated));
}

#[test]
fn a_datagram_longer_than_its_length_fields() {
    // As a sender's own capture shows what its network card is to cut into segments.
    let payload = vec![7; 80_000];
    let mut data = ethernet(&udp(ALICE, BOB, &[]));
    data.splice(16..18, [0, 0]).for_each(drop);
    data.splice(38..40, [0, 0]).for_each(drop);
    data.extend_from_slice(&payload);
    let key = flow(ALICE, BOB);
    let expected = Seen::Udp { key, guess: Guess::Other, payload, wire_bytes: u16::MAX };
    assert_eq!(run(&frame(LinkType::Ethernet, 0, &data)), (Handled::Datagram, vec![expected]));
    let long_sip = [build::sip("a@b", 0), vec![b'x'; 70_000]].concat();
    data.splice(42.., long_sip).for_each(drop);
    assert_eq!(ends(LinkType::Ethernet, &data), Outcome::Malformed);
}

#[test]
fn how_other_frames_end() {
    let with = |at: usize, byte: u8| {
        let mut data = ethernet(&udp(ALICE, BOB, &rtp(1)));
        data[at] = byte;
        data
    };
    let [alice, bob] = [ALICE, BOB].map(|text| text.parse::<std::net::SocketAddr>().unwrap().ip());
    let icmp = ethernet(&ip(alice, bob, 1, &[8, 0, 0, 0, 0, 0, 0, 0]));
    let gre = ethernet(&ip(alice, bob, 47, &[0; 40]));
    let http = ethernet(&tcp(
        ALICE,
        BOB,
        build::Segment { payload: b"GET / HTTP/1.1\r\n\r\n", ..Default::default() },
    ));
    let too_many_tags = tagged(&[(0x8100, 1); 5], &udp(ALICE, BOB, b""));
    let cases = [
        (with(12, 0x81), Outcome::NotIp),
        (with(14, 0x65), Outcome::Malformed),
        (with(14, 0x44), Outcome::Malformed),
        (with(17, 19), Outcome::Malformed),
        (with(38, 0xff), Outcome::Malformed),
        (with(39, 7), Outcome::Malformed),
        (too_many_tags, Outcome::Malformed),
        (icmp, Outcome::OtherProtocol),
        (gre, Outcome::OtherProtocol),
        (http, Outcome::OtherTcp),
        (vec![0; 13], Outcome::Truncated),
        (ethernet(&udp(ALICE, BOB, &rtp(1)))[..33].to_vec(), Outcome::Truncated),
    ];
    for (index, (data, outcome)) in cases.iter().enumerate() {
        assert_eq!(ends(LinkType::Ethernet, data), *outcome, "case {index}");
    }
    assert_eq!(ends(LinkType::Other(147), &with(12, 0x08)), Outcome::UnknownLink);
}

proptest! {
    /// What pnet builds is read back: addresses, ports, payload.
    #[test]
    fn agrees_with_another_implementation(
        addresses in prop_oneof![
            any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.into(), b.into())),
            any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (a.into(), b.into())),
        ],
        ports in any::<(u16, u16)>(),
        payload in prop::collection::vec(any::<u8>(), 0..400),
        padding in 0_usize..50,
        tags in prop::collection::vec(1_u16..4_095, 0..=2),
    ) {
        let (source, destination): (std::net::IpAddr, std::net::IpAddr) = addresses;
        let [source, destination] = [(source, ports.0), (destination, ports.1)]
            .map(std::net::SocketAddr::from)
            .map(|address| address.to_string());
        let tags: Vec<(u16, u16)> = tags.into_iter().map(|id| (0x8100, id)).collect();
        let mut data = tagged(&tags, &udp(&source, &destination, &payload));
        data.resize(data.len() + padding, 0);
        let (handled, seen) = run(&frame(LinkType::Ethernet, 0, &data));
        prop_assert_eq!(handled, Handled::Datagram);
        let mut expected_key = flow(&source, &destination);
        for (_, id) in tags {
            expected_key.domain = expected_key.domain.within_vlan(id);
        }
        let expected_wire_bytes = payload.len();
        match &seen[0] {
            Seen::Udp { key, payload: given, wire_bytes, .. } => {
                prop_assert_eq!(*key, expected_key);
                prop_assert_eq!(given, &payload);
                prop_assert_eq!(usize::from(*wire_bytes), expected_wire_bytes);
            }
            Seen::Sip { message, .. } => prop_assert!(payload.ends_with(message)),
        }
    }
}
