//! Tunnels that a mirror may come in: GRE, ERSPAN, VXLAN, Geneve.

use abi::{Config, Reason, Tunnel, meta_flags};
use aya_ebpf::bindings::xdp_md;

use crate::link::{IPV4, IPV6};
use crate::packet::Packet;
use crate::verifier::bounded;
use crate::walk::{ETHERNET, Walk};

/// Protocol types of GRE and Geneve.
const TRANSPARENT_ETHERNET: u32 = 0x6558;
const ERSPAN_I_OR_II: u32 = 0x88be;
const ERSPAN_III: u32 = 0x22eb;

/// Bits of the GRE header's first 16 (RFC 2784, 2890, 1701).
const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;

/// Steps into GRE. Source routing (RFC 1701; nobody has sent it for decades) and version 1 (PPTP) are not
/// looked into.
#[inline(never)]
#[unsafe(export_name = "step_gre")]
pub fn gre(ctx: *mut xdp_md, walk: &mut Walk) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let offset = bounded(walk.offset)?;
    let header = packet.view::<4>(offset).ok_or(Reason::Truncated)?;
    let options = header.u16::<0>();
    if options & (ROUTING | VERSION) != 0 {
        return Err(Reason::TunnelOther);
    }
    let key = bounded(offset + 4 + if options & CHECKSUM != 0 { 4 } else { 0 })?;
    let mut next = key;
    let mut id = 0;
    if options & KEY != 0 {
        id = packet.view::<4>(key).ok_or(Reason::Truncated)?.u32::<0>();
        next += 4;
    }
    if options & SEQUENCE != 0 {
        next += 4;
    }
    let next = bounded(next)?;
    match u32::from(header.u16::<2>()) {
        kind @ (IPV4 | IPV6) => enter(walk, Tunnel::Gre, id, next, kind),
        TRANSPARENT_ETHERNET => enter(walk, Tunnel::GreEthernet, id, next, ETHERNET),
        ERSPAN_I_OR_II if options & SEQUENCE == 0 => {
            enter(walk, Tunnel::ErspanI, 0, next, ETHERNET);
        }
        ERSPAN_I_OR_II => erspan_ii(&packet, next, walk)?,
        ERSPAN_III => erspan_iii(&packet, next, walk)?,
        _ => return Err(Reason::TunnelOther),
    }
    Ok(())
}

/// draft-foschiano-erspan-03, 4.2: eight bytes, version 1.
#[inline(always)]
fn erspan_ii(packet: &Packet, offset: u32, walk: &mut Walk) -> Result<(), Reason> {
    let header = packet.view::<8>(offset).ok_or(Reason::Truncated)?;
    if header.u8::<0>() >> 4 != 1 {
        return Err(Reason::TunnelOther);
    }
    let session = u32::from(header.u16::<2>() & 0x3ff);
    enter(walk, Tunnel::ErspanII, session, offset + 8, ETHERNET);
    Ok(())
}

/// draft-foschiano-erspan-03, 4.3: twelve bytes, version 2, and eight more with the O bit.
#[inline(always)]
fn erspan_iii(packet: &Packet, offset: u32, walk: &mut Walk) -> Result<(), Reason> {
    let header = packet.view::<12>(offset).ok_or(Reason::Truncated)?;
    if header.u8::<0>() >> 4 != 2 {
        return Err(Reason::TunnelOther);
    }
    let session = u32::from(header.u16::<2>() & 0x3ff);
    let last = header.u16::<10>();
    let next = bounded(offset + if last & 1 != 0 { 20 } else { 12 })?;
    // The frame type: 0 is an Ethernet frame, 2 an IP packet, whose version says which.
    let kind = match last >> 10 & 0x1f {
        0 => ETHERNET,
        2 => match packet.view::<1>(next).ok_or(Reason::Truncated)?.u8::<0>() >> 4 {
            4 => IPV4,
            6 => IPV6,
            _ => return Err(Reason::Malformed),
        },
        _ => return Err(Reason::TunnelOther),
    };
    enter(walk, Tunnel::ErspanIII, session, next, kind);
    Ok(())
}

/// What a UDP port is configured to carry.
#[derive(Clone, Copy)]
pub enum UdpTunnel {
    Vxlan,
    Geneve,
}

impl UdpTunnel {
    #[inline(always)]
    pub fn of_port(config: &Config, port: u16) -> Option<Self> {
        if is_one_of(config.vxlan_ports, port) {
            Some(Self::Vxlan)
        } else if is_one_of(config.geneve_ports, port) {
            Some(Self::Geneve)
        } else {
            None
        }
    }

    /// Steps into the tunnel; `false` if what comes does not begin as such a tunnel does.
    #[inline(always)]
    pub fn enter(self, packet: &Packet, offset: u32, walk: &mut Walk) -> Result<bool, Reason> {
        let Some(header) = packet.view::<8>(offset) else { return Ok(false) };
        let first = u32::from(header.u8::<0>());
        let id = header.u32::<4>() >> 8;
        match self {
            // RFC 7348, 5: the I flag says that there is a VNI.
            Self::Vxlan if first & 0x08 != 0 => {
                enter(walk, Tunnel::Vxlan, id, offset + 8, ETHERNET);
                Ok(true)
            }
            Self::Vxlan => Ok(false),
            // RFC 8926, 3.4: version 0, and not a control packet.
            Self::Geneve if first >> 6 == 0 && header.u8::<1>() & 0x80 == 0 => {
                let kind = match u32::from(header.u16::<2>()) {
                    TRANSPARENT_ETHERNET => ETHERNET,
                    kind @ (IPV4 | IPV6) => kind,
                    _ => return Ok(false),
                };
                let next = bounded(offset + 8 + (first & 0x3f) * 4)?;
                enter(walk, Tunnel::Geneve, id, next, kind);
                Ok(true)
            }
            Self::Geneve => Ok(false),
        }
    }
}

#[inline(always)]
fn is_one_of(ports: [u16; 4], port: u16) -> bool {
    port != 0 && (ports[0] == port || ports[1] == port || ports[2] == port || ports[3] == port)
}

/// Notes the tunnel. Of two, the inner one's kind and a mixture of both ids keep domains apart.
#[inline(always)]
fn enter(walk: &mut Walk, tunnel: Tunnel, id: u32, offset: u32, kind: u32) {
    if walk.meta.tunnel != Tunnel::None as u8 {
        walk.meta.flags |= meta_flags::NESTED;
    }
    walk.meta.tunnel_id = walk.meta.tunnel_id.rotate_left(12) ^ id;
    walk.meta.tunnel = tunnel as u8;
    walk.offset = offset;
    walk.kind = kind;
}
