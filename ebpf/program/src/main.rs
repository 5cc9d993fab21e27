//! The XDP program of Spanreel: picks SIP and RTP out of everything that a port carries.
//!
//! For each packet: if it is plain media, that is all (`plain`). Else walk to the innermost UDP or TCP header (`walk`, `link`, `ip`, `tunnel`), decide whether
//! it is of interest (`interest`, `fragment`), hand it over with a description in front (`deliver`), count
//! how it ended (`maps`). `packet` and `verifier` keep the kernel's verifier content.
//!
//! Invariants: each packet seen is counted once as seen and once under exactly one reason; a packet is
//! read only behind a check of its bounds; nothing here loops more often than a constant of `abi::limits`.
//!
//! Two entry points: `span` owns the port (what is selected goes to the AF_XDP socket of the packet's own
//! queue; the rest is dropped, or passed if so configured); `shared` leaves all traffic to the host and
//! copies what is selected into a ring.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod deliver;
mod fragment;
mod interest;
mod ip;
mod link;
mod maps;
mod packet;
mod plain;
mod tunnel;
mod verifier;
mod walk;

use abi::{Config, Reason, config_flags};
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use maps::Counters;
use walk::Walk;

/// None of the helpers used here is reserved for GPL programs, so the object says what the source is under.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 18] = *b"MIT OR Apache-2.0\0";

/// A port that carries nothing but a mirror.
#[xdp(frags)]
fn span(ctx: XdpContext) -> u32 {
    let Some(counters) = Counters::of_this_cpu() else { return XDP_DROP };
    counters.seen();
    let Some((config, walk)) = ready() else {
        counters.count(Reason::NotConfigured);
        return XDP_DROP;
    };
    let rest = if config.flags & config_flags::PASS_REST != 0 { XDP_PASS } else { XDP_DROP };
    let (action, reason) = if let Some(mut meta) = plain::media(ctx.ctx, config) {
        deliver::redirect(&ctx, &mut meta, rest)
    } else {
        match walk::to_the_end(ctx.ctx, config, walk) {
            Ok(()) => deliver::redirect(&ctx, &mut walk.meta, rest),
            Err(reason) => (rest, reason),
        }
    };
    counters.count(reason);
    action
}

/// A port that also carries the host's own traffic.
#[xdp(frags)]
fn shared(ctx: XdpContext) -> u32 {
    let Some(counters) = Counters::of_this_cpu() else { return XDP_PASS };
    counters.seen();
    let reason = match ready() {
        Some((config, walk)) => match walk::to_the_end(ctx.ctx, config, walk) {
            Ok(()) => deliver::copy(&ctx, walk),
            Err(reason) => reason,
        },
        None => Reason::NotConfigured,
    };
    counters.count(reason);
    XDP_PASS
}

#[inline(always)]
fn ready() -> Option<(&'static Config, &'static mut Walk)> {
    Some((maps::config()?, maps::walk()?))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No path leads here (nothing above indexes, unwraps or divides); the verifier refuses the program if
    // one ever does.
    loop {}
}
