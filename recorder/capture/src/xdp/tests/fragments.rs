//! IP fragments: handed over unless the datagram is clearly of no interest, and never taken for headers.

use abi::{Class, Meta, Reason, meta_flags};

use super::frames::*;
use super::rig::with;
use crate::xdp::{Directive, Settings, Verdict};

const MORE: u16 = 0x2000;

fn v4(id: u16, offset: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4_part(protocol, id, offset, &[], body))
}

fn v6(id: u32, offset: u16, more: bool, body: &[u8]) -> Vec<u8> {
    ethernet(IPV6, &ipv6(44, &fragment6(UDP, offset, more, id, body)))
}

/// The first 32 bytes of a datagram that is longer.
fn first_of(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = udp(source, destination, &[payload, &[0; 3000]].concat());
    datagram.truncate(32);
    datagram
}

#[test]
fn fragments_of_signalling_are_handed_over() {
    with(&Settings::default(), |rig| {
        let meta = rig.selected(&v4(1, MORE, UDP, &first_of(5060, 5060, SIP)), Reason::Fragment);
        let expected = Meta {
            time: meta.time,
            class: Class::Fragment as u8,
            l3: 14,
            l4: 34,
            payload: 34,
            payload_bytes: 32,
            flags: meta_flags::FIRST_FRAGMENT,
            ..Meta::default()
        };
        assert_eq!(meta, expected);
        let meta = rig.selected(&v4(1, MORE | 4, UDP, SIP), Reason::Fragment);
        assert_eq!((meta.flags, meta.l4, meta.payload_bytes), (0, 34, SIP.len() as u16));
        rig.selected(&v4(1, 11, UDP, SIP), Reason::Fragment);

        let meta = rig.selected(&v6(2, 0, true, &first_of(5060, 5060, SIP)), Reason::Fragment);
        assert_eq!((meta.flags, meta.l4), (meta_flags::IPV6 | meta_flags::FIRST_FRAGMENT, 62));
        let meta = rig.selected(&v6(2, 4, false, SIP), Reason::Fragment);
        assert_eq!((meta.flags, meta.l4), (meta_flags::IPV6, 62));
        rig.selected(&v4(3, MORE, TCP, &tcp(5060, 40_000, 0, SIP)), Reason::Fragment);
    });
}

#[test]
fn the_rest_of_an_unwanted_datagram_is_dropped_and_only_that() {
    with(&Settings::default(), |rig| {
        rig.refused(&v4(7, MORE, UDP, &first_of(2049, 800, b"NFS")), Reason::OtherUdp);
        rig.refused(&v4(7, MORE | 4, UDP, &[0; 32]), Reason::FragmentUnwanted);
        rig.refused(&v4(7, 8, UDP, &[0; 9]), Reason::FragmentUnwanted);
        rig.selected(&v4(8, 8, UDP, &[0; 9]), Reason::Fragment);
        rig.selected(&v4(7, 8, TCP, &[0; 9]), Reason::Fragment);
        rig.refused(&v6(7, 0, true, &first_of(2049, 800, b"NFS")), Reason::OtherUdp);
        rig.refused(&v6(7, 4, true, &[0; 32]), Reason::FragmentUnwanted);
        rig.selected(&v6(1 << 16 | 7, 4, true, &[0; 32]), Reason::Fragment);
        // The sender uses the identification again, for a message this time.
        rig.selected(&v4(7, MORE, UDP, &first_of(5060, 5060, SIP)), Reason::Fragment);
        rig.selected(&v4(7, MORE | 4, UDP, &[0; 32]), Reason::Fragment);
        // TCP that is of no interest.
        rig.refused(&v4(9, MORE, TCP, &tcp(80, 40_000, 0, &[0; 16])), Reason::OtherTcp);
        rig.refused(&v4(9, 6, TCP, &[0; 9]), Reason::FragmentUnwanted);
    });
}

#[test]
fn policy_holds_for_fragments() {
    let media = "198.51.100.7:30000".parse().unwrap();
    let key = crate::xdp::key(media, base::Transport::Udp, Default::default());
    with(&Settings::default(), |rig| {
        rig.endpoints.set([(key, Directive::record(5))]).unwrap();
        let meta =
            rig.selected(&v4(1, MORE, UDP, &first_of(4000, 30_000, &rtp())), Reason::Fragment);
        assert_eq!((meta.flow, meta.class), (0, Class::Fragment as u8));
        rig.endpoints.set([(key, Directive::of(Verdict::Exclude))]).unwrap();
        rig.refused(&v4(2, MORE, UDP, &first_of(4000, 30_000, &rtp())), Reason::Excluded);
        rig.refused(&v4(2, 4, UDP, &[0; 9]), Reason::FragmentUnwanted);
    });
}

#[test]
fn fragments_of_tunnels_are_not_taken_for_tunnels() {
    let inner = ethernet(IPV4, &ipv4(UDP, &udp(40_000, 5060, SIP)));
    let tunnelled = udp(50_000, 4789, &vxlan(8, 1, &inner));
    with(&Settings::default(), |rig| {
        // The whole inner frame is in the first fragment, and still it is only a fragment.
        let meta = rig.selected(&v4(1, MORE, UDP, &tunnelled), Reason::Fragment);
        assert_eq!((meta.l3, meta.l4, meta.payload, meta.tunnel), (14, 34, 34, 0));
        let body = gre(0, IPV4, &[], &ipv4(UDP, &udp(40_000, 5060, SIP)));
        for offset in [MORE, 100] {
            let meta = rig.selected(&v4(2, offset, GRE, &body), Reason::Fragment);
            assert_eq!((meta.l3, meta.l4, meta.tunnel), (14, 34, 0));
        }
        // Inside a tunnel, an inner fragment is one too.
        let part = ipv4_part(UDP, 3, 50, &[], SIP);
        let frame = ethernet(IPV4, &ipv4(GRE, &gre(0, IPV4, &[], &part)));
        let meta = rig.selected(&frame, Reason::Fragment);
        assert_eq!((meta.l3, meta.l4, meta.tunnel), (38, 58, 1));
    });
}

#[test]
fn fragments_of_other_protocols_are_dropped_at_once() {
    with(&Settings::default(), |rig| {
        rig.refused(&v4(1, MORE, 1, &[8; 64]), Reason::OtherProtocol);
        rig.refused(&v4(1, 8, 50, &[8; 64]), Reason::OtherProtocol);
        rig.refused(
            &ethernet(IPV6, &ipv6(44, &fragment6(58, 8, true, 1, &[0; 8]))),
            Reason::OtherProtocol,
        );
        // Behind an extension in the first fragment can be UDP.
        let later = ethernet(IPV6, &ipv6(44, &fragment6(60, 8, true, 1, &[0; 8])));
        rig.selected(&later, Reason::Fragment);
        let first = fragment6(60, 0, true, 2, &extension(UDP, 0, &first_of(53, 53, b"no")));
        rig.refused(&ethernet(IPV6, &ipv6(44, &first)), Reason::OtherUdp);
        let rest = ethernet(IPV6, &ipv6(44, &fragment6(60, 5, false, 2, &[0; 8])));
        rig.refused(&rest, Reason::FragmentUnwanted);
    });
}

#[test]
fn a_first_fragment_too_small_to_tell_is_handed_over() {
    with(&Settings::default(), |rig| {
        let meta = rig.selected(&v4(1, MORE, TCP, &[0; 8]), Reason::Fragment);
        assert_eq!(meta.flags, meta_flags::FIRST_FRAGMENT);
        rig.selected(&v6(1, 0, true, &[]), Reason::Fragment);
    });
}
