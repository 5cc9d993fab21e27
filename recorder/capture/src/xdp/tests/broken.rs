//! Packets that are cut or contradict themselves: each has a name for its end, and none is misread.

use abi::{Reason, meta_flags};

use super::frames::*;
use super::rig::{DROP, REDIRECT, Rig, with};
use crate::xdp::Settings;

/// Every prefix of the frame: too short for its headers it is truncated, and beyond that cut but told.
fn cut_everywhere(rig: &mut Rig, frame: &[u8], reason: Reason) {
    let whole = rig.selected(frame, reason);
    for length in 14..frame.len() {
        let ran = rig.run(&frame[..length]);
        if length < usize::from(whole.payload) {
            assert_eq!((ran.action, ran.reason), (DROP, Reason::Truncated), "{length} bytes");
            continue;
        }
        assert_eq!((ran.action, ran.reason), (REDIRECT, reason), "{length} bytes");
        let meta = ran.meta.unwrap();
        assert_eq!(meta.flags, whole.flags | meta_flags::CUT, "{length} bytes");
        assert_eq!(meta.payload_bytes, whole.payload_bytes, "{length} bytes");
    }
}

#[test]
fn cut_at_every_byte() {
    let sip = udp(5060, 5060, SIP);
    let inner = tagged(&[(0x8100, 9)], IPV6, &ipv6(0, &extension(UDP, 0, &sip)));
    with(&Settings::default(), |rig| {
        let tags = [(0x88a8, 1), (0x8100, 2), (0x8100, 3)];
        cut_everywhere(
            rig,
            &tagged(&tags, IPV4, &ipv4_part(UDP, 1, 0, &[1; 8], &sip)),
            Reason::Signalling,
        );
        cut_everywhere(
            rig,
            &ethernet(IPV6, &ipv6(0, &extension(43, 2, &extension(UDP, 0, &sip)))),
            Reason::Signalling,
        );
        cut_everywhere(rig, &ethernet(IPV4, &ipv4(TCP, &tcp(5060, 9, 0, SIP))), Reason::Signalling);
        let keyed = gre(0x3000, 0x6558, &[0; 8], &inner);
        cut_everywhere(rig, &ethernet(IPV4, &ipv4(GRE, &keyed)), Reason::Signalling);
    });
}

#[test]
fn a_cut_tunnel_over_udp_is_truncated_inside_and_other_udp_before() {
    let inner = ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, SIP)));
    let frame = ethernet(IPV4, &ipv4(UDP, &udp(50_000, 4789, &vxlan(8, 1, &inner))));
    with(&Settings::default(), |rig| {
        for length in 14..frame.len() {
            let expected = match length {
                ..42 => Reason::Truncated,   // before the end of the outer headers
                42..50 => Reason::OtherUdp,  // within the VXLAN header
                50..92 => Reason::Truncated, // within the inner headers
                _ => Reason::Signalling,
            };
            assert_eq!(rig.run(&frame[..length]).reason, expected, "{length} bytes");
        }
    });
}

#[test]
fn five_tags_and_nine_extensions_are_too_many() {
    let sip = udp(5060, 5060, SIP);
    let extended = |count: usize| {
        let body =
            (0..count).fold((UDP, sip.clone()), |(next, body), _| (60, extension(next, 0, &body)));
        ethernet(IPV6, &ipv6(body.0, &body.1))
    };
    with(&Settings::default(), |rig| {
        rig.refused(&tagged(&[(0x8100, 1); 5], IPV4, &ipv4(UDP, &sip)), Reason::TooManyTags);
        rig.selected(&extended(8), Reason::Signalling);
        rig.refused(&extended(9), Reason::TooManyExtensions);
        let long = ethernet(IPV6, &ipv6(60, &extension(60, 255, &extension(UDP, 0, &sip))));
        rig.refused(&long, Reason::HeadersTooLong);
    });
}

#[test]
fn headers_that_contradict_themselves_are_malformed() {
    let change = |mut frame: Vec<u8>, at: usize, bytes: &[u8]| {
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let v4 = || ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, SIP)));
    let v6 = || ethernet(IPV6, &ipv6(UDP, &udp(5060, 5060, SIP)));
    let over_tcp = || ethernet(IPV4, &ipv4(TCP, &tcp(5060, 5060, 0, SIP)));
    let cases = [
        ("IPv4 header of 16 bytes", change(v4(), 14, &[0x44])),
        ("IPv4 header of 0 bytes", change(v4(), 14, &[0x40])),
        ("IPv6 in an IPv4 frame", change(v4(), 14, &[0x65])),
        ("total length below the header's", change(v4(), 16, &[0, 19])),
        ("total length 0", change(v4(), 16, &[0, 0])),
        ("options beyond the total length", change(v4(), 14, &[0x4f])),
        ("IPv4 in an IPv6 frame", change(v6(), 14, &[0x45])),
        ("IPv6 payload of 0 bytes", change(v6(), 18, &[0, 0])),
        ("UDP length 0", change(v4(), 38, &[0, 0])),
        ("UDP length below its header's", change(v4(), 38, &[0, 7])),
        ("UDP length beyond the packet", change(v4(), 38, &[0xff, 0xff])),
        (
            "UDP length one beyond the packet",
            change(v4(), 38, &(8 + SIP.len() as u16 + 1).to_be_bytes()),
        ),
        ("TCP header of 16 bytes", change(over_tcp(), 46, &[0x40])),
        (
            "TCP options beyond the packet",
            change(ethernet(IPV4, &ipv4(TCP, &tcp(5060, 1, 0, b""))), 46, &[0xf0]),
        ),
    ];
    with(&Settings::default(), |rig| {
        for (name, frame) in cases {
            let ran = rig.run(&frame);
            assert_eq!((ran.action, ran.reason), (DROP, Reason::Malformed), "{name}");
        }
    });
}

/// A generator of its own, so that a failure can be repeated: splitmix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[test]
fn damaged_packets_end_once_and_are_described_within_their_bounds() {
    let inner = tagged(&[(0x8100, 9)], IPV6, &ipv6(0, &extension(UDP, 0, &udp(5060, 5060, SIP))));
    let seeds = [
        tagged(
            &[(0x88a8, 1), (0x8100, 2)],
            IPV4,
            &ipv4_part(UDP, 1, 0, &[1; 8], &udp(20_000, 30_000, &rtp())),
        ),
        ethernet(
            IPV6,
            &ipv6(0, &extension(44, 0, &fragment6(UDP, 0, true, 1, &udp(5060, 5060, SIP)))),
        ),
        ethernet(IPV4, &ipv4(UDP, &udp(50_000, 4789, &vxlan(8, 7, &inner)))),
        ethernet(
            IPV4,
            &ipv4(UDP, &udp(50_000, 6081, &geneve([0, 0], 0x6558, 7, &[0; 16], &inner))),
        ),
        ethernet(
            IPV4,
            &ipv4(
                GRE,
                &gre(0x1000, 0x88be, &[0; 4], &[&[0x10, 0, 0, 1, 0, 0, 0, 0][..], &inner].concat()),
            ),
        ),
        ethernet(IPV4, &ipv4(TCP, &tcp(5060, 40_000, 12, SIP))),
    ];
    with(&Settings::default(), |rig| {
        let state = &mut 42_u64;
        let mut delivered = 0;
        for _ in 0..20_000 {
            let mut frame = seeds[random(state) as usize % seeds.len()].clone();
            for _ in 0..1 + random(state) % 4 {
                let at = 12 + random(state) as usize % (frame.len() - 12).min(80);
                frame[at] = random(state) as u8;
            }
            frame.truncate(14.max(frame.len() - (random(state) % 8) as usize));
            let ran = rig.run(&frame);
            let Some(meta) = ran.meta else {
                assert!(ran.action == DROP && !ran.reason.is_delivery(), "{ran:?} {frame:02x?}");
                continue;
            };
            delivered += 1;
            assert!(ran.action == REDIRECT && ran.reason.is_delivery(), "{ran:?} {frame:02x?}");
            assert_eq!(abi::Class::from_u8(meta.class).map(abi::Class::reason), Some(ran.reason));
            assert!(
                meta.l3 >= 14 && meta.l3 + 20 <= meta.l4 && meta.l4 <= meta.payload,
                "{frame:02x?}"
            );
            assert!(usize::from(meta.payload) <= frame.len(), "{meta:?} {frame:02x?}");
            let end = usize::from(meta.payload) + usize::from(meta.payload_bytes);
            assert!(
                end <= frame.len() || meta.flags & meta_flags::CUT != 0,
                "{meta:?} {frame:02x?}"
            );
        }
        assert!((2_000..18_000).contains(&delivered), "a mixture: {delivered}");
    });
}
