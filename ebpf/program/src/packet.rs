//! Reading the packet within its bounds.

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;

use crate::verifier::opaque;

/// A packet: its bytes up to the end of the first buffer, in which all headers are.
pub struct Packet {
    ctx: *mut xdp_md,
    start: usize,
    end: usize,
}

/// `N` bytes of the packet whose bounds were checked.
#[derive(Clone, Copy)]
pub struct View<const N: usize>(*const u8);

impl Packet {
    #[inline(always)]
    pub fn new(ctx: *mut xdp_md) -> Self {
        // LLVM would otherwise pass a function the two ends, as 32 bits, instead of the context.
        let ctx = opaque(ctx as u64) as *mut xdp_md;
        let context = XdpContext::new(ctx);
        Self { ctx, start: context.data(), end: context.data_end() }
    }

    /// The `N` bytes from `offset` on, if the packet has them. `offset` must be known to be small
    /// (`verifier::bounded`).
    #[inline(always)]
    pub fn view<const N: usize>(&self, offset: u32) -> Option<View<N>> {
        let from = opaque(self.start as u64 + u64::from(offset)) as usize;
        let past = opaque((from + N) as u64) as usize;
        if past > self.end { None } else { Some(View(from as *const u8)) }
    }

    /// Whether the first buffer ends before `offset`.
    #[inline(always)]
    pub fn ends_before(&self, offset: u32) -> bool {
        let past = opaque((self.start + offset as usize) as u64) as usize;
        past > self.end
    }

    /// Bytes of the frame in all its buffers.
    #[inline(always)]
    pub fn frame_bytes(&self) -> u32 {
        // SAFETY: the context is the one that the kernel gave.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }
}

macro_rules! load {
    ($(#[$doc:meta])* $name:ident, $type:ty, $instruction:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name<const AT: usize>(self) -> $type {
            const { assert!(AT + size_of::<$type>() <= N, "within the view") };
            let value: u64;
            // SAFETY: `view` saw these bytes to be within the packet. An instruction of our own, because a
            // header may be at any address, and LLVM reads unaligned fields byte by byte.
            unsafe {
                asm!(
                    $instruction,
                    value = out(reg) value,
                    from = in(reg) self.0,
                    at = const AT,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            value as $type
        }
    };
}

impl<const N: usize> View<N> {
    load!(u8, u8, "{value} = *(u8 *)({from} + {at})");
    load!(
        /// In the byte order of the packet.
        raw16, u16, "{value} = *(u16 *)({from} + {at})"
    );
    load!(
        /// In the byte order of the packet.
        raw32, u32, "{value} = *(u32 *)({from} + {at})"
    );
    load!(
        /// In the byte order of the packet.
        raw64, u64, "{value} = *(u64 *)({from} + {at})"
    );

    #[inline(always)]
    pub fn u16<const AT: usize>(self) -> u16 {
        u16::from_be(self.raw16::<AT>())
    }

    #[inline(always)]
    pub fn u32<const AT: usize>(self) -> u32 {
        u32::from_be(self.raw32::<AT>())
    }

    /// `M` of these bytes, from `AT` on.
    #[inline(always)]
    pub fn from<const AT: usize, const M: usize>(self) -> View<M> {
        const { assert!(AT + M <= N, "within the view") };
        View(self.0.wrapping_add(AT))
    }

    /// Sixteen bytes as they are.
    #[inline(always)]
    pub fn address<const AT: usize>(self) -> [u32; 4] {
        // Four loads at constant offsets; `AT + 4` is no constant argument on this compiler.
        let view = View::<16>(self.0.wrapping_add(AT));
        [view.raw32::<0>(), view.raw32::<4>(), view.raw32::<8>(), view.raw32::<12>()]
    }
}
