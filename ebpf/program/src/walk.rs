//! From the first byte to the innermost UDP or TCP header, step by step.

use abi::limits::TUNNELS_MAX;
use abi::{Config, Endpoint, Fragment, META_BYTES, Meta, Reason};
use aya_ebpf::bindings::xdp_md;

use crate::{fragment, interest, ip, link, tunnel};

/// Protocol numbers (IANA).
pub const TCP: u32 = 6;
pub const UDP: u32 = 17;
pub const GRE: u32 = 47;

/// An Ethernet header comes first (0 is no EtherType).
pub const ETHERNET: u32 = 0;

/// What is known of the packet so far. One per CPU: the kernel runs XDP with bottom halves disabled, so it does
/// not interrupt itself. (A real-time kernel without its lock for bottom halves may: it is not supported.)
#[repr(C)]
pub struct Walk {
    /// What user space will be told. The class is 0 until the walk has ended.
    pub meta: Meta,
    /// The destination as the endpoint map knows it.
    pub endpoint: Endpoint,
    /// Where the next layer begins.
    pub offset: u32,
    /// What it is: an EtherType, or [`ETHERNET`].
    pub kind: u32,
    /// Where the innermost IP packet ends by its own account; the frame may end before.
    pub end: u32,
    /// What it carries.
    pub protocol: u32,
    /// Whether it is a part of a datagram: a [`Part`].
    pub part: u32,
    /// Which datagram, if it is a part of one.
    pub fragment: Fragment,
}

/// Values of [`Walk::part`].
pub mod part {
    pub const WHOLE: u32 = 0;
    pub const FIRST: u32 = 1;
    pub const LATER: u32 = 2;
}

impl Walk {
    #[inline(always)]
    fn begin(&mut self) {
        let meta = (&raw mut self.meta).cast::<u64>();
        for word in 0..META_BYTES / 8 {
            // SAFETY: these are the words of `meta`. Volatile, or LLVM makes it a call to a loop over bytes.
            unsafe { meta.add(word).write_volatile(0) };
        }
        self.offset = 0;
        self.kind = ETHERNET;
    }
}

/// Walks until the packet's class is known, or why it is not of interest.
#[inline(always)]
pub fn to_the_end(ctx: *mut xdp_md, config: &Config, walk: &mut Walk) -> Result<(), Reason> {
    walk.begin();
    for _ in 0..TUNNELS_MAX + 1 {
        link::ethernet(ctx, walk)?;
        ip::header(ctx, walk)?;
        match (walk.part, walk.protocol) {
            (part::WHOLE, UDP) => interest::udp(ctx, config, walk)?,
            (part::WHOLE, TCP) => interest::tcp(ctx, config, walk)?,
            (part::WHOLE, GRE) => tunnel::gre(ctx, walk)?,
            (part::WHOLE, _) => return Err(Reason::OtherProtocol),
            _ => fragment::fragment(ctx, config, walk)?,
        }
        if walk.meta.class != 0 {
            return Ok(());
        }
    }
    Err(Reason::TunnelTooDeep)
}
