//! Every shape of headers that leads to UDP or TCP, and what the payload looks like there.

use abi::{Class, Meta, Reason, meta_flags};

use super::frames::*;
use super::rig::with;
use crate::xdp::Settings;

/// The description without the time.
fn timeless(meta: Meta) -> Meta {
    Meta { time: 0, ..meta }
}

/// A description of a packet over UDP whose IP header is at `l3` and UDP header at `l4`.
fn over_udp(class: Class, l3: u16, l4: u16, payload_bytes: usize) -> Meta {
    let class = class as u8;
    let payload_bytes = payload_bytes as u16;
    Meta { class, l3, l4, payload: l4 + 8, payload_bytes, ..Meta::default() }
}

#[test]
fn sip_is_found_behind_every_network_header() {
    let sip = udp(40_000, 5060, SIP);
    let tag = |ids: &[u16]| ids.iter().map(|id| (0x8100, *id)).collect::<Vec<_>>();
    let v6 = meta_flags::IPV6;
    let plain = over_udp(Class::Signalling, 14, 34, SIP.len());
    let cases = [
        ("IPv4", ethernet(IPV4, &ipv4(UDP, &sip)), plain),
        (
            "IPv4, 40 bytes of options",
            ethernet(IPV4, &ipv4_part(UDP, 1, 0, &[1; 40], &sip)),
            over_udp(Class::Signalling, 14, 74, SIP.len()),
        ),
        (
            "one VLAN tag",
            tagged(&tag(&[100]), IPV4, &ipv4(UDP, &sip)),
            Meta { vlans: 1 << 24 | 100, ..over_udp(Class::Signalling, 18, 38, SIP.len()) },
        ),
        (
            "QinQ",
            tagged(&[(0x88a8, 5), (0x8100, 7)], IPV4, &ipv4(UDP, &sip)),
            Meta { vlans: 2 << 24 | 5 << 12 | 7, ..over_udp(Class::Signalling, 22, 42, SIP.len()) },
        ),
        (
            "four tags, of which the two innermost count",
            tagged(&[(0x9100, 1), (0x88a8, 2), (0x8100, 3), (0x8100, 4)], IPV4, &ipv4(UDP, &sip)),
            Meta { vlans: 4 << 24 | 3 << 12 | 4, ..over_udp(Class::Signalling, 30, 50, SIP.len()) },
        ),
        (
            "IPv6",
            ethernet(IPV6, &ipv6(UDP, &sip)),
            Meta { flags: v6, ..over_udp(Class::Signalling, 14, 54, SIP.len()) },
        ),
        (
            "IPv6 with three extensions",
            ethernet(
                IPV6,
                &ipv6(0, &extension(43, 0, &extension(60, 2, &extension(UDP, 1, &sip)))),
            ),
            Meta { flags: v6, ..over_udp(Class::Signalling, 14, 54 + 8 + 24 + 16, SIP.len()) },
        ),
        (
            "IPv6 with an authentication header",
            ethernet(IPV6, &ipv6(51, &[&[UDP, 4], &[0; 22][..], &sip[..]].concat())),
            Meta { flags: v6, ..over_udp(Class::Signalling, 14, 54 + 24, SIP.len()) },
        ),
        (
            "an IPv6 datagram whole in one fragment",
            ethernet(IPV6, &ipv6(44, &fragment6(UDP, 0, false, 9, &sip))),
            Meta { flags: v6, ..over_udp(Class::Signalling, 14, 62, SIP.len()) },
        ),
        (
            "padded to the least length of a frame",
            [ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, b"\r\n\r\n"))), vec![0; 14]].concat(),
            over_udp(Class::Signalling, 14, 34, 4),
        ),
    ];
    with(&Settings::default(), |rig| {
        for (name, frame, expected) in cases {
            let meta = rig.selected(&frame, Reason::Signalling);
            assert_eq!(timeless(meta), expected, "{name}");
        }
    });
}

#[test]
fn tcp_is_found_with_and_without_options() {
    let tcp_flag = meta_flags::TCP;
    with(&Settings::default(), |rig| {
        for options in [0, 12, 40] {
            let frame = ethernet(IPV4, &ipv4(TCP, &tcp(5060, 33_000, options, SIP)));
            let meta = timeless(rig.selected(&frame, Reason::Signalling));
            let payload = 34 + 20 + options as u16;
            let expected = over_udp(Class::Signalling, 14, 34, SIP.len());
            assert_eq!(meta, Meta { payload, flags: tcp_flag, ..expected });
        }
        // A segment without payload matters too: it opens, acknowledges, closes.
        let frame = ethernet(IPV6, &ipv6(TCP, &tcp(33_000, 5060, 20, b"")));
        let meta = rig.selected(&frame, Reason::Signalling);
        assert_eq!((meta.payload, meta.payload_bytes), (54 + 40, 0));
    });
}

#[test]
fn every_sip_start_is_known_on_any_port_and_ssdp_is_not() {
    let starts = [
        "SIP/2.0 200 OK",
        "INVITE sip:a@b",
        "ACK sip:a@b",
        "BYE sip:a@b",
        "CANCEL sip:a@b",
        "REGISTER sip:b",
        "OPTIONS sip:b",
        "PRACK sip:a",
        "SUBSCRIBE sip:a",
        "NOTIFY sip:a@b",
        "PUBLISH sip:a",
        "INFO sips:a@b",
        "REFER sip:a@b",
        "MESSAGE sip:a@b",
        "UPDATE tel:+1",
    ];
    let others = [
        "NOTIFY * HTTP/1.1",
        "M-SEARCH * HTTP/1.1",
        "SIP/3.0 200 OK",
        "invite sip:a@b",
        "INVITES sip:",
        "\r\nINVITE sip:",
        "INVITE ",
        "",
    ];
    with(&Settings::default(), |rig| {
        for start in starts {
            let over_udp = ethernet(IPV4, &ipv4(UDP, &udp(15_060, 25_060, start.as_bytes())));
            let meta = rig.selected(&over_udp, Reason::SipPayload);
            assert_eq!(meta.class, Class::SipPayload as u8, "{start}");
            let over_tcp = ethernet(IPV6, &ipv6(TCP, &tcp(15_060, 25_060, 8, start.as_bytes())));
            rig.selected(&over_tcp, Reason::SipPayload);
        }
        for other in others {
            let over_udp = ethernet(IPV4, &ipv4(UDP, &udp(15_060, 25_060, other.as_bytes())));
            rig.refused(&over_udp, Reason::OtherUdp);
            let over_tcp = ethernet(IPV4, &ipv4(TCP, &tcp(15_060, 25_060, 0, other.as_bytes())));
            rig.refused(&over_tcp, Reason::OtherTcp);
        }
    });
}

/// An RTP packet with this first and second byte, of so many bytes.
fn rtp_of(first: u8, second: u8, bytes: usize) -> Vec<u8> {
    let mut packet = vec![first, second];
    packet.resize(bytes, 0);
    packet
}

#[test]
fn rtp_and_rtcp_are_told_by_their_looks() {
    let rtp_like = [
        ("PCMU", rtp()),
        ("no payload", rtp_of(0x80, 8, 12)),
        ("dynamic type with marker", rtp_of(0x80, 0x80 | 111, 40)),
        ("three sources", rtp_of(0x83, 0, 24)),
        ("an extension", rtp_of(0x90, 0, 16)),
        ("padding", rtp_of(0xa0, 96, 40)),
    ];
    let rtcp_like =
        [("sender report", rtcp()), ("empty receiver report", vec![0x80, 201, 0, 1, 0, 0, 0, 1])];
    let neither = [
        ("version 1", rtp_of(0x40, 0, 172)),
        ("version 3", rtp_of(0xc0, 0, 172)),
        ("type 72, which would be RTCP", rtp_of(0x80, 72, 172)),
        ("a report longer than its datagram", vec![0x80, 200, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a report of 4 bytes", vec![0x80, 200, 0, 0, 0, 0, 0, 0]),
        ("11 bytes", rtp_of(0x80, 0, 11)),
        ("15 sources that are not there", rtp_of(0x8f, 0, 71)),
        ("an extension that is not there", rtp_of(0x90, 0, 15)),
        ("nothing", vec![]),
    ];
    let frame = |payload: &[u8]| ethernet(IPV4, &ipv4(UDP, &udp(20_000, 20_001, payload)));
    with(&Settings::default(), |rig| {
        for (name, payload) in &rtp_like {
            let meta = rig.selected(&frame(payload), Reason::RtpLike);
            assert_eq!(timeless(meta), over_udp(Class::RtpLike, 14, 34, payload.len()), "{name}");
        }
        for (name, payload) in &rtcp_like {
            let meta = rig.selected(&frame(payload), Reason::RtcpLike);
            assert_eq!(meta.class, Class::RtcpLike as u8, "{name}");
        }
        for (_, payload) in &neither {
            rig.refused(&frame(payload), Reason::OtherUdp);
        }
        // A system service's port on either side: DNS answers begin with any two bytes.
        for (source, destination) in [(53, 20_000), (20_000, 1023)] {
            let frame = ethernet(IPV4, &ipv4(UDP, &udp(source, destination, &rtp())));
            rig.refused(&frame, Reason::OtherUdp);
        }
    });
}

#[test]
fn what_is_no_udp_or_tcp_ends_under_its_name() {
    with(&Settings::default(), |rig| {
        rig.refused(&ethernet(0x0806, &[0; 46]), Reason::NotIp);
        rig.refused(&ethernet(0x88cc, &[0; 46]), Reason::NotIp);
        rig.refused(&tagged(&[(0x8100, 1)], 0x8847, &[0; 46]), Reason::NotIp);
        rig.refused(&ethernet(60, &[0; 60]), Reason::NotIp); // a length: IEEE 802.3
        rig.refused(&ethernet(IPV4, &ipv4(1, &[8; 64])), Reason::OtherProtocol);
        rig.refused(&ethernet(IPV6, &ipv6(58, &[128; 64])), Reason::OtherProtocol);
        rig.refused(&ethernet(IPV6, &ipv6(0, &extension(59, 0, &[]))), Reason::OtherProtocol);
    });
}

#[test]
fn the_time_is_the_monotonic_clocks() {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    };
    with(&Settings::default(), |rig| {
        let before = now();
        let time = rig
            .selected(&ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, SIP))), Reason::Signalling)
            .time;
        assert!((before..=now()).contains(&time));
    });
}
