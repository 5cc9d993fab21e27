//! Handing over what was selected.

use abi::{COPY_DATA_BYTES, Class, CopyHeader, META_BYTES, Meta, Reason};
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::bindings::xdp_action::XDP_REDIRECT;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_meta, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;

use crate::maps::{COPIES, SOCKETS};
use crate::packet::Packet;
use crate::verifier::{masked, opaque};
use crate::walk::Walk;

/// To the socket of the queue that the packet came by (no other may have it), or `rest` if there is none.
#[inline(always)]
pub fn redirect(ctx: &XdpContext, meta: &mut Meta, rest: u32) -> (u32, Reason) {
    let reason = complete(meta);
    if !prepend(ctx, meta) {
        return (rest, Reason::NoMetadata);
    }
    match SOCKETS.redirect(ctx.rx_queue_index(), u64::from(rest)) {
        Ok(_) => (XDP_REDIRECT, reason),
        Err(_) => (rest, Reason::NoSocket),
    }
}

/// Completes the description; how the packet ends if all goes well.
#[inline(always)]
fn complete(meta: &mut Meta) -> Reason {
    // SAFETY: the helper has no preconditions.
    meta.time = unsafe { bpf_ktime_get_ns() };
    Class::from_u8(meta.class).map_or(Reason::NotConfigured, Class::reason)
}

/// Puts the description in front of the packet.
#[inline(always)]
fn prepend(ctx: &XdpContext, meta: &Meta) -> bool {
    // SAFETY: the context is the one that the kernel gave.
    if unsafe { bpf_xdp_adjust_meta(ctx.ctx, -(META_BYTES as i32)) } != 0 {
        return false;
    }
    let start = opaque(ctx.metadata() as u64) as usize;
    if start + META_BYTES > ctx.metadata_end() {
        return false;
    }
    // SAFETY: the metadata area has room for it, as just checked, and is aligned to eight bytes as the
    // headroom and its own size are.
    unsafe { (start as *mut Meta).write(*meta) };
    true
}

/// A copy into the ring. Readers poll: a wake-up costs more than the copy.
#[inline(always)]
pub fn copy(ctx: &XdpContext, walk: &mut Walk) -> Reason {
    let reason = complete(&mut walk.meta);
    let bytes = Packet::new(ctx.ctx).frame_bytes() as usize;
    let header = |captured: usize| CopyHeader {
        meta: walk.meta,
        wire_bytes: bytes as u32,
        captured_bytes: captured as u32,
    };
    let result = if bytes <= COPY_DATA_BYTES[0] {
        copy_into::<{ COPY_DATA_BYTES[0] }>(ctx, header(bytes))
    } else if bytes <= COPY_DATA_BYTES[1] {
        copy_into::<{ COPY_DATA_BYTES[1] }>(ctx, header(bytes))
    } else if bytes <= COPY_DATA_BYTES[2] {
        copy_into::<{ COPY_DATA_BYTES[2] }>(ctx, header(bytes))
    } else {
        let captured = if bytes < COPY_DATA_BYTES[3] { bytes } else { COPY_DATA_BYTES[3] };
        copy_into::<{ COPY_DATA_BYTES[3] }>(ctx, header(captured))
    };
    match result {
        Ok(()) => reason,
        Err(reason) => reason,
    }
}

/// A record in the ring of copies.
#[repr(C)]
struct Record<const N: usize> {
    header: CopyHeader,
    data: [u8; N],
}

#[inline(always)]
fn copy_into<const N: usize>(ctx: &XdpContext, header: CopyHeader) -> Result<(), Reason> {
    let mut entry = COPIES.reserve::<Record<N>>(0).ok_or(Reason::CopiesFull)?;
    let record = entry.as_mut_ptr();
    // At least one byte in a way that verifiers up to 6.1 understand: they learn nothing from `!= 0`.
    let bytes = masked(u64::from(header.captured_bytes).wrapping_sub(1), 0xffff) + 1;
    let bytes = if bytes > N as u64 { N as u64 } else { bytes };
    // SAFETY: the record is reserved and has room for the header and for `N` bytes.
    let failed = unsafe {
        (&raw mut (*record).header).write(header);
        let data = (&raw mut (*record).data).cast();
        bpf_xdp_load_bytes(ctx.ctx, 0, data, bytes as u32) != 0
    };
    if failed {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Reason::CopyFailed);
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    Ok(())
}
