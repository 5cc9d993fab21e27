//! The shape of nearly every packet: media in UDP, in IPv4 without options, in Ethernet without tags, whole.
//!
//! It is judged as `walk` would, step by step and in the same order, but in one go and in registers, which is
//! 30 ns a packet less. Whatever is not of that shape, and whatever is not media by its looks, is left to `walk`.

use abi::{Class, Config, Endpoint, Meta, Verdict, config_flags};
use aya_ebpf::bindings::xdp_md;

use crate::interest::{Ports, looks_like_media};
use crate::ip::mapped;
use crate::link::IPV4;
use crate::maps;
use crate::packet::{Packet, View};
use crate::tunnel::UdpTunnel;
use crate::walk::UDP;

/// Where the headers begin, and the payload.
const L3: u16 = 14;
const L4: u16 = 34;
const PAYLOAD: u16 = 42;
/// Headers, and what of the payload tells media.
const BYTES: usize = 50;

/// What is said about the packet if it is such a one, and to be handed over.
#[inline(always)]
pub fn media(ctx: *mut xdp_md, config: &Config) -> Option<Meta> {
    let packet = Packet::new(ctx);
    let header = packet.view::<BYTES>(0)?;
    if !is_plain(header) || config.flags & config_flags::RTP_ANY_PORT == 0 {
        return None;
    }
    let total = u32::from(header.u16::<16>());
    let datagram = u32::from(header.u16::<38>());
    // The longest needs no check of its own: a frame of that length is in several buffers.
    if datagram < 16 || datagram + 20 > total || packet.ends_before(u32::from(L3) + total) {
        return None;
    }
    let ports = Ports { source: header.u16::<34>(), destination: header.u16::<36>() };
    if !ports.are_unprivileged()
        || UdpTunnel::of_port(config, ports.destination).is_some()
        || ports.carry_signalling(config)
    {
        return None;
    }
    let class = looks_like_media(header.from::<42, 8>(), datagram - 8)?;
    let endpoint = Endpoint {
        address: mapped(header.raw32::<30>()),
        vlans: 0,
        tunnel_id: 0,
        port: ports.destination,
        protocol: UDP as u8,
        tunnel: 0,
    };
    let (class, flow) = match maps::directive(&endpoint) {
        None => (class, 0),
        Some(directive) if directive.verdict == Verdict::Record as u32 => {
            (Class::Media, directive.flow)
        }
        Some(_) => return None,
    };
    Some(Meta {
        flow,
        l3: L3,
        l4: L4,
        payload: PAYLOAD,
        payload_bytes: (datagram - 8) as u16,
        class: class as u8,
        ..Meta::default()
    })
}

/// IPv4 behind Ethernet, version 4 with a header of 20 bytes, UDP, no fragment.
#[inline(always)]
fn is_plain(header: View<BYTES>) -> bool {
    header.raw16::<12>() == (IPV4 as u16).to_be()
        && header.u8::<14>() == 0x45
        && header.u8::<23>() == UDP as u8
        && header.raw16::<20>() & 0x3fff_u16.to_be() == 0
}
