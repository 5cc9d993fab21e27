//! The ring of blocks that is shared with the kernel (`struct tpacket_block_desc`).
//!
//! A block begins with a description of 48 bytes, one word of which says whose the block is. The kernel fills a
//! block, writes the description, and then stores "user's" into that word; the reader loads it with acquire
//! order, reads, and stores "kernel's" with release order. Between the two, nobody else writes to the block.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::io;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mapping::Mapping;
use crate::nic::packet_option::{PacketSocket, RingRequest};

/// The description: version, offset of private data, status, packets, offset of the first packet, length, a
/// sequence number, times of the first and last packet.
pub(super) const DESCRIPTION_BYTES: usize = 48;
const STATUS: usize = 8;
const PACKETS: usize = 12;
const FIRST: usize = 16;

/// The ring, mapped.
#[derive(Debug)]
pub(super) struct Ring {
    memory: Mapping,
    block_bytes: usize,
    blocks: usize,
    /// The block that is filled next.
    next: usize,
}

/// A block that is the reader's, until this is dropped.
#[derive(Debug)]
pub(super) struct Block<'a> {
    ring: &'a mut Ring,
    /// How many packets there are in it.
    pub(super) packets: u32,
    /// Where in [`bytes`](Self::bytes) the first one's header is, as the kernel says.
    pub(super) first: usize,
}

impl Ring {
    /// Maps the ring of a socket, which was made by this request.
    pub(super) fn map(socket: &PacketSocket, request: &RingRequest) -> io::Result<Self> {
        let (block_bytes, blocks) = (request.block_bytes as usize, request.blocks as usize);
        let memory = Mapping::of_file(socket.as_fd(), 0, block_bytes * blocks)?;
        // SAFETY: this memory is `blocks` blocks, used by the kernel as the module doc says and by nobody else.
        Ok(unsafe { Self::new(memory, block_bytes, blocks) })
    }

    /// # Safety
    /// The memory is `blocks` blocks of `block_bytes`, which nobody uses but the other end, as the module doc says.
    unsafe fn new(memory: Mapping, block_bytes: usize, blocks: usize) -> Self {
        assert!(block_bytes > DESCRIPTION_BYTES && block_bytes.is_multiple_of(8) && blocks > 0);
        assert!(memory.bytes() >= block_bytes * blocks);
        Self { memory, block_bytes, blocks, next: 0 }
    }

    /// The next block, if the kernel has filled it.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Block<'_>> {
        // SAFETY: the word is within the block and aligned; the kernel writes it at any time, but whole.
        let status = unsafe { AtomicU32::from_ptr(self.at(STATUS).cast().as_ptr()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: both are within the block and aligned; the block is ours by the status just acquired.
        let (packets, first) =
            unsafe { (self.at(PACKETS).cast::<u32>().read(), self.at(FIRST).cast::<u32>().read()) };
        let first = (first as usize).saturating_sub(DESCRIPTION_BYTES);
        Some(Block { ring: self, packets, first })
    }

    /// A place in the next block.
    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.block_bytes && self.next < self.blocks);
        // SAFETY: by the assertion it is within the mapping.
        unsafe { self.memory.start().add(self.next * self.block_bytes + offset) }
    }
}

impl Block<'_> {
    /// What follows the description.
    #[inline]
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let start = self.ring.at(DESCRIPTION_BYTES);
        let length = self.ring.block_bytes - DESCRIPTION_BYTES;
        // SAFETY: the rest of the block is mapped, has been written (by the kernel, which gives it out zeroed), and
        // is ours alone until the status says otherwise, which this block's drop does after this borrow ends.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), length) }
    }
}

impl Drop for Block<'_> {
    /// Gives the block back to the kernel.
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as in `take`.
        let status = unsafe { AtomicU32::from_ptr(self.ring.at(STATUS).cast().as_ptr()) };
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.next = (self.ring.next + 1) % self.ring.blocks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK_BYTES: usize = 4_096;

    /// A ring of three blocks, and the end that the kernel has.
    fn ring() -> (Ring, Kernel) {
        let memory = Mapping::anonymous(3 * BLOCK_BYTES, false).unwrap();
        let kernel = Kernel(memory.start());
        // SAFETY: the memory is the ring's; `Kernel` uses it as the kernel does.
        (unsafe { Ring::new(memory, BLOCK_BYTES, 3) }, kernel)
    }

    struct Kernel(NonNull<u8>);

    impl Kernel {
        fn status(&self, block: usize) -> &AtomicU32 {
            // SAFETY: within the mapping and aligned.
            unsafe { AtomicU32::from_ptr(self.0.add(block * BLOCK_BYTES + STATUS).cast().as_ptr()) }
        }

        /// Fills a block that is the kernel's, and hands it over.
        fn fill(&self, block: usize, packets: u32, first_byte: u8) {
            assert_eq!(self.status(block).load(Ordering::Acquire), libc::TP_STATUS_KERNEL);
            // SAFETY: within the mapping and aligned; by the status, the block is the kernel's.
            unsafe {
                let start = self.0.add(block * BLOCK_BYTES);
                start.add(PACKETS).cast::<u32>().write(packets);
                start.add(FIRST).cast::<u32>().write(DESCRIPTION_BYTES as u32 + 8);
                start.add(DESCRIPTION_BYTES).write(first_byte);
            }
            self.status(block).store(libc::TP_STATUS_USER | 1 << 5, Ordering::Release);
        }
    }

    #[test]
    fn blocks_come_in_order_and_go_back() {
        let (mut ring, kernel) = ring();
        assert!(ring.take().is_none(), "nothing is filled");
        for round in 0..10_u8 {
            let block = usize::from(round) % 3;
            kernel.fill(block, 5, round);
            let mut taken = ring.take().unwrap();
            assert_eq!((taken.packets, taken.first), (5, 8));
            assert_eq!((taken.bytes().len(), taken.bytes()[0]), (BLOCK_BYTES - 48, round));
            taken.bytes()[100] = 1;
            drop(taken);
            assert_eq!(kernel.status(block).load(Ordering::Acquire), libc::TP_STATUS_KERNEL);
            assert!(ring.take().is_none());
        }
    }

    #[test]
    fn a_filled_ring_is_read_to_its_end() {
        let (mut ring, kernel) = ring();
        (0..3).for_each(|block| kernel.fill(block, 1, block as u8));
        let mut seen = Vec::new();
        while let Some(mut block) = ring.take() {
            seen.push(block.bytes()[0]);
        }
        assert_eq!(seen, [0, 1, 2]);
    }
}
