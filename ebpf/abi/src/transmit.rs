//! What the sender of `spanreel bench` and its program (`ebpf/program/src/bin/transmit.rs`) say to each other.

/// Bytes of frames that a [`Batch`] may begin with; a power of two.
pub const BATCH_BYTES: usize = 1 << 20;
/// The largest frame: a full one of Ethernet, with a VLAN tag.
pub const FRAME_BYTES_MAX: usize = 1_518;
/// Before each frame: its length, 32 bits, and 32 that are zero.
pub const HEAD_BYTES: usize = 8;
/// Where a frame's head may be: every so many bytes.
pub const ALIGNMENT: usize = 8;
/// Bytes of [`Batch::frames`]: what begins within [`BATCH_BYTES`] fits, and a head that says that nothing follows.
pub const FRAMES_BYTES: usize =
    BATCH_BYTES + FRAME_BYTES_MAX.next_multiple_of(ALIGNMENT) + 2 * HEAD_BYTES;

/// The one value of the map [`BATCH`]: frames, one after the other, in the order in which they are to be sent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Batch {
    /// Where they are sent, by its number.
    pub interface: u32,
    /// Offset of the next one's head in `frames`. The program moves it on.
    pub next: u32,
    /// Heads and frames. A length of zero: nothing follows.
    pub frames: [u8; FRAMES_BYTES],
}

/// Offset of [`Batch::next`].
pub const NEXT_OFFSET: usize = core::mem::offset_of!(Batch, next);
/// Offset of [`Batch::frames`].
pub const FRAMES_OFFSET: usize = core::mem::offset_of!(Batch, frames);

/// Sends the next frame of the batch.
pub const TRANSMIT: &str = "transmit";
/// Array, one [`Batch`], which user space has mapped.
pub const BATCH: &str = "BATCH";

/// What a frame takes in a batch, with its head.
#[must_use]
pub const fn taken(frame_bytes: usize) -> usize {
    HEAD_BYTES + frame_bytes.next_multiple_of(ALIGNMENT)
}

const _: () = assert!(BATCH_BYTES.is_power_of_two() && FRAMES_OFFSET == 8 && NEXT_OFFSET == 4);
