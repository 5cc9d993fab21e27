//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use abi::limits::IPV6_EXTENSIONS_MAX;
use abi::{Fragment, Reason, meta_flags};
use aya_ebpf::bindings::xdp_md;

use crate::link::{IPV4, IPV6};
use crate::packet::Packet;
use crate::verifier::bounded;
use crate::walk::{Walk, part};

/// Steps over an IP header with its options or extensions.
#[inline(never)]
#[unsafe(export_name = "step_ip")]
pub fn header(ctx: *mut xdp_md, walk: &mut Walk) -> Result<(), Reason> {
    walk.part = part::WHOLE;
    walk.meta.l3 = walk.offset as u16;
    match walk.kind {
        IPV4 => v4(&Packet::new(ctx), walk)?,
        IPV6 => v6(ctx, walk)?,
        _ => return Err(Reason::NotIp),
    }
    walk.meta.l4 = walk.offset as u16;
    Ok(())
}

#[inline(always)]
fn v4(packet: &Packet, walk: &mut Walk) -> Result<(), Reason> {
    let offset = bounded(walk.offset)?;
    let header = packet.view::<20>(offset).ok_or(Reason::Truncated)?;
    let first = header.u8::<0>();
    let header_bytes = u32::from(first & 0xf) * 4;
    let total_bytes = u32::from(header.u16::<2>());
    if first >> 4 != 4 || header_bytes < 20 || total_bytes < header_bytes {
        return Err(Reason::Malformed);
    }
    walk.meta.flags &= !meta_flags::IPV6;
    walk.offset = offset + header_bytes;
    walk.end = offset + total_bytes;
    walk.protocol = u32::from(header.u8::<9>());
    walk.endpoint.address = mapped(header.raw32::<16>());
    let more_and_offset = header.u16::<6>() & 0x3fff;
    if more_and_offset != 0 {
        walk.part = if more_and_offset & 0x1fff == 0 { part::FIRST } else { part::LATER };
        walk.fragment = Fragment {
            source: mapped(header.raw32::<12>()),
            destination: mapped(header.raw32::<16>()),
            id: u32::from(header.u16::<4>()),
            protocol: walk.protocol,
        };
    }
    Ok(())
}

/// RFC 4291, 2.5.5.2.
#[inline(always)]
pub fn mapped(address: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), address]
}

/// Extension headers (RFC 8200, 4; RFC 4302, 6275, 7401, 5533).
const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION: u32 = 60;
const MOBILITY: u32 = 135;
const HOST_IDENTITY: u32 = 139;
const SHIM6: u32 = 140;

/// Whether the header says in its first byte what follows and in its second how long it is.
#[inline(always)]
pub fn is_extension(protocol: u32) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP
            | ROUTING
            | FRAGMENT
            | AUTHENTICATION
            | DESTINATION
            | MOBILITY
            | HOST_IDENTITY
            | SHIM6
    )
}

#[inline(always)]
fn v6(ctx: *mut xdp_md, walk: &mut Walk) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let offset = bounded(walk.offset)?;
    let header = packet.view::<40>(offset).ok_or(Reason::Truncated)?;
    if header.u8::<0>() >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    walk.meta.flags |= meta_flags::IPV6;
    walk.offset = offset + 40;
    walk.end = offset + 40 + u32::from(header.u16::<4>());
    walk.protocol = u32::from(header.u8::<6>());
    walk.endpoint.address = header.address::<24>();
    for _ in 0..IPV6_EXTENSIONS_MAX {
        if walk.part == part::LATER || !is_extension(walk.protocol) {
            return Ok(());
        }
        extension(ctx, walk)?;
    }
    if walk.part != part::LATER && is_extension(walk.protocol) {
        return Err(Reason::TooManyExtensions);
    }
    Ok(())
}

/// Steps over one extension header.
#[inline(never)]
#[unsafe(export_name = "step_extension")]
fn extension(ctx: *mut xdp_md, walk: &mut Walk) -> Result<(), Reason> {
    let packet = Packet::new(ctx);
    let offset = bounded(walk.offset)?;
    let header = packet.view::<8>(offset).ok_or(Reason::Truncated)?;
    let next = u32::from(header.u8::<0>());
    let length = u32::from(header.u8::<1>());
    let bytes = match walk.protocol {
        FRAGMENT => {
            let offset_and_more = header.u16::<2>() & 0xfff9;
            // All of a datagram in one fragment (RFC 6946) is whole.
            if offset_and_more != 0 {
                walk.part = if offset_and_more & 0xfff8 == 0 { part::FIRST } else { part::LATER };
                walk.fragment.id = header.u32::<4>();
                walk.fragment.protocol = next;
                addresses(&packet, walk)?;
            }
            8
        }
        AUTHENTICATION => (length + 2) * 4,
        _ => (length + 1) * 8,
    };
    walk.protocol = next;
    walk.offset = offset + bytes;
    Ok(())
}

#[inline(always)]
fn addresses(packet: &Packet, walk: &mut Walk) -> Result<(), Reason> {
    let header = bounded(u32::from(walk.meta.l3))?;
    let header = packet.view::<40>(header).ok_or(Reason::Truncated)?;
    walk.fragment.source = header.address::<8>();
    walk.fragment.destination = header.address::<24>();
    Ok(())
}
