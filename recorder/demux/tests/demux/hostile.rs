//! Frames from an enemy: nothing panics, everything stays within its limits, every frame is accounted for.

use base::limits::{
    FRAGMENT_BYTES_MAX, FRAGMENTED_DATAGRAMS_MAX, FRAME_BYTES_MAX, TCP_BYTES_MAX,
    TCP_CONNECTIONS_MAX,
};
use base::{Outcome, Timestamp};
use capture::{Frame, LinkType};
use demux::Handled;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::build::{self, Segment, ethernet, fragments, frame, sip, tagged, tcp, udp};
use crate::observe::Observer;

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
    LinkType::LinuxCooked,
    LinkType::LinuxCookedV2,
    LinkType::Other(105),
];

const WORDS: [&[u8]; 14] = [
    b"INVITE sip:a@b SIP/2.0\r\n",
    b"SIP/2.0 200 OK\r\n",
    b"BYE sip:",
    b" SIP/2.0",
    b"SIP/2.0",
    b"Via: SIP/2.0/TCP a\r\n",
    b"Content-Length: 20\r\n",
    b"l: 0\n",
    b"l: 70000\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"v=0 body without an end",
    b"\0\xff",
];

#[track_caller]
fn within_limits(observer: &Observer) {
    let held = observer.demux().held();
    assert!(held.datagrams <= FRAGMENTED_DATAGRAMS_MAX, "{held:?}");
    assert!(held.datagram_bytes <= FRAGMENT_BYTES_MAX, "{held:?}");
    assert!(held.connections <= TCP_CONNECTIONS_MAX, "{held:?}");
    assert!(held.connection_bytes <= TCP_BYTES_MAX, "{held:?}");
    assert!(observer.ledger.balances());
}

/// Valid frames of many shapes, to be spoiled.
fn seeds() -> Vec<Vec<u8>> {
    let long = sip("long", 2_000);
    let (a, b) = ("192.0.2.1:5060", "192.0.2.2:5060");
    let (a6, b6) = ("[2001:db8::1]:5060", "[2001:db8::2]:5060");
    let segment =
        |sequence, flags, payload| Segment { sequence, flags, payload, ..Segment::default() };
    let mut packets = vec![udp(a, b, &build::rtp(1)), udp(a6, b6, &long), udp(a, b, &long)];
    packets.extend(fragments(&udp(a, b, &long), 1, 800));
    packets.extend(fragments(&udp(a6, b6, &long), 1, 800));
    packets.push(tcp(a, b, segment(0, 2, b"")));
    packets.push(tcp(a, b, segment(1, 0, &long[..700])));
    packets.push(tcp(a, b, segment(701, 0, &long[700..])));
    packets.push(tcp(b, a, segment(0x8000_0000, 0, &long)));
    packets.push(tcp(a6, b6, segment(u32::MAX - 9, 0, &long)));
    packets.push(tcp(a, b, segment(2_101, 1, b"\r\n\r\n")));
    let tags = [(0x88a8, 100), (0x8100, 7)];
    packets.iter().map(|packet| ethernet(packet)).chain([tagged(&tags, &packets[0])]).collect()
}

/// What to do to a frame: which, which bytes to overwrite, where to cut it.
fn spoiled() -> impl Strategy<Value = (Index, Vec<(Index, u8)>, Option<Index>, u64)> {
    let bytes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    (any::<Index>(), bytes, prop::option::weighted(0.2, any::<Index>()), any::<u64>())
}

proptest! {
    #[test]
    fn arbitrary_frames(
        link in select(LINKS.to_vec()),
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), any::<u64>(), any::<u16>()), 0..20),
    ) {
        let mut observer = Observer::default();
        for (data, nanos, missing) in &frames {
            let wire_bytes = u32::try_from(data.len()).unwrap() + u32::from(*missing);
            let _ = observer.frame(&Frame { wire_bytes, ..frame(link, *nanos, data) });
        }
        within_limits(&observer);
        observer.finish(Timestamp::MAX);
    }

    /// Arbitrary bytes behind a header that leads on.
    #[test]
    fn arbitrary_payloads(
        frames in prop::collection::vec((
            select(vec![0_u8, 6, 17, 43, 44, 51, 60]),
            any::<bool>(),
            any::<u16>(),
            prop::collection::vec(any::<u8>(), 0..120),
        ), 0..30),
    ) {
        let mut observer = Observer::default();
        for (protocol, v6, place, payload) in &frames {
            let (a, b) = if *v6 { ("::1", "::2") } else { ("10.0.0.1", "10.0.0.2") };
            let mut packet = build::ip(a.parse().unwrap(), b.parse().unwrap(), *protocol, payload);
            if !v6 {
                packet.splice(6..8, place.to_be_bytes()).for_each(drop);
            }
            let _ = observer.frame(&frame(LinkType::RawIp, 0, &packet));
        }
        within_limits(&observer);
        observer.finish(Timestamp::MAX);
    }

    /// A TCP stream of what SIP is made of, in any order, cut and shuffled anyhow.
    #[test]
    fn scrambled_sip_streams(
        words in prop::collection::vec(select(WORDS.to_vec()), 0..80),
        cuts in prop::collection::vec(1_usize..60, 1..20),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 0..6),
        opened in any::<bool>(),
    ) {
        let stream = words.concat();
        let mut segments = Vec::new();
        let (mut at, mut cuts) = (0, cuts.iter().cycle());
        while at < stream.len() {
            let end = stream.len().min(at + cuts.next().unwrap());
            segments.push((u32::try_from(at).unwrap(), &stream[at..end]));
            at = end;
        }
        for (a, b) in swaps {
            let count = segments.len();
            if count == 0 {
                break;
            }
            let (a, b) = (a.index(count), b.index(count));
            segments.swap(a, b);
        }
        let mut observer = Observer::default();
        let mut send = |sequence: u32, flags, payload| {
            let segment = Segment { sequence, flags, payload, ..Segment::default() };
            let packet = tcp("192.0.2.1:5060", "192.0.2.2:5060", segment);
            let _ = observer.frame(&frame(LinkType::RawIp, u64::from(sequence) * 1_000_000, &packet));
        };
        if opened {
            send(u32::MAX, 2, &[]);
        }
        for (sequence, payload) in segments {
            send(sequence, 0, payload);
        }
        within_limits(&observer);
        observer.finish(Timestamp::MAX);
        let given: usize = observer.messages().map(<[u8]>::len).sum();
        prop_assert!(given <= stream.len(), "no byte is given twice");
        for message in observer.messages() {
            let line = message.split(|byte| *byte == b'\n').next().unwrap().trim_ascii_end();
            prop_assert!(line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0"));
        }
    }

    /// Sound traffic with bytes overwritten, frames cut and times at random.
    #[test]
    fn spoiled_traffic(changes in prop::collection::vec(spoiled(), 0..60)) {
        let seeds = seeds();
        let mut observer = Observer::default();
        for (which, bytes, cut, nanos) in changes {
            let mut data = seeds[which.index(seeds.len())].clone();
            for (place, byte) in bytes {
                let place = place.index(data.len());
                data[place] = byte;
            }
            let whole = u32::try_from(data.len()).unwrap();
            if let Some(cut) = cut {
                data.truncate(cut.index(data.len()));
            }
            // Most times are near each other, as they are in a capture.
            let nanos = if nanos % 4 == 0 { nanos } else { nanos % 10_000_000_000 };
            let _ = observer.frame(&Frame { wire_bytes: whole, ..frame(LinkType::Ethernet, nanos, &data) });
        }
        within_limits(&observer);
        observer.finish(Timestamp::MAX);
    }
}

fn address(number: u32) -> String {
    let [_, b, c, d] = number.to_be_bytes();
    format!("10.{b}.{c}.{d}:40000")
}

#[test]
fn a_flood_of_connections_is_opened() {
    let mut observer = Observer::default();
    let message = sip("a@b", 0);
    let established = Segment { sequence: 1, payload: &message[..50], ..Segment::default() };
    let known = tcp("192.0.2.1:5060", "192.0.2.2:5060", established);
    let _ = observer.frame(&frame(LinkType::RawIp, 0, &known));
    for number in 0..2 * TCP_CONNECTIONS_MAX as u32 {
        let syn = Segment { flags: 2, ..Segment::default() };
        let packet = tcp(&address(number), "192.0.2.2:80", syn);
        let ended = observer.frame(&frame(LinkType::RawIp, 1, &packet));
        assert_eq!(ended, Handled::Ended(Outcome::OtherTcp));
    }
    within_limits(&observer);
    assert_eq!(observer.demux().held().connections, TCP_CONNECTIONS_MAX);
    let rest = Segment { sequence: 51, payload: &message[50..], ..Segment::default() };
    let _ =
        observer.frame(&frame(LinkType::RawIp, 2, &tcp("192.0.2.1:5060", "192.0.2.2:5060", rest)));
    assert_eq!(observer.messages().collect::<Vec<_>>(), [&message[..]], "what carries SIP is kept");
}

#[test]
fn more_sip_connections_than_are_followed() {
    let mut observer = Observer::default();
    let message = sip("a@b", 0);
    let opening = Segment { sequence: 1, payload: &message, ..Segment::default() };
    for number in 0..TCP_CONNECTIONS_MAX as u32 + 10 {
        let _ = observer.frame(&frame(
            LinkType::RawIp,
            1,
            &tcp(&address(number), "192.0.2.2:80", opening),
        ));
    }
    within_limits(&observer);
    assert_eq!(observer.ledger.of(Outcome::TcpTableFull), 10);
    assert_eq!(observer.messages().count(), TCP_CONNECTIONS_MAX);
}

#[test]
fn more_bytes_out_of_order_than_are_kept() {
    let mut observer = Observer::default();
    let message = sip("a@b", 60_000);
    for number in 0..2_000 {
        let opening = Segment { sequence: 1, payload: &message[..60_000], ..Segment::default() };
        let _ = observer.frame(&frame(
            LinkType::RawIp,
            1,
            &tcp(&address(number), "192.0.2.2:80", opening),
        ));
    }
    within_limits(&observer);
    let held = observer.demux().held();
    assert!(held.connection_bytes > TCP_BYTES_MAX / 2, "{held:?}");
    assert_eq!(observer.messages().count(), 2_000 - held.connections, "given cut when given up");
    observer.finish(Timestamp::ZERO);
    assert_eq!(observer.messages().count(), 2_000);
}

#[test]
fn the_largest_frames() {
    for fill in [0_u8, b'A', b'\n', 0x45, 0x80, 0xff] {
        for link in LINKS {
            let data = vec![fill; FRAME_BYTES_MAX];
            let mut observer = Observer::default();
            let _ = observer.frame(&frame(link, 0, &data));
            within_limits(&observer);
        }
    }
}
