//! What the configuration and the endpoint table decide.

use abi::{Class, Reason, Tunnel};
use base::Transport;

use super::frames::*;
use super::rig::{DROP, PASS, with};
use crate::xdp::{Directive, Mode, Place, Settings, Verdict, XdpError, key};

fn to_media(payload: &[u8]) -> Vec<u8> {
    ethernet(IPV4, &ipv4(UDP, &udp(4000, 30_000, payload)))
}

fn media() -> base::Endpoint {
    base::Endpoint::v4(DESTINATION, 30_000)
}

#[test]
fn each_verdict_does_what_it_says() {
    let endpoint = key(media(), Transport::Udp, Place::default());
    with(&Settings::default(), |rig| {
        rig.endpoints.set([(endpoint, Directive::record(77))]).unwrap();
        // Whatever it looks like: T.38, STUN, DTLS.
        for payload in [&rtp()[..], b"\x00\x01\x00\x00", b""] {
            let meta = rig.selected(&to_media(payload), Reason::Media);
            assert_eq!((meta.flow, meta.class), (77, Class::Media as u8));
        }
        rig.endpoints.set([(endpoint, Directive::of(Verdict::Exclude))]).unwrap();
        rig.refused(&to_media(&rtp()), Reason::Excluded);
        rig.endpoints.set([(endpoint, Directive::of(Verdict::Ignore))]).unwrap();
        rig.refused(&to_media(&rtp()), Reason::Ignored);
        rig.endpoints.set([(endpoint, Directive::of(Verdict::Signalling))]).unwrap();
        assert_eq!(rig.selected(&to_media(b"odd"), Reason::Signalling).flow, 0);
        rig.endpoints.remove([endpoint, endpoint]).unwrap();
        assert_eq!(rig.selected(&to_media(&rtp()), Reason::RtpLike).flow, 0);
    });
}

#[test]
fn an_endpoint_is_address_port_and_protocol() {
    let v6 = base::Endpoint::v6(DESTINATION6, 30_000);
    let keys = [media(), v6].map(|endpoint| key(endpoint, Transport::Udp, Place::default()));
    with(&Settings::default(), |rig| {
        rig.endpoints
            .set([(keys[0], Directive::record(4)), (keys[1], Directive::record(6))])
            .unwrap();
        assert_eq!(rig.selected(&to_media(b"?"), Reason::Media).flow, 4);
        let frame = ethernet(IPV6, &ipv6(UDP, &udp(4000, 30_000, b"?")));
        assert_eq!(rig.selected(&frame, Reason::Media).flow, 6);
        rig.refused(&ethernet(IPV4, &ipv4(UDP, &udp(4000, 30_001, b"?"))), Reason::OtherUdp);
        rig.refused(&ethernet(IPV4, &ipv4(UDP, &udp(30_000, 4000, b"?"))), Reason::OtherUdp);
        rig.refused(&ethernet(IPV4, &ipv4(TCP, &tcp(4000, 30_000, 0, b"?"))), Reason::OtherTcp);
    });
}

#[test]
fn signalling_ports_come_before_the_table() {
    let settings = Settings { signalling_ports: vec![29_999..=30_001], ..Settings::default() };
    let endpoint = key(media(), Transport::Udp, Place::default());
    with(&settings, |rig| {
        // Media announced at a signalling port cannot hide what is signalled there.
        rig.endpoints.set([(endpoint, Directive::of(Verdict::Exclude))]).unwrap();
        rig.selected(&to_media(&rtp()), Reason::Signalling);
        rig.selected(&ethernet(IPV4, &ipv4(UDP, &udp(30_001, 9, b""))), Reason::Signalling);
        rig.refused(&ethernet(IPV4, &ipv4(UDP, &udp(30_002, 29_998, b""))), Reason::OtherUdp);
        rig.refused(&ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, b""))), Reason::OtherUdp);
        // Told something else while running.
        rig.program.configure(&Settings::default()).unwrap();
        rig.refused(&to_media(&rtp()), Reason::Excluded);
        rig.selected(&ethernet(IPV4, &ipv4(UDP, &udp(5060, 5060, b""))), Reason::Signalling);
    });
}

#[test]
fn looks_count_only_where_they_may() {
    let settings =
        Settings { sip_on_any_port: false, rtp_on_any_port: false, ..Settings::default() };
    with(&settings, |rig| {
        rig.refused(&to_media(SIP), Reason::OtherUdp);
        rig.refused(&to_media(&rtp()), Reason::OtherUdp);
        rig.refused(&to_media(&rtcp()), Reason::OtherUdp);
        rig.refused(&ethernet(IPV4, &ipv4(TCP, &tcp(9, 9, 0, SIP))), Reason::OtherTcp);
    });
}

#[test]
fn learned_connections_are_followed_if_configured() {
    let settings = Settings { tcp_endpoints: true, ..Settings::default() };
    let endpoint = key(media(), Transport::Tcp, Place::default());
    let segment = ethernet(IPV4, &ipv4(TCP, &tcp(9, 30_000, 0, b"middle of a message")));
    with(&settings, |rig| {
        rig.refused(&segment, Reason::OtherTcp);
        rig.endpoints.set([(endpoint, Directive::of(Verdict::Signalling))]).unwrap();
        rig.selected(&segment, Reason::Signalling);
        rig.refused(&to_media(b"UDP is another"), Reason::OtherUdp);
    });
}

#[test]
fn domains_keep_equal_addresses_apart_if_configured() {
    let settings = Settings { domains: true, ..Settings::default() };
    let packet = ipv4(UDP, &udp(4000, 30_000, &rtp()));
    let in_vlan = |id| tagged(&[(0x8100, id)], IPV4, &packet);
    let in_vxlan = |vni| {
        let body = vxlan(8, vni, &ethernet(IPV4, &packet));
        ethernet(IPV4, &ipv4(UDP, &udp(50_000, 4789, &body)))
    };
    with(&settings, |rig| {
        for (flow, frame) in
            [(1, in_vlan(10)), (2, in_vlan(20)), (3, in_vxlan(10)), (4, in_vxlan(20))]
        {
            let meta = rig.selected(&frame, Reason::RtpLike);
            let endpoint = key(media(), Transport::Udp, Place::of(&meta));
            rig.endpoints.set([(endpoint, Directive::record(flow))]).unwrap();
        }
        assert_eq!(rig.selected(&in_vlan(10), Reason::Media).flow, 1);
        assert_eq!(rig.selected(&in_vlan(20), Reason::Media).flow, 2);
        let meta = rig.selected(&in_vxlan(10), Reason::Media);
        assert_eq!((meta.flow, meta.tunnel), (3, Tunnel::Vxlan as u8));
        assert_eq!(rig.selected(&in_vxlan(20), Reason::Media).flow, 4);
        assert_eq!(rig.selected(&to_media(&rtp()), Reason::RtpLike).flow, 0);
    });
}

#[test]
fn the_rest_is_passed_if_configured() {
    let settings = Settings { mode: Mode::Span { pass_rest: true }, ..Settings::default() };
    with(&settings, |rig| {
        let ran = rig.run(&ethernet(0x0806, &[0; 46]));
        assert_eq!((ran.action, ran.reason), (PASS, Reason::NotIp));
        rig.selected(&to_media(&rtp()), Reason::RtpLike);
    });
}

#[test]
fn without_a_socket_the_packet_ends_under_that_name() {
    for (pass_rest, action) in [(false, DROP), (true, PASS)] {
        let settings = Settings { mode: Mode::Span { pass_rest }, ..Settings::default() };
        with(&settings, |rig| {
            rig.program.unset_socket(0).unwrap();
            let ran = rig.run(&to_media(&rtp()));
            assert_eq!((ran.action, ran.reason), (action, Reason::NoSocket));
            assert_eq!(rig.program.counters().unwrap().lost(), 1);
        });
    }
}

#[test]
fn a_full_table_is_an_error_that_names_itself() {
    let settings = Settings { endpoints_max: 4, ..Settings::default() };
    with(&settings, |rig| {
        let keys =
            (1..=6).map(|port| key(media().with_port(port), Transport::Udp, Place::default()));
        let error = rig.endpoints.set(keys.map(|key| (key, Directive::record(1)))).unwrap_err();
        assert!(matches!(error, XdpError::EndpointsFull { max: 4, set: 4 }), "{error}");
    });
}
