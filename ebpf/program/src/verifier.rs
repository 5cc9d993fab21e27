//! What keeps LLVM and the kernel's verifier from misunderstanding each other.
//!
//! LLVM knows that a port is below 65,536 and drops a mask that says so; or it proves that two checks are
//! one, and keeps the one that the verifier does not follow. The verifier only believes what it sees in the
//! instructions. A value that passed through empty assembly is unknown to LLVM, so what is done to it
//! afterwards stays in the program.
//!
//! The opposite trouble is a verifier that knows too much: an offset of 34, 38 or 42 is three programs to it,
//! each followed by all combinations of what comes next. So what one step of the walk leaves for the next is
//! in memory whose content the verifier does not track (`walk::Walk`), and each step is a function that is
//! not inlined. A step has a plain name in the object: a mangled one contains a hash of where the sources
//! are, and the object would be another on every machine.

use core::arch::asm;

use abi::Reason;
use abi::limits::HEADER_BYTES_MAX;

/// The same value, of which LLVM knows nothing.
#[inline(always)]
pub fn opaque(mut value: u64) -> u64 {
    // SAFETY: no instruction is emitted; the register is read and written only as declared.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// The value masked, in an instruction that the verifier sees.
#[inline(always)]
pub fn masked(value: u64, mask: u64) -> u64 {
    opaque(value) & mask
}

/// An offset into the headers, checked and visibly in bounds.
#[inline(always)]
pub fn bounded(offset: u32) -> Result<u32, Reason> {
    if offset > HEADER_BYTES_MAX {
        return Err(Reason::HeadersTooLong);
    }
    Ok(masked(u64::from(offset), u64::from(HEADER_BYTES_MAX)) as u32)
}

const _: () = assert!((HEADER_BYTES_MAX + 1).is_power_of_two(), "it serves as a mask");
