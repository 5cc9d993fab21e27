//! What is known of an interface.

use capture::nic::{
    Availability, Counter, Link, Nic, NicError, XdpMode, xdp_programs, xdp_sockets,
};
use capture::packet_socket::{Options, PacketError};
use capture::{LinkType, PacketSource};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::wire::{FAR, SPAN, eventually, frame, ip, small, with_wire};

#[test]
fn a_veth_is_described() {
    with_wire(|_| {
        ip(&["link", "add", "many0", "numrxqueues", "4", "type", "veth", "peer", "name", "many1"]);
        let nic = Nic::find("many0").unwrap();
        assert_eq!(nic.link.kind.as_deref(), Some("veth"));
        assert_eq!((nic.link.link_type, nic.link.mtu), (Some(LinkType::Ethernet), 1_500));
        assert_eq!(nic.driver.as_ref().unwrap().name, "veth");
        assert_eq!(nic.queues_in_use(), 4);
        assert_eq!((nic.xdp.native, nic.xdp.zero_copy), (Some(true), Some(false)));
        assert_eq!(nic.rss, None);
        let features = nic.features.unwrap();
        assert!(features.can_go_off("rx-gro") || !features.is_on("rx-gro"), "{features:?}");
    });
}

#[test]
fn state_addresses_and_counts_are_as_they_are() {
    with_wire(|wire| {
        let link = Link::find(SPAN).unwrap();
        assert!(link.up && link.carrier && link.xdp.is_none() && link.promiscuity == 0, "{link:?}");
        assert!(link.addresses().unwrap().is_empty());
        ip(&["address", "add", "192.0.2.9/24", "dev", SPAN]);
        assert_eq!(link.addresses().unwrap(), [std::net::IpAddr::from([192, 0, 2, 9])]);
        wire.send(&frame(&[], &[7; 100]));
        let counts = Link::find(SPAN).unwrap().statistics;
        assert_eq!((counts.of(Counter::RxPackets), counts.of(Counter::RxBytes)), (1, 114));
        ip(&["link", "set", FAR, "down"]);
        let link = Link::find(SPAN).unwrap();
        assert!(link.up && !link.carrier, "{link:?}");
    });
}

#[test]
fn an_xdp_program_is_seen() {
    with_wire(|_| {
        let object = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/spanreel.bpf.o");
        let mut ebpf = aya::Ebpf::load_file(object).unwrap();
        let program: &mut aya::programs::Xdp =
            ebpf.program_mut(abi::names::SPAN).unwrap().try_into().unwrap();
        // The kernel's verifier gives up when it is interrupted (EAGAIN).
        eventually("loading", || program.load().is_ok());
        program.attach(SPAN, aya::programs::xdp::XdpMode::Skb).unwrap();
        let attached = Link::find(SPAN).unwrap().xdp.unwrap();
        assert_eq!(attached.mode, XdpMode::Generic);
        assert_eq!(attached.id, program.info().unwrap().id());
        drop(ebpf);
        eventually("detaching", || Link::find(SPAN).unwrap().xdp.is_none());
    });
}

#[test]
fn what_root_can_have_is_available() {
    with_wire(|_| {
        for (what, found) in [("programs", xdp_programs()), ("sockets", xdp_sockets())] {
            let known = matches!(found, Availability::Available | Availability::Missing);
            assert!(known, "XDP {what}: {found:?}");
        }
    });
}

#[test]
fn bad_interfaces_are_refused_in_words() {
    with_wire(|_| {
        let error = PacketSource::open("no-such-if", small()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no network interface \"no-such-if\" (`ip -brief link` lists them)"
        );
        let error = PacketSource::open(SPAN, Options { blocks: 0, ..small() }).unwrap_err();
        assert!(matches!(error, PacketError::Size { .. }), "{error}");
        assert_eq!(Link::find(SPAN).unwrap().promiscuity, 0);
    });
}

#[test]
fn without_privileges_it_says_which_are_missing() {
    with_wire(|_| {
        // Of this thread only, which ends with the test.
        let sets = rustix::thread::capabilities(None).unwrap();
        let without =
            |set: CapabilitySet| set.difference(CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN);
        let fewer = CapabilitySets { effective: without(sets.effective), ..sets };
        rustix::thread::set_capabilities(None, fewer).unwrap();
        let error = PacketSource::open(SPAN, small()).unwrap_err();
        assert!(matches!(error, PacketError::Nic(NicError::NotPermitted { .. })), "{error}");
        assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
    });
}
