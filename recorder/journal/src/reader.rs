//! Reads flows back: walks a chain of chunk headers, then decrypts the chunks that are wanted.
//!
//! Header tags are checked on the way, so that a chain is followed only where it was written to lead. A
//! damaged chunk is left out and named; the chain is taken up again before it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use base::Timestamp;

use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{CHUNK_HEADER_BYTES, CHUNK_OVERHEAD, ChunkHeader, Kind, TAG_BYTES};
use crate::journal::Shared;
use crate::locator::{FlowId, Locator};
use crate::packets::{Packets, Window};
use crate::records::well_formed;
use crate::scan::{Part, Scan};
use crate::segments::Segment;

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

    const fn chunk_bytes(&self) -> usize {
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
        let segment = self.shared.segments.get((locator.core(), locator.segment()));
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
                    let earlier = header.previous.filter(|previous| *previous < locator);
                    earlier.filter(|_| header.latest_before >= window.from)
                }
                Ok(Err(damage)) => {
                    chain.damaged.push(damage);
                    flow.map_or(Ok(None), |flow| cursor.salvage(flow, locator))?
                }
                Err(ReadError::Released { .. }) if locator != last => {
                    chain.released = Some(locator);
                    None
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

    /// [`Reader::chain`] and [`Reader::load`] in one: adds the packets of `window` of the flow that ends at
    /// `last`, and what damage there is, to `packets`.
    ///
    /// # Errors
    /// As both.
    pub fn read(
        &self,
        last: Locator,
        window: Window,
        packets: &mut Packets,
    ) -> Result<(), ReadError> {
        let chain = self.chain(last, window)?;
        self.load(&chain, window, packets)?;
        chain.damaged.into_iter().for_each(|damage| packets.add_damage(damage));
        Ok(())
    }

    /// Replaces `chunk_bytes` by the signalling chunk that `chunk` names, decrypted; gives its payload's place.
    pub(crate) fn signalling(
        &self,
        chunk: &ChunkRef,
        chunk_bytes: &mut Vec<u8>,
    ) -> Result<Result<std::ops::Range<usize>, Damage>, ReadError> {
        chunk_bytes.clear();
        let read = Cursor::new(&self.shared).payload(chunk, Kind::Signalling, chunk_bytes)?;
        Ok(read.map(|()| CHUNK_HEADER_BYTES..chunk_bytes.len() - TAG_BYTES))
    }
}

/// Reads chunk after chunk; looks a segment up only when it changes.
struct Cursor<'a> {
    shared: &'a Shared,
    open: Option<(Arc<Segment>, Arc<File>)>,
}

impl<'a> Cursor<'a> {
    const fn new(shared: &'a Shared) -> Self {
        Self { shared, open: None }
    }

    /// The segment of `locator` and its file, once `bytes` bytes from there are written.
    fn segment(&mut self, locator: Locator, bytes: usize) -> Result<(&Segment, &File), ReadError> {
        let id = (locator.core(), locator.segment());
        let open = match self.open.take().filter(|(segment, _)| segment.id == id) {
            Some(open) => open,
            None => self.open_segment(locator)?,
        };
        if open.0.written() < locator.offset() + bytes as u64 {
            return Err(ReadError::NotWritten { locator });
        }
        let (segment, file) = self.open.insert(open);
        Ok((segment, file))
    }

    fn open_segment(&self, locator: Locator) -> Result<(Arc<Segment>, Arc<File>), ReadError> {
        let id = (locator.core(), locator.segment());
        let Some(segment) = self.shared.segments.get(id) else {
            let begun = self.shared.segments.is_begun(id);
            return Err(match begun {
                true => ReadError::Released { locator },
                false => ReadError::NotWritten { locator },
            });
        };
        match segment.file() {
            Ok(file) => Ok((segment, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::Released { locator })
            }
            Err(source) => Err(ReadError::Io { path: segment.path.clone(), locator, source }),
        }
    }

    /// The header at `locator`, if it is authentic and of `flow`.
    fn header(
        &mut self,
        locator: Locator,
        flow: Option<FlowId>,
    ) -> Result<Result<ChunkHeader, Damage>, ReadError> {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let (segment, file) = self.segment(locator, CHUNK_HEADER_BYTES)?;
        let read = read_at(segment, file, locator, &mut bytes)?;
        let authentic = read && segment.cipher.verify_header(locator.offset(), &bytes);
        let header = ChunkHeader::decode(&bytes).filter(|_| authentic);
        let header = header.filter(|header| flow.is_none_or(|flow| header.flow == flow));
        Ok(header.ok_or_else(|| damage(segment, locator, CHUNK_HEADER_BYTES, DamageKind::Header)))
    }

    /// Appends the chunk to `bytes` and decrypts its payload there.
    fn payload(
        &mut self,
        chunk: &ChunkRef,
        kind: Kind,
        bytes: &mut Vec<u8>,
    ) -> Result<Result<(), Damage>, ReadError> {
        let (begin, length) = (bytes.len(), chunk.chunk_bytes());
        let (segment, file) = self.segment(chunk.locator, length)?;
        bytes.resize(begin + length, 0);
        let room = bytes.get_mut(begin..).unwrap_or_default();
        let read = read_at(segment, file, chunk.locator, room)?;
        let opened = segment.cipher.open_chunk(chunk.locator.offset(), room).filter(|_| read);
        let kind = match opened {
            Some(payload) if well_formed(kind, payload, chunk.records, chunk.first) => {
                return Ok(Ok(()));
            }
            Some(_) => DamageKind::Records,
            None => DamageKind::Payload,
        };
        Ok(Err(damage(segment, chunk.locator, length, kind)))
    }

    /// The last chunk of `flow` before `damaged`, found by walking the segments themselves.
    fn salvage(&mut self, flow: FlowId, damaged: Locator) -> Result<Option<Locator>, ReadError> {
        let (core, mut number) = (damaged.core(), damaged.segment());
        let run = self.segment(damaged, 0)?.0.run;
        let mut end = damaged.offset();
        loop {
            let found = match self.shared.segments.get((core, number)) {
                Some(segment) if segment.run == run => last_of_flow(&segment, flow, damaged, end)?,
                _ => return Ok(None),
            };
            if found.is_some() || number == 0 {
                return Ok(found);
            }
            number -= 1;
            end = u64::MAX;
        }
    }
}

/// The last chunk of `flow` in the first `end` bytes of `segment`.
fn last_of_flow(
    segment: &Segment,
    flow: FlowId,
    damaged: Locator,
    end: u64,
) -> Result<Option<Locator>, ReadError> {
    let failed = |source| ReadError::Io { path: segment.path.clone(), locator: damaged, source };
    let file = segment.file().map_err(failed)?;
    let mut bytes = vec![0; end.min(segment.written()) as usize];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    let (mut scan, mut last) = (Scan::new(), None);
    while let Some(part) = scan.next(&bytes, &segment.cipher) {
        if let Part::Chunk { offset, header } = part
            && header.flow == flow
        {
            last = Some(Locator::new(segment.id.0, segment.id.1, offset as u32));
        }
    }
    Ok(last)
}

/// Fills `bytes` from `locator` on; `false` if the file has become shorter than what was written.
fn read_at(
    segment: &Segment,
    file: &File,
    locator: Locator,
    bytes: &mut [u8],
) -> Result<bool, ReadError> {
    match file.read_exact_at(bytes, locator.offset()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(ReadError::Io { path: segment.path.clone(), locator, source }),
    }
}

fn damage(segment: &Segment, locator: Locator, bytes: usize, kind: DamageKind) -> Damage {
    Damage { path: segment.path.clone(), offset: locator.offset(), bytes: bytes as u64, kind }
}
