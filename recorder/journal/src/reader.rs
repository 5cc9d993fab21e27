//! Reads flows back: walks a chain of chunk headers, then decrypts the chunks that are wanted.
//!
//! Header tags are checked on the way, so that a chain is followed only where it was written to lead. A
//! damaged chunk is left out and named; the chain is taken up again before it.

use std::ops::Range;
use std::sync::Arc;

use base::Timestamp;

use crate::cursor::Cursor;
use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{CHUNK_HEADER_BYTES, CHUNK_OVERHEAD, ChunkHeader, Kind, TAG_BYTES};
use crate::journal::Shared;
use crate::locator::Locator;
use crate::packets::{Packets, Window};
use crate::segments::file_name;

/// Reads chunks of any core and any recovered run, while they are being written.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// The chunks of one flow, in the order of writing.
#[derive(Debug, Default)]
pub struct Chain {
    /// Those that may hold something of the window.
    pub chunks: Vec<ChunkRef>,
    /// Chunks that had to be left out.
    pub damaged: Vec<Damage>,
    /// Where the chain goes on into a segment that is not kept any more.
    pub released: Option<Locator>,
}

impl Chain {
    /// Packets in the chunks, some of which may be outside the window.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.records)).sum()
    }

    /// Memory that [`Reader::load`] will take for all of them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(ChunkRef::chunk_bytes).sum()
    }
}

/// A chunk whose header has been read and found authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Where it is.
    pub locator: Locator,
    /// Its earliest record.
    pub first: Timestamp,
    /// Its latest record.
    pub last: Timestamp,
    /// Packets or messages in it.
    pub records: u16,
    payload_bytes: u32,
}

impl ChunkRef {
    pub(crate) fn new(locator: Locator, header: &ChunkHeader) -> Self {
        let (records, payload_bytes) = (header.records, header.payload_bytes);
        Self { locator, first: header.first, last: header.last(), records, payload_bytes }
    }

    /// Bytes of the whole chunk in the file.
    pub(crate) const fn chunk_bytes(&self) -> usize {
        self.payload_bytes as usize + CHUNK_OVERHEAD
    }
}

impl Reader {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Whether the chunk at `locator`, and with it every earlier one of its core, can be read now.
    #[must_use]
    pub fn is_written(&self, locator: Locator) -> bool {
        // In this order: a chunk is in a file before it leaves the memory.
        if self.shared.held(locator.core()).is_some_and(|held| held.contains(locator)) {
            return true;
        }
        let segment = self.shared.segments.get(locator);
        segment.is_some_and(|segment| locator.offset() < segment.written())
    }

    /// The chunks of the flow that ends with the chunk at `last`, as far as they may hold packets of `window`.
    /// Stops at the first chunk before which nothing is late enough, so a call pays for its own part of a flow
    /// (and for what came after it), not for the hours before.
    ///
    /// # Errors
    /// The chunk at `last` is not written yet or not kept any more, or the disk cannot be read.
    pub fn chain(&self, last: Locator, window: Window) -> Result<Chain, ReadError> {
        let mut chain = Chain::default();
        let mut cursor = Cursor::new(&self.shared);
        let (mut next, mut flow) = (Some(last), None);
        while let Some(locator) = next {
            next = match cursor.header(locator, flow) {
                Ok(Ok(header)) => {
                    flow = Some(header.flow);
                    if window.touches(header.first, header.last()) {
                        chain.chunks.push(ChunkRef::new(locator, &header));
                    }
                    earlier(&header, locator, window)
                }
                Ok(Err(damage)) => {
                    chain.damaged.push(damage);
                    flow.map_or(Ok(None), |flow| cursor.salvage(flow, locator))?
                }
                Err(ReadError::Released { .. }) if locator != last => {
                    let before = flow.map_or(Ok(None), |flow| cursor.salvage(flow, locator))?;
                    match before {
                        Some(_) => chain.damaged.push(self.gone(locator, DamageKind::Missing)),
                        None => chain.released = Some(locator),
                    }
                    before
                }
                Err(error) => return Err(error),
            };
        }
        chain.chunks.reverse();
        Ok(chain)
    }

    /// Adds the packets of `window` in `chain` to `packets`. A chunk that proves damaged is left out and named
    /// there.
    ///
    /// # Errors
    /// A chunk is not kept any more, or the disk cannot be read; `packets` then holds a part.
    pub fn load(
        &self,
        chain: &Chain,
        window: Window,
        packets: &mut Packets,
    ) -> Result<(), ReadError> {
        let mut cursor = Cursor::new(&self.shared);
        let wanted = || chain.chunks.iter().filter(|chunk| window.touches(chunk.first, chunk.last));
        packets.bytes.reserve(wanted().map(ChunkRef::chunk_bytes).sum());
        for chunk in wanted() {
            let begin = packets.bytes.len();
            match cursor.payload(chunk, Kind::Media, &mut packets.bytes)? {
                Ok(()) => {
                    let payload = begin + CHUNK_HEADER_BYTES..packets.bytes.len() - TAG_BYTES;
                    packets.add(payload, chunk.records, chunk.first, window);
                }
                Err(damage) => {
                    packets.bytes.truncate(begin);
                    packets.add_damage(damage);
                }
            }
        }
        Ok(())
    }

    /// Adds the packets of `window` of the flow that ends at `last`, and what damage there is, to `packets`: what
    /// [`Reader::chain`] and [`Reader::load`] do, with one read for each chunk. Chunks that the window still
    /// needs and that are gone with their segment are damage as well.
    ///
    /// # Errors
    /// As both.
    pub fn read(
        &self,
        last: Locator,
        window: Window,
        packets: &mut Packets,
    ) -> Result<(), ReadError> {
        let before = packets.mark();
        if self.read_undamaged(last, window, packets)? {
            packets.reverse_since(before);
            return Ok(());
        }
        packets.forget_since(before);
        let chain = self.chain(last, window)?;
        self.load(&chain, window, packets)?;
        chain.damaged.into_iter().for_each(|damage| packets.add_damage(damage));
        if let Some(gone) = chain.released {
            packets.add_damage(self.gone(gone, DamageKind::Gone));
        }
        Ok(())
    }

    fn gone(&self, locator: Locator, kind: DamageKind) -> Damage {
        let name = file_name((locator.core(), locator.segment(), 0));
        let path = self.shared.places.folder(0).join(name);
        Damage { path, offset: locator.offset(), bytes: 0, kind }
    }

    /// Adds the packets, last chunk first; `false` as soon as anything is not as it was written.
    fn read_undamaged(
        &self,
        last: Locator,
        window: Window,
        packets: &mut Packets,
    ) -> Result<bool, ReadError> {
        let mut cursor = Cursor::new(&self.shared);
        let (mut next, mut flow) = (Some(last), None);
        while let Some(locator) = next {
            let begin = packets.bytes.len();
            let read = match cursor.chunk(locator, window, &mut packets.bytes) {
                Err(ReadError::Released { .. }) if locator != last => return Ok(false),
                read => read?,
            };
            let Some(header) = read.filter(|read| flow.is_none_or(|flow| flow == read.flow)) else {
                return Ok(false);
            };
            flow = Some(header.flow);
            if packets.bytes.len() > begin {
                let payload = begin + CHUNK_HEADER_BYTES..packets.bytes.len() - TAG_BYTES;
                packets.add(payload, header.records, header.first, window);
            }
            next = earlier(&header, locator, window);
        }
        Ok(true)
    }

    /// Replaces `chunk_bytes` by the signalling chunk that `chunk` names, decrypted; gives its payload's place.
    pub(crate) fn signalling(
        &self,
        chunk: &ChunkRef,
        chunk_bytes: &mut Vec<u8>,
    ) -> Result<Result<Range<usize>, Damage>, ReadError> {
        chunk_bytes.clear();
        let read = Cursor::new(&self.shared).payload(chunk, Kind::Signalling, chunk_bytes)?;
        Ok(read.map(|()| CHUNK_HEADER_BYTES..chunk_bytes.len() - TAG_BYTES))
    }
}

/// The flow's chunk before the one at `locator`, if it may matter for `window`.
fn earlier(header: &ChunkHeader, locator: Locator, window: Window) -> Option<Locator> {
    // Chains lead backwards: nothing that is read may make a reader go round in circles.
    let previous = header.previous.filter(|previous| *previous < locator);
    previous.filter(|_| header.latest_before >= window.from)
}
