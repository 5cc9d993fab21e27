//! The memory that frames are in, and who has which part of it.
//!
//! It is divided into chunks of one size. A chunk is at any time either the kernel's (in a fill ring, being
//! filled, or in a receive ring) or ours. Ours is a [`Chunk`], which cannot be copied: it comes out of the
//! receive ring ([`RxRing::pop`]) and goes into a fill ring ([`FillRing::push`]), which takes it away. So the
//! bytes of a chunk that can be looked at are never written at the same time.
//!
//! Where a frame is in its chunk: 256 bytes of the kernel's headroom, in the end of which is what the XDP
//! program put in front of the packet; then the packet.
#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::sync::Arc;

use abi::{META_BYTES, Meta};
use rustix::net::xdp::{XdpDesc, XdpDescOptions, XdpRingOffset, XdpUmemReg, XdpUmemRegFlags};
use zerocopy::FromBytes as _;

use super::XdpError;
use super::ring::{Consumer, Producer};
use crate::mapping::Mapping;
use crate::prefetch_bytes;

/// How much of a frame is fetched before its turn: all of one with 20 ms of G.711.
const PREFETCHED_BYTES: usize = 256;

/// All frames' memory, shared by the sockets of an interface.
#[derive(Debug)]
pub(super) struct Umem {
    memory: Mapping,
    chunk_bytes: u32,
    chunks: u32,
}

/// A chunk that is ours: its offset, anywhere within it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Chunk(u64);

impl Umem {
    /// Memory for `chunks` chunks, and the chunks.
    pub(super) fn new(
        chunks: u32,
        chunk_bytes: u32,
    ) -> Result<(Arc<Self>, impl Iterator<Item = Chunk>), XdpError> {
        let bytes = chunks as usize * chunk_bytes as usize;
        let memory =
            Mapping::anonymous(bytes, true).map_err(|source| XdpError::Memory { bytes, source })?;
        let umem = Arc::new(Self { memory, chunk_bytes, chunks });
        let all = (0..u64::from(chunks)).map(move |chunk| Chunk(chunk * u64::from(chunk_bytes)));
        Ok((umem, all))
    }

    /// How the kernel is told about it.
    pub(super) fn registration(&self) -> XdpUmemReg {
        XdpUmemReg {
            addr: self.memory.start().as_ptr() as u64,
            len: u64::from(self.chunks) * u64::from(self.chunk_bytes),
            chunk_size: self.chunk_bytes,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        }
    }

    /// Whether it is in huge pages.
    pub(super) const fn is_huge(&self) -> bool {
        self.memory.is_huge()
    }

    /// The `len` bytes at a chunk's offset; none of it if that is not all within the memory, which the
    /// kernel does not do.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, chunk: &'a Chunk, len: u32) -> &'a [u8] {
        self.slice(chunk, 0, len as usize).unwrap_or_default()
    }

    /// What the XDP program said about the packet at a chunk's offset.
    #[inline]
    pub(super) fn meta(&self, chunk: &Chunk) -> Option<Meta> {
        let bytes = self.slice(chunk, META_BYTES, META_BYTES)?;
        Meta::read_from_bytes(bytes).ok()
    }

    /// `len` bytes from `back` bytes before a chunk's offset, if they are all within that chunk.
    #[inline]
    fn slice<'a>(&'a self, chunk: &'a Chunk, back: usize, len: usize) -> Option<&'a [u8]> {
        let offset = usize::try_from(chunk.0).ok()?;
        let within = offset & (self.chunk_bytes as usize - 1);
        let start = within.checked_sub(back)?;
        if start.checked_add(len)? > self.chunk_bytes as usize || offset >= self.memory.bytes() {
            return None;
        }
        // SAFETY: within one chunk of the memory, as just checked (the memory is whole chunks). The chunk is
        // ours as long as it is borrowed, so nobody writes these bytes; they were initialised, by `mmap` with
        // zeroes if not by the kernel with a frame. The memory lives as long as `self`.
        Some(unsafe {
            std::slice::from_raw_parts(self.memory.start().as_ptr().add(offset - back), len)
        })
    }
}

/// A frame that is still in a receive ring: ours to look at, and not yet to give back.
pub(super) struct Coming(Filled);

impl Umem {
    /// Has the begin of a frame and its description fetched.
    #[inline]
    pub(super) fn prefetch(&self, coming: &Coming) {
        let bytes = (coming.0.bytes as usize).min(PREFETCHED_BYTES) + META_BYTES;
        prefetch_bytes(self.slice(&coming.0.chunk, META_BYTES, bytes).unwrap_or_default());
    }

    /// The bytes of a frame and its description, if it is all in one chunk.
    #[inline]
    pub(super) fn look<'a>(&'a self, coming: &'a Coming) -> Option<(Meta, &'a [u8])> {
        let Filled { chunk, bytes, continues } = &coming.0;
        let meta = self.meta(chunk).filter(|_| !continues)?;
        Some((meta, self.bytes(chunk, *bytes)))
    }
}

/// What came out of a receive ring.
pub(super) struct Filled {
    /// The chunk, at the first byte of the packet.
    pub(super) chunk: Chunk,
    /// Bytes of the packet in it.
    pub(super) bytes: u32,
    /// The packet goes on in the next one.
    pub(super) continues: bool,
}

impl Filled {
    #[inline]
    fn of(descriptor: XdpDesc) -> Self {
        let continues = descriptor.options.contains(XdpDescOptions::XDP_PKT_CONTD);
        Self { chunk: Chunk(descriptor.addr), bytes: descriptor.len, continues }
    }
}

/// The receive ring of a socket.
pub(super) struct RxRing(Consumer<XdpDesc>);

impl RxRing {
    /// # Safety
    /// The mapping is that of the socket's receive ring, not used otherwise, and the kernel laid it out.
    pub(super) unsafe fn new(mapping: Mapping, offsets: &XdpRingOffset, size: u32) -> Self {
        // SAFETY: the caller's promise; any bytes are a valid descriptor (plain integers).
        Self(unsafe { Consumer::new(Arc::new(mapping), offsets, size) })
    }

    /// Takes the next frame: its chunk is ours from here on.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Filled> {
        self.0.pop().map(Filled::of)
    }

    /// The frame that comes so many after the next one, if it was there at the last look.
    #[inline]
    pub(super) fn peek(&self, after: u32) -> Option<Coming> {
        let descriptor = self.0.peek(after)?;
        Some(Coming(Filled::of(descriptor)))
    }

    /// Looks how many frames there are.
    #[inline]
    pub(super) fn refresh(&mut self) {
        self.0.refresh();
    }

    /// Gives the places in the ring back (not the chunks).
    #[inline]
    pub(super) fn release(&mut self) {
        self.0.release();
    }
}

/// The fill ring of a socket, which has a place for each of its chunks.
///
/// The kernel publishes received frames before it gives the places of their chunks in the fill ring back. So
/// there is a moment in which a chunk is ours and the ring still looks full; such chunks wait.
pub(super) struct FillRing {
    ring: Producer<u64>,
    waiting: Vec<Chunk>,
}

impl FillRing {
    /// # Safety
    /// The mapping is that of the socket's fill ring, not used otherwise, and the kernel laid it out.
    pub(super) unsafe fn new(mapping: Mapping, offsets: &XdpRingOffset, size: u32) -> Self {
        // SAFETY: the caller's promise.
        let ring = unsafe { Producer::new(Arc::new(mapping), offsets, size) };
        // Room for all, so that the capture loop never allocates.
        Self { ring, waiting: Vec::with_capacity(size as usize) }
    }

    /// Gives a chunk to the kernel, once submitted.
    #[inline]
    pub(super) fn push(&mut self, chunk: Chunk) {
        if self.ring.push(chunk.0).is_err() {
            self.waiting.push(chunk);
        }
    }

    /// Lets the kernel have what was pushed.
    #[inline]
    pub(super) fn submit(&mut self) {
        self.ring.submit();
    }

    /// Gives chunks that had to wait to the kernel, as far as there is room now.
    #[inline]
    pub(super) fn retry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        while let Some(chunk) = self.waiting.pop() {
            if let Err(chunk) = self.ring.push(chunk.0) {
                self.waiting.push(Chunk(chunk));
                break;
            }
        }
        self.ring.submit();
    }

    /// Chunks that the kernel does not use.
    pub(super) fn free(&self) -> u32 {
        self.ring.filled() + u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Whether the kernel waits to be told.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes as _;

    use super::*;

    /// What the kernel does with a chunk: the description, then the packet.
    fn fill(umem: &Umem, at: u64, meta: &Meta, packet: &[u8]) {
        let bytes = [meta.as_bytes(), packet].concat();
        let start = at as usize - META_BYTES;
        assert!(start + bytes.len() <= umem.memory.bytes());
        // SAFETY: within the memory, and no chunk is borrowed.
        unsafe {
            let target = umem.memory.start().as_ptr().add(start);
            target.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    #[test]
    fn a_packet_and_its_description_are_found_in_each_chunk() {
        let (umem, chunks) = Umem::new(4, 2048).unwrap();
        for chunk in chunks {
            let meta = Meta { time: 7 + chunk.0, flow: 3, ..Meta::default() };
            let at = chunk.0 + 256;
            fill(&umem, at, &meta, b"packet");
            let chunk = Chunk(at);
            assert_eq!(umem.bytes(&chunk, 6), b"packet");
            assert_eq!(umem.meta(&chunk), Some(meta));
        }
    }

    #[test]
    fn what_is_not_within_one_chunk_is_not_read() {
        let (umem, _) = Umem::new(4, 2048).unwrap();
        assert_eq!(umem.bytes(&Chunk(2048 + 256), 1792).len(), 1792);
        for (at, bytes) in [(256, 1793), (2047, 2), (4 * 2048, 1), (u64::MAX, 1), (0, u32::MAX)] {
            assert_eq!(umem.bytes(&Chunk(at), bytes), b"", "{bytes} bytes at {at}");
        }
        for at in [0, 31, 2048, 2048 + 31] {
            assert_eq!(umem.meta(&Chunk(at)), None, "at {at}");
        }
    }

    #[test]
    fn the_kernel_is_told_of_whole_chunks_only() {
        let (umem, chunks) = Umem::new(3, 4096).unwrap();
        let registration = umem.registration();
        assert_eq!((registration.len, registration.chunk_size), (3 * 4096, 4096));
        assert_eq!(chunks.map(|chunk| chunk.0).collect::<Vec<_>>(), [0, 4096, 8192]);
    }

    #[test]
    fn a_chunk_waits_until_the_kernel_gave_its_place_back() {
        let offsets = XdpRingOffset { producer: 0, consumer: 64, desc: 192, flags: None };
        let mapping = Arc::new(Mapping::anonymous(4096, false).unwrap());
        // SAFETY: the mapping is this ring's, and this is the kernel's end of it.
        let mut kernel = unsafe { Consumer::<u64>::new(mapping.clone(), &offsets, 4) };
        // SAFETY: as above, our end.
        let ring = unsafe { Producer::new(mapping, &offsets, 4) };
        let mut fill = FillRing { ring, waiting: Vec::with_capacity(4) };
        (0..4).for_each(|chunk| fill.push(Chunk(chunk)));
        fill.submit();
        // Two frames come and are handled before their places are free.
        let used = [kernel.pop().unwrap(), kernel.pop().unwrap()];
        used.into_iter().for_each(|chunk| fill.push(Chunk(chunk)));
        fill.submit();
        assert_eq!((fill.waiting.len(), fill.free()), (2, 6), "and two of those are being used");
        fill.retry();
        assert_eq!(fill.waiting.len(), 2);
        kernel.release();
        fill.retry();
        assert_eq!((fill.waiting.len(), fill.free()), (0, 4));
        let mut all: Vec<u64> = std::iter::from_fn(|| kernel.pop()).collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
    }
}
