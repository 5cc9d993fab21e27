//! Memory that will be needed soon, fetched while something else is done.
//!
//! What a packet touches (its own bytes, its flow, the end of its flow's chunk) was last used long ago or by
//! another CPU: each is a wait of 50 to 100 ns, one after the other. Asked for some packets ahead, they come at
//! the same time.
#![expect(unsafe_code, reason = "an instruction that has no other name")]

/// Bytes that come at once.
const LINE_BYTES: usize = 64;

/// Has the cache line at the begin of `it` fetched, to be read or written soon. A hint: nothing else happens.
#[inline(always)]
pub fn prefetch<T>(it: &T) {
    fetch(std::ptr::from_ref(it).cast());
}

/// The same for all lines of `bytes`.
#[inline(always)]
pub fn prefetch_bytes(bytes: &[u8]) {
    each_line(bytes, fetch);
}

/// The same for bytes that will be written: they come without another CPU keeping them, so that a store need not ask.
#[inline(always)]
pub fn prefetch_to_write(bytes: &[u8]) {
    each_line(bytes, fetch_to_write);
}

#[inline(always)]
fn each_line(bytes: &[u8], fetch: impl Fn(*const u8)) {
    bytes.chunks(LINE_BYTES).for_each(|line| fetch(line.as_ptr()));
    // The last line, where the first byte is not the first of its line.
    if let Some(last) = bytes.last() {
        fetch(std::ptr::from_ref(last));
    }
}

#[inline(always)]
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn fetch(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction reads nothing that the program sees and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[inline(always)]
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn fetch_to_write(address: *const u8) {
    // SAFETY: as above. Processors that do not have it (Intel's before 2014) take it for no operation.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

#[inline(always)]
#[cfg(any(not(target_arch = "x86_64"), miri))]
fn fetch(_: *const u8) {}

#[inline(always)]
#[cfg(any(not(target_arch = "x86_64"), miri))]
fn fetch_to_write(_: *const u8) {}
