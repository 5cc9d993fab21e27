//! What the capture bench (`benches/capture`) runs beside the real program: a sender that outruns every
//! receiver, the least that a program for AF_XDP can do, and one that does nothing at all.
#![no_std]
#![no_main]

use abi::bench::Load;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_redirect};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, XskMap};
use aya_ebpf::programs::XdpContext;

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

#[map]
static LOAD: Array<Load> = Array::with_max_entries(1, 0);
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(64, 0);

/// The low half of an IPv4 source address, and a UDP source port, behind an Ethernet header without tags.
const SOURCE_ADDRESS: usize = 28;
const SOURCE_PORT: usize = 34;

/// Makes each frame one of a random flow and sends it. To be run by `BPF_PROG_TEST_RUN` with live frames: the
/// kernel then sends as fast as one CPU can, without a system call or a copy per frame.
#[xdp]
fn send(ctx: XdpContext) -> u32 {
    let Some(load) = LOAD.get(0) else { return XDP_ABORTED };
    let start = ctx.data();
    if start + SOURCE_PORT + 2 > ctx.data_end() {
        return XDP_ABORTED;
    }
    // SAFETY: the helpers have no preconditions; both places are within the frame, as just checked, and even.
    unsafe {
        let flow = (u64::from(bpf_get_prandom_u32()) * u64::from(load.flows)) >> 32;
        let port = 0x4000 | (flow as u16 & 0x3fff);
        ((start + SOURCE_ADDRESS) as *mut u16).write(((flow >> 14) as u16).to_be());
        ((start + SOURCE_PORT) as *mut u16).write(port.to_be());
        bpf_redirect(load.interface, 0) as u32
    }
}

/// Everything to the socket of its queue.
#[xdp(frags)]
fn bare(ctx: XdpContext) -> u32 {
    SOCKETS.redirect(ctx.rx_queue_index(), 0).unwrap_or(XDP_DROP)
}

/// The end of every packet: what is left is the cost of sending it.
#[xdp(frags)]
fn discard(_: XdpContext) -> u32 {
    XDP_DROP
}

/// Everything to the network stack.
#[xdp(frags)]
fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
