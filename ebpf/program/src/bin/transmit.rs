//! The sender of `spanreel bench`: takes the frames that user space has laid into mapped memory, one after the other, and
//! sends them. To be run by `BPF_PROG_TEST_RUN` with live frames, once for each frame: no system call, no allocation and no
//! socket for any of them.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

use core::arch::asm;

use abi::transmit::{ALIGNMENT, BATCH_BYTES, Batch, FRAME_BYTES_MAX, FRAMES_OFFSET, HEAD_BYTES, taken};
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP};
use aya_ebpf::helpers::generated::{bpf_redirect, bpf_xdp_adjust_tail, bpf_xdp_store_bytes};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

/// `BPF_F_MMAPABLE`.
const MAPPED: u32 = 1 << 10;
#[map]
static BATCH: Array<Batch> = Array::with_max_entries(1, MAPPED);

/// An Ethernet header.
const FRAME_BYTES_MIN: usize = 14;

/// Makes the frame that it is run on, which has [`FRAME_BYTES_MAX`] bytes, the next one of the batch, and sends it. Drops it if the batch
/// has no other.
#[xdp]
fn transmit(ctx: XdpContext) -> u32 {
    let Some(batch) = BATCH.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: the map's one value; nobody else reads or writes it while the program runs.
    let (interface, next) = unsafe { ((*batch).interface, (*batch).next) };
    let next = opaque(u64::from(next)) as usize & (BATCH_BYTES - ALIGNMENT);
    // SAFETY: the mask keeps a head and the largest frame behind it within the value.
    let head = unsafe { batch.cast::<u8>().add(FRAMES_OFFSET + next) };
    // SAFETY: as above; heads are aligned.
    let length = opaque(u64::from(unsafe { head.cast::<u32>().read() })) as usize;
    if length < FRAME_BYTES_MIN {
        return XDP_DROP;
    }
    if length > FRAME_BYTES_MAX {
        return XDP_ABORTED;
    }
    // The kernel gives it back its whole length before each run.
    let shorter = length as i32 - FRAME_BYTES_MAX as i32;
    // SAFETY: both helpers check what they are told; `length` bytes behind the head are within the value.
    unsafe {
        if bpf_xdp_adjust_tail(ctx.ctx, shorter) != 0
            || bpf_xdp_store_bytes(ctx.ctx, 0, head.add(HEAD_BYTES).cast(), length as u32) != 0
        {
            return XDP_ABORTED;
        }
        (*batch).next = (next + taken(length)) as u32;
        bpf_redirect(interface, 0) as u32
    }
}

/// The same value, of which LLVM knows nothing: what is checked afterwards is checked where the verifier sees it.
#[inline(always)]
fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction is emitted; the register is read and written only as declared.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
