//! What is found inside a tunnel, and what is not looked for there.

use abi::{Class, Meta, Reason, Tunnel, meta_flags};

use super::frames::*;
use super::rig::with;
use crate::xdp::Settings;

/// A tag inside the tunnel keeps the offsets honest.
fn inner_frame() -> Vec<u8> {
    tagged(&[(0x8100, 9)], IPV4, &ipv4(UDP, &udp(40_000, 5060, SIP)))
}

fn inner_packet() -> Vec<u8> {
    ipv6(UDP, &udp(40_000, 5060, SIP))
}

/// ERSPAN II: version, VLAN and session, index.
fn erspan_ii(version: u8, session: u16, body: &[u8]) -> Vec<u8> {
    [&[version << 4, 100][..], &(session | 0x6000).to_be_bytes(), &[0, 0, 0, 1], body].concat()
}

/// ERSPAN III: the last 16 bits say what follows and whether there is a platform header.
fn erspan_iii(version: u8, session: u16, last: u16, body: &[u8]) -> Vec<u8> {
    let mut header = vec![version << 4, 100];
    header.extend((session | 0x6000).to_be_bytes());
    header.extend([0; 6]);
    header.extend(last.to_be_bytes());
    if last & 1 != 0 {
        header.extend([0x11; 8]);
    }
    header.extend(body);
    header
}

/// A tunnel's name, a packet in it, what it is, and the bytes between the outer IPv4 header and the inner
/// frame or packet.
type Case = (&'static str, Vec<u8>, Tunnel, u32, u16);

fn over_gre() -> Vec<Case> {
    let frame = inner_frame();
    let packet = inner_packet();
    let over_ip = |body: &[u8]| ethernet(IPV4, &ipv4(GRE, body));
    let all_fields = [0, 0, 0, 0, 0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 9];
    let with_platform = erspan_iii(2, 3, 2 << 10 | 1, &packet);
    vec![
        ("GRE, IPv6", over_ip(&gre(0, IPV6, &[], &packet)), Tunnel::Gre, 0, 4),
        (
            "GRE with checksum, key and sequence number",
            over_ip(&gre(0xb000, 0x6558, &all_fields, &frame)),
            Tunnel::GreEthernet,
            0xcafe_babe,
            16,
        ),
        ("ERSPAN I", over_ip(&gre(0, 0x88be, &[], &frame)), Tunnel::ErspanI, 0, 4),
        (
            "ERSPAN II",
            over_ip(&gre(0x1000, 0x88be, &[0; 4], &erspan_ii(1, 1023, &frame))),
            Tunnel::ErspanII,
            1023,
            16,
        ),
        (
            "ERSPAN III",
            over_ip(&gre(0x1000, 0x22eb, &[0; 4], &erspan_iii(2, 512, 0, &frame))),
            Tunnel::ErspanIII,
            512,
            20,
        ),
        (
            "ERSPAN III, IP, platform header",
            over_ip(&gre(0x1000, 0x22eb, &[0; 4], &with_platform)),
            Tunnel::ErspanIII,
            3,
            28,
        ),
    ]
}

fn over_udp() -> Vec<Case> {
    let frame = inner_frame();
    let packet = inner_packet();
    let over_udp = |port, body: &[u8]| ethernet(IPV4, &ipv4(UDP, &udp(50_000, port, body)));
    let options = geneve([0, 0], 0x6558, 77, &[0; 252], &frame);
    let critical = geneve([0, 0x40], IPV6, 78, &[], &packet);
    vec![
        ("VXLAN", over_udp(4789, &vxlan(8, 0xab_cdef, &frame)), Tunnel::Vxlan, 0xab_cdef, 16),
        ("VXLAN, Linux' old port", over_udp(8472, &vxlan(0x88, 1, &frame)), Tunnel::Vxlan, 1, 16),
        ("Geneve with options", over_udp(6081, &options), Tunnel::Geneve, 77, 16 + 252),
        ("Geneve, IPv6", over_udp(6081, &critical), Tunnel::Geneve, 78, 16),
    ]
}

#[test]
fn each_tunnel_is_looked_into() {
    with(&Settings::default(), |rig| {
        for (name, bytes, tunnel, tunnel_id, header) in over_gre().into_iter().chain(over_udp()) {
            let meta = rig.selected(&bytes, Reason::Signalling);
            let start = 34 + header;
            let carries_frame = bytes[usize::from(start)..].starts_with(&inner_frame());
            let (l3, ip, vlans, flags) = match carries_frame {
                true => (start + 18, 20, 1 << 24 | 9, 0),
                false => (start, 40, 0, meta_flags::IPV6),
            };
            let expected = Meta {
                time: meta.time,
                l3,
                l4: l3 + ip,
                payload: l3 + ip + 8,
                payload_bytes: SIP.len() as u16,
                class: Class::Signalling as u8,
                tunnel: tunnel as u8,
                tunnel_id,
                vlans,
                flags,
                flow: 0,
            };
            assert_eq!(meta, expected, "{name}");
            assert!(bytes[usize::from(meta.payload)..].starts_with(SIP), "{name}");
        }
    });
}

#[test]
fn two_tunnels_are_looked_into_and_three_are_not() {
    let vxlan_of =
        |vni, frame: &[u8]| ethernet(IPV4, &ipv4(UDP, &udp(50_000, 4789, &vxlan(8, vni, frame))));
    let erspan_of = |frame: &[u8]| {
        let body = erspan_ii(1, 5, frame);
        ethernet(IPV4, &ipv4(GRE, &gre(0x1000, 0x88be, &[0; 4], &body)))
    };
    with(&Settings::default(), |rig| {
        let two = erspan_of(&vxlan_of(7, &inner_frame()));
        let meta = rig.selected(&two, Reason::Signalling);
        assert_eq!((meta.tunnel, meta.tunnel_id), (Tunnel::Vxlan as u8, 5 << 12 ^ 7));
        assert_eq!(meta.flags, meta_flags::NESTED);
        assert!(two[usize::from(meta.payload)..].starts_with(SIP));
        rig.refused(&vxlan_of(8, &two), Reason::TunnelTooDeep);
    });
}

#[test]
fn vlan_tags_outside_and_inside_both_count() {
    let inner = inner_frame();
    let body = ipv4(UDP, &udp(50_000, 4789, &vxlan(8, 1, &inner)));
    with(&Settings::default(), |rig| {
        let meta = rig.selected(&tagged(&[(0x8100, 300)], IPV4, &body), Reason::Signalling);
        assert_eq!(meta.vlans, 2 << 24 | 300 << 12 | 9);
    });
}

#[test]
fn what_is_no_tunnel_on_a_tunnels_port_is_judged_by_its_looks() {
    let over_udp = |port, body: &[u8]| ethernet(IPV4, &ipv4(UDP, &udp(50_000, port, body)));
    with(&Settings::default(), |rig| {
        rig.refused(&over_udp(4789, &vxlan(0, 1, &inner_frame())), Reason::OtherUdp);
        rig.refused(&over_udp(4789, &[8]), Reason::OtherUdp);
        rig.refused(
            &over_udp(6081, &geneve([0, 0x80], 0x6558, 1, &[], &inner_frame())),
            Reason::OtherUdp,
        );
        rig.refused(
            &over_udp(6081, &geneve([0x40, 0], 0x6558, 1, &[], &inner_frame())),
            Reason::OtherUdp,
        );
        rig.refused(
            &over_udp(6081, &geneve([0, 0], 0x1234, 1, &[], &inner_frame())),
            Reason::OtherUdp,
        );
        // RTP to the VXLAN port: without the I flag (bit 3 of 0x80) it is no VXLAN.
        rig.selected(&over_udp(4789, &rtp()), Reason::RtpLike);
        // The same frames to ports that are not configured.
        rig.refused(&over_udp(4790, &vxlan(8, 1, &inner_frame())), Reason::OtherUdp);
    });
}

#[test]
fn gre_that_is_not_looked_into_ends_under_its_name() {
    let over_ip = |body: &[u8]| ethernet(IPV4, &ipv4(GRE, body));
    with(&Settings::default(), |rig| {
        rig.refused(&over_ip(&gre(0x4000, IPV4, &[0; 8], &inner_packet())), Reason::TunnelOther);
        rig.refused(&over_ip(&gre(0x2081, 0x880b, &[0; 8], &[0; 20])), Reason::TunnelOther);
        rig.refused(&over_ip(&gre(0, 0x8847, &[], &inner_packet())), Reason::TunnelOther);
        let wrong = [
            gre(0x1000, 0x88be, &[0; 4], &erspan_ii(2, 1, &inner_frame())),
            gre(0x1000, 0x22eb, &[0; 4], &erspan_iii(1, 1, 0, &inner_frame())),
            gre(0x1000, 0x22eb, &[0; 4], &erspan_iii(2, 1, 1 << 10, &inner_frame())),
        ];
        for body in wrong {
            rig.refused(&over_ip(&body), Reason::TunnelOther);
        }
        // The inner packet is judged like any other.
        rig.refused(&over_ip(&gre(0, IPV4, &[], &ipv4(1, &[0; 8]))), Reason::OtherProtocol);
        rig.refused(&over_ip(&gre(0, IPV4, &[], &inner_packet())), Reason::Malformed);
        rig.refused(&over_ip(&gre(0, 0x6558, &[], &ethernet(0x0806, &[0; 46]))), Reason::NotIp);
    });
}
