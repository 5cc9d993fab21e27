//! Whether a UDP datagram or a TCP segment is of interest.

use abi::{Class, Config, Reason, Verdict, config_flags, meta_flags};
use aya_ebpf::bindings::xdp_md;

use crate::maps;
use crate::packet::{Packet, View};
use crate::tunnel::UdpTunnel;
use crate::verifier::{bounded, masked};
use crate::walk::{TCP, UDP, Walk, part};

/// A UDP datagram, or the beginning of one (RFC 768). Without a class at the end, it carries another frame.
#[inline(never)]
#[unsafe(export_name = "step_udp")]
pub fn udp(ctx: *mut xdp_md, config: &Config, walk: &mut Walk) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let offset = bounded(walk.offset)?;
    let header = packet.view::<8>(offset).ok_or(Reason::Truncated)?;
    let ports = Ports { source: header.u16::<0>(), destination: header.u16::<2>() };
    let bytes = u32::from(header.u16::<4>());
    // The first fragment of a datagram holds less than the datagram's length.
    if bytes < 8 || (walk.part == part::WHOLE && offset + bytes > walk.end) {
        return Err(Reason::Malformed);
    }
    let payload = bounded(offset + 8)?;
    walk.meta.payload = payload as u16;
    walk.meta.payload_bytes = (bytes - 8) as u16;
    if let Some(tunnel) = UdpTunnel::of_port(config, ports.destination) {
        if walk.part != part::WHOLE {
            return found(&packet, walk, Class::Fragment);
        }
        if tunnel.enter(&packet, payload, walk)? {
            return Ok(());
        }
    }
    if ports.carry_signalling(config) {
        return found(&packet, walk, Class::Signalling);
    }
    let start = packet.view::<8>(payload).filter(|_| bytes >= 16);
    if config.flags & config_flags::SIP_ANY_PORT != 0 && start.is_some_and(looks_like_sip) {
        return found(&packet, walk, Class::SipPayload);
    }
    if let Some(directed) = directed(config, ports.destination, UDP, walk) {
        return found(&packet, walk, directed?);
    }
    if config.flags & config_flags::RTP_ANY_PORT != 0
        && ports.are_unprivileged()
        && let Some(class) = start.and_then(|start| looks_like_media(start, bytes - 8))
    {
        return found(&packet, walk, class);
    }
    Err(Reason::OtherUdp)
}

/// A TCP segment, or the beginning of one (RFC 9293, 3.1).
#[inline(never)]
#[unsafe(export_name = "step_tcp")]
pub fn tcp(ctx: *mut xdp_md, config: &Config, walk: &mut Walk) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let offset = bounded(walk.offset)?;
    let header = packet.view::<20>(offset).ok_or(Reason::Truncated)?;
    let ports = Ports { source: header.u16::<0>(), destination: header.u16::<2>() };
    let header_bytes = u32::from(header.u8::<12>() >> 4) * 4;
    let payload = bounded(offset + header_bytes)?;
    if header_bytes < 20 || payload > walk.end {
        return Err(Reason::Malformed);
    }
    let bytes = walk.end - payload;
    walk.meta.payload = payload as u16;
    walk.meta.payload_bytes = bytes as u16;
    walk.meta.flags |= meta_flags::TCP;
    if ports.carry_signalling(config) {
        return found(&packet, walk, Class::Signalling);
    }
    let start = packet.view::<8>(payload).filter(|_| bytes >= 8);
    if config.flags & config_flags::SIP_ANY_PORT != 0 && start.is_some_and(looks_like_sip) {
        return found(&packet, walk, Class::SipPayload);
    }
    if config.flags & config_flags::TCP_ENDPOINTS != 0
        && let Some(directed) = directed(config, ports.destination, TCP, walk)
    {
        return found(&packet, walk, directed?);
    }
    Err(Reason::OtherTcp)
}

/// The end of the walk.
#[inline(always)]
pub fn found(packet: &Packet, walk: &mut Walk, class: Class) -> Result<(), Reason> {
    walk.meta.class = class as u8;
    if packet.ends_before(walk.end) && packet.frame_bytes() < walk.end {
        walk.meta.flags |= meta_flags::CUT;
    }
    Ok(())
}

/// Of a datagram or segment.
#[derive(Clone, Copy)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
}

impl Ports {
    #[inline(always)]
    pub fn carry_signalling(self, config: &Config) -> bool {
        is_signalling(config, self.destination) || is_signalling(config, self.source)
    }

    /// Media never uses the ports of system services.
    #[inline(always)]
    pub fn are_unprivileged(self) -> bool {
        self.source >= 1024 && self.destination >= 1024
    }
}

#[inline(always)]
fn is_signalling(config: &Config, port: u16) -> bool {
    let word = masked(u64::from(port) >> 6, 0x3ff) as usize;
    // SAFETY: ten bits are within the 1,024 words. Not an index, because that could panic.
    let ports = unsafe { *config.signalling.as_ptr().add(word) };
    ports >> (port & 63) & 1 != 0
}

/// What user space said about the destination.
#[inline(always)]
fn directed(
    config: &Config,
    port: u16,
    protocol: u32,
    walk: &mut Walk,
) -> Option<Result<Class, Reason>> {
    walk.endpoint.port = port;
    walk.endpoint.protocol = protocol as u8;
    if config.flags & config_flags::DOMAINS != 0 {
        walk.endpoint.vlans = walk.meta.vlans & 0xff_ffff;
        walk.endpoint.tunnel_id = walk.meta.tunnel_id;
        walk.endpoint.tunnel = walk.meta.tunnel;
    } else {
        walk.endpoint.vlans = 0;
        walk.endpoint.tunnel_id = 0;
        walk.endpoint.tunnel = 0;
    }
    let directive = maps::directive(&walk.endpoint)?;
    walk.meta.flow = directive.flow;
    Some(match Verdict::from_u32(directive.verdict)? {
        Verdict::Record => Ok(Class::Media),
        Verdict::Signalling => Ok(Class::Signalling),
        Verdict::Exclude => Err(Reason::Excluded),
        Verdict::Ignore => Err(Reason::Ignored),
    })
}

/// How SIP messages begin (RFC 3261, 7; methods by IANA), and how many bytes of it count.
const STARTS: [(u64, u32); 15] = [
    (u64::from_le_bytes(*b"SIP/2.0 "), 8),
    (u64::from_le_bytes(*b"INVITE \0"), 7),
    (u64::from_le_bytes(*b"ACK \0\0\0\0"), 4),
    (u64::from_le_bytes(*b"BYE \0\0\0\0"), 4),
    (u64::from_le_bytes(*b"CANCEL \0"), 7),
    (u64::from_le_bytes(*b"REGISTER"), 8),
    (u64::from_le_bytes(*b"OPTIONS "), 8),
    (u64::from_le_bytes(*b"PRACK \0\0"), 6),
    (u64::from_le_bytes(*b"SUBSCRIB"), 8),
    (u64::from_le_bytes(*b"NOTIFY s"), 8), // "NOTIFY *" is SSDP, of which every network is full
    (u64::from_le_bytes(*b"PUBLISH "), 8),
    (u64::from_le_bytes(*b"INFO \0\0\0"), 5),
    (u64::from_le_bytes(*b"REFER \0\0"), 6),
    (u64::from_le_bytes(*b"MESSAGE "), 8),
    (u64::from_le_bytes(*b"UPDATE \0"), 7),
];

#[inline(always)]
fn looks_like_sip(start: View<8>) -> bool {
    if !start.u8::<0>().is_ascii_uppercase() {
        return false;
    }
    let start = start.raw64::<0>();
    let mut found = false;
    let mut i = 0;
    while i < STARTS.len() {
        let (text, bytes) = STARTS[i];
        found |= start << (64 - 8 * bytes) == text << (64 - 8 * bytes);
        i += 1;
    }
    found
}

/// RTP (RFC 3550, 5.1) or RTCP (6.4) by its looks; told apart as RFC 5761, 4 does it.
#[inline(always)]
pub fn looks_like_media(start: View<8>, bytes: u32) -> Option<Class> {
    if start.u8::<0>() >> 6 != 2 {
        return None;
    }
    match start.u8::<1>() {
        200..=207 => looks_like_rtcp(start, bytes).then_some(Class::RtcpLike),
        kind if matches!(kind & 0x7f, 64..=95) => None,
        _ => looks_like_rtp(start, bytes).then_some(Class::RtpLike),
    }
}

/// The first packet of the compound fits the datagram.
#[inline(always)]
fn looks_like_rtcp(start: View<8>, bytes: u32) -> bool {
    let first = (u32::from(start.u16::<2>()) + 1) * 4;
    first >= 8 && first <= bytes
}

/// The contributing sources and the extension's header fit the datagram.
#[inline(always)]
fn looks_like_rtp(start: View<8>, bytes: u32) -> bool {
    let first = u32::from(start.u8::<0>());
    let extension = if first & 0x10 != 0 { 4 } else { 0 };
    12 + (first & 0xf) * 4 + extension <= bytes
}
