//! Ethernet and its tags.

use abi::Reason;
use abi::limits::VLAN_TAGS_MAX;
use aya_ebpf::bindings::xdp_md;

use crate::packet::Packet;
use crate::verifier::bounded;
use crate::walk::{ETHERNET, Walk};

/// EtherTypes (IEEE 802).
pub const IPV4: u32 = 0x0800;
pub const IPV6: u32 = 0x86dd;

/// Steps over an Ethernet header and its tags, if there is one.
#[inline(never)]
#[unsafe(export_name = "step_ethernet")]
pub fn ethernet(ctx: *mut xdp_md, walk: &mut Walk) -> Result<(), Reason> {
    if walk.kind != ETHERNET {
        return Ok(());
    }
    let packet = Packet::new(ctx);
    let mut offset = bounded(walk.offset)?;
    let header = packet.view::<14>(offset).ok_or(Reason::Truncated)?;
    let mut kind = header.raw16::<12>();
    offset += 14;
    for _ in 0..VLAN_TAGS_MAX {
        if !is_tag(kind) {
            break;
        }
        let tag = packet.view::<4>(offset).ok_or(Reason::Truncated)?;
        let ids = ((walk.meta.vlans << 12) & 0xff_f000) | u32::from(tag.u16::<0>() & 0xfff);
        let tags = (walk.meta.vlans >> 24) + 1;
        walk.meta.vlans = (tags << 24) | ids;
        kind = tag.raw16::<2>();
        offset += 4;
    }
    if is_tag(kind) {
        return Err(Reason::TooManyTags);
    }
    walk.offset = offset;
    walk.kind = u32::from(u16::from_be(kind));
    Ok(())
}

/// IEEE 802.1Q, 802.1ad, and what was in use for the latter before.
#[inline(always)]
fn is_tag(raw: u16) -> bool {
    raw == 0x8100_u16.to_be() || raw == 0x88a8_u16.to_be() || raw == 0x9100_u16.to_be()
}
