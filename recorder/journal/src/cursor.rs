//! Reads chunks one after the other from the segments that hold them.

use std::io;
use std::sync::Arc;

use base::disk::{DiskFile, read_full_at};
use base::limits::CHUNK_BYTES;

use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{CHUNK_HEADER_BYTES, ChunkHeader, Kind};
use crate::held::Held;
use crate::journal::Shared;
use crate::locator::{FlowId, Locator};
use crate::packets::Window;
use crate::reader::ChunkRef;
use crate::records::well_formed;
use crate::scan::{Part, Scan};
use crate::segments::Segment;

/// Reads chunk after chunk; looks a segment up only when it changes.
pub(crate) struct Cursor<'a> {
    shared: &'a Shared,
    open: Option<(Arc<Segment>, Arc<dyn DiskFile>)>,
    /// The run of the segment that was read last.
    run: u32,
    /// What is in memory only, of the core of the chunk that was read last.
    held: Option<(u8, Option<Arc<Held>>)>,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(shared: &'a Shared) -> Self {
        Self { shared, open: None, run: 0, held: None }
    }

    /// What the core of `locator` has in memory only.
    fn held(&mut self, locator: Locator) -> Option<&Arc<Held>> {
        let (shared, core) = (self.shared, locator.core());
        if self.held.as_ref().is_none_or(|(of, _)| *of != core) {
            self.held = Some((core, shared.held(core)));
        }
        self.held.as_ref().and_then(|(_, held)| held.as_ref())
    }

    /// The segment of `locator` and its file, once `bytes` bytes from there are written.
    fn segment(
        &mut self,
        locator: Locator,
        bytes: usize,
    ) -> Result<(&Segment, &dyn DiskFile), ReadError> {
        let id = (locator.core(), locator.segment());
        let end = locator.offset() + bytes as u64;
        let holds = |segment: &Segment| {
            let from = u64::from(segment.from);
            segment.id == id && from <= locator.offset() && segment.written() >= end
        };
        let open = match self.open.take().filter(|(segment, _)| holds(segment)) {
            Some(open) => open,
            None => self.open_segment(locator)?,
        };
        if open.0.written() < end {
            return Err(match open.0.is_finished() {
                true => ReadError::Released { locator },
                false => ReadError::NotWritten { locator },
            });
        }
        self.run = open.0.run;
        let (segment, file) = self.open.insert(open);
        Ok((segment, &**file))
    }

    fn open_segment(
        &self,
        locator: Locator,
    ) -> Result<(Arc<Segment>, Arc<dyn DiskFile>), ReadError> {
        let id = (locator.core(), locator.segment());
        let Some(segment) = self.shared.segments.get(locator) else {
            let held = self.shared.held(locator.core());
            let begun = self.shared.segments.is_begun(id)
                || held.is_some_and(|held| held.is_released(locator));
            return Err(match begun {
                true => ReadError::Released { locator },
                false => ReadError::NotWritten { locator },
            });
        };
        match segment.file(&*self.shared.places.disk) {
            Ok(file) => Ok((segment, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ReadError::Released { locator })
            }
            Err(source) => Err(ReadError::Io { path: segment.path.clone(), locator, source }),
        }
    }

    /// The header at `locator`, if it is authentic and of `flow`.
    pub(crate) fn header(
        &mut self,
        locator: Locator,
        flow: Option<FlowId>,
    ) -> Result<Result<ChunkHeader, Damage>, ReadError> {
        let held = self.held(locator).and_then(|held| held.header(locator));
        if let Some(header) = held.filter(|header| flow.is_none_or(|flow| header.flow == flow)) {
            return Ok(Ok(header));
        }
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let (segment, file) = self.segment(locator, CHUNK_HEADER_BYTES)?;
        let read = read_at(segment, file, locator, &mut bytes)?;
        let authentic = read && segment.cipher.verify_header(locator.offset(), &bytes);
        let header = ChunkHeader::decode(&bytes).filter(|_| authentic);
        let header = header.filter(|header| flow.is_none_or(|flow| header.flow == flow));
        Ok(header.ok_or_else(|| damage(segment, locator, CHUNK_HEADER_BYTES, DamageKind::Header)))
    }

    /// Appends the chunk to `bytes` and decrypts its payload there.
    pub(crate) fn payload(
        &mut self,
        chunk: &ChunkRef,
        kind: Kind,
        bytes: &mut Vec<u8>,
    ) -> Result<Result<(), Damage>, ReadError> {
        let right = |header: &ChunkHeader| header.kind == kind;
        if let Some(held) = self.held(chunk.locator)
            && held.copy(chunk.locator, right, bytes).is_some_and(|header| right(&header))
        {
            return Ok(Ok(()));
        }
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

    /// Appends the chunk at `locator` to `bytes`, decrypted, if it is of media and may hold something of
    /// `window`. `None`, with `bytes` in any state behind what was there, if it is not as it was written.
    pub(crate) fn chunk(
        &mut self,
        locator: Locator,
        window: Window,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<ChunkHeader>, ReadError> {
        let wanted = |header: &ChunkHeader| window.touches(header.first, header.last());
        if let Some(held) = self.held(locator)
            && let Some(header) = held.copy(locator, wanted, bytes)
        {
            return Ok(Some(header).filter(|header| header.kind == Kind::Media));
        }
        let begin = bytes.len();
        let (segment, file) = self.segment(locator, CHUNK_HEADER_BYTES)?;
        // How long it is stands in the header; most are as long as they can be.
        let most = CHUNK_BYTES.min((segment.written() - locator.offset()) as usize);
        bytes.resize(begin + most, 0);
        let room = bytes.get_mut(begin..).unwrap_or_default();
        let read = read_at(segment, file, locator, room)?;
        let head = room.first_chunk().filter(|_| read);
        let Some(header) = head.and_then(ChunkHeader::decode) else { return Ok(None) };
        if !wanted(&header) {
            let authentic =
                head.is_some_and(|head| segment.cipher.verify_header(locator.offset(), head));
            bytes.truncate(begin);
            return Ok(authentic.then_some(header));
        }
        let length = header.chunk_bytes();
        bytes.resize(begin + length, 0);
        let room = bytes.get_mut(begin..).unwrap_or_default();
        if length > most && !read_at(segment, file, locator, room)? {
            return Ok(None);
        }
        let payload = segment.cipher.open_chunk(locator.offset(), room);
        let good = header.kind == Kind::Media
            && payload.is_some_and(|payload| {
                well_formed(Kind::Media, payload, header.records, header.first)
            });
        Ok(good.then_some(header))
    }

    /// The last chunk of `flow` before `damaged`, found by walking the segments of the run that was read last.
    pub(crate) fn salvage(
        &self,
        flow: FlowId,
        damaged: Locator,
    ) -> Result<Option<Locator>, ReadError> {
        let (core, mut number) = (damaged.core(), damaged.segment());
        let (run, mut end) = (self.run, damaged.offset());
        loop {
            let parts = self.shared.segments.parts((core, number));
            if parts.iter().any(|(_, segment)| segment.run != run) {
                return Ok(None);
            }
            for (from, segment) in parts.iter().rev() {
                if u64::from(*from) >= end {
                    continue;
                }
                let found = self.last_of_flow(segment, flow, damaged, u64::from(*from)..end)?;
                if found.is_some() {
                    return Ok(found);
                }
                end = u64::from(*from);
            }
            if number <= run {
                return Ok(None);
            }
            number -= 1;
            end = u64::MAX;
        }
    }

    /// The last chunk of `flow` in a stretch of `segment`.
    fn last_of_flow(
        &self,
        segment: &Segment,
        flow: FlowId,
        damaged: Locator,
        stretch: std::ops::Range<u64>,
    ) -> Result<Option<Locator>, ReadError> {
        let failed =
            |source| ReadError::Io { path: segment.path.clone(), locator: damaged, source };
        let file = segment.file(&*self.shared.places.disk).map_err(failed)?;
        let mut bytes = vec![0; stretch.end.min(segment.written()) as usize];
        let read = read_full_at(&*file, &mut bytes, 0).map_err(failed)?;
        bytes.truncate(read);
        let (mut scan, mut last) = (Scan::new(stretch.start as usize), None);
        while let Some(part) = scan.next(&bytes, &segment.cipher) {
            if let Part::Chunk { offset, header } = part
                && header.flow == flow
            {
                last = Some(Locator::new(segment.id.0, segment.id.1, offset as u32));
            }
        }
        Ok(last)
    }
}

/// Fills `bytes` from `locator` on; `false` if the file has become shorter than what was written.
fn read_at(
    segment: &Segment,
    file: &dyn DiskFile,
    locator: Locator,
    bytes: &mut [u8],
) -> Result<bool, ReadError> {
    match read_full_at(file, bytes, locator.offset()) {
        Ok(read) => Ok(read == bytes.len()),
        Err(source) => Err(ReadError::Io { path: segment.path.clone(), locator, source }),
    }
}

fn damage(segment: &Segment, locator: Locator, bytes: usize, kind: DamageKind) -> Damage {
    Damage { path: segment.path.clone(), offset: locator.offset(), bytes: bytes as u64, kind }
}
