//! IP fragments: they are put together in user space, if they may be of interest.
//!
//! Only the first fragment shows ports. If it is of no interest, its datagram is remembered for a moment, so
//! that a file server's large datagrams do not fill user space's table of unfinished ones.

use abi::limits::UNWANTED_NANOSECONDS_MAX;
use abi::{Class, Config, Reason, meta_flags};
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::bpf_ktime_get_ns;

use crate::ip::is_extension;
use crate::packet::Packet;
use crate::walk::{GRE, TCP, UDP, Walk, part};
use crate::{interest, maps};

/// Whether the datagram of this fragment may be of interest.
#[inline(never)]
#[unsafe(export_name = "step_fragment")]
pub fn fragment(ctx: *mut xdp_md, config: &Config, walk: &mut Walk) -> Result<(), Reason> {
    if walk.part == part::FIRST {
        first(ctx, config, walk)?;
        maps::clear_unwanted(&walk.fragment);
        walk.meta.flags |= meta_flags::FIRST_FRAGMENT;
    } else {
        later(walk)?;
    }
    // What is handed over is a part of an IP datagram, whatever its first bytes look like.
    walk.meta.payload = walk.meta.l4;
    walk.meta.payload_bytes = walk.end.saturating_sub(walk.offset) as u16;
    walk.meta.flow = 0;
    walk.meta.flags &= !meta_flags::TCP;
    interest::found(&Packet::new(ctx), walk, Class::Fragment)
}

#[inline(always)]
fn first(ctx: *mut xdp_md, config: &Config, walk: &mut Walk) -> Result<(), Reason> {
    let verdict = match walk.protocol {
        UDP => interest::udp(ctx, config, walk),
        TCP => interest::tcp(ctx, config, walk),
        GRE => Ok(()),
        _ => Err(Reason::OtherProtocol),
    };
    match verdict {
        // Too little of it to tell, which is legal and rare: user space sees the whole.
        Err(Reason::Truncated | Reason::HeadersTooLong) => Ok(()),
        Err(reason) => {
            // SAFETY: the helper has no preconditions.
            maps::set_unwanted(&walk.fragment, unsafe { bpf_ktime_get_ns() });
            Err(reason)
        }
        Ok(()) => Ok(()),
    }
}

#[inline(always)]
fn later(walk: &Walk) -> Result<(), Reason> {
    // Of IPv6 the fragment header may name an extension that only the first fragment shows.
    if !matches!(walk.protocol, UDP | TCP | GRE) && !is_extension(walk.protocol) {
        return Err(Reason::OtherProtocol);
    }
    if let Some(since) = maps::unwanted_since(&walk.fragment) {
        // SAFETY: the helper has no preconditions.
        let age = unsafe { bpf_ktime_get_ns() }.wrapping_sub(since);
        if age < UNWANTED_NANOSECONDS_MAX {
            return Err(Reason::FragmentUnwanted);
        }
    }
    Ok(())
}
