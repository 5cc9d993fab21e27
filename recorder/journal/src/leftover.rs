//! What a killed run had taken and not written: read from its arena, written to segments. The layout, and why
//! this finds everything, is in [`crate::format`], "Arena".

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use base::limits::{
    CHUNK_BYTES, CHUNKS_MAX, JOURNAL_WRITE_BYTES_MAX, LARGE_CHUNK_BYTES, LARGE_CHUNKS_MAX,
    SEGMENT_BYTES_MAX,
};
use base::{MediaPacket, Timestamp};
use capture::memory::Kept;

use crate::arena::{ArenaHeader, HEADER_BYTES};
use crate::error::{JournalError, io_error};
use crate::format::{
    CHECK_AT, CHUNK_HEADER_BYTES, CHUNK_HEADER_CLEAR, CHUNK_OVERHEAD, ChunkHeader, Kind,
    LOCATOR_AT, SEGMENT_HEADER_BYTES, STATE_AT, STATE_OPEN, STATE_SEALED, memory_check, padded,
    u32_at, u64_at,
};
use crate::journal::Shared;
use crate::locator::{ALIGNMENT, FlowId, Locator};
use crate::part::{ADVICE, Part, PartHeader};
use crate::records::{MediaRecords, SignallingRecords};
use crate::recover::read_segment;
use crate::scan::{self, Scan, open_payload, open_segment};
use crate::segments::{PartId, file_name, hidden_name};

/// An arena's bytes are looked through so many at a time.
const PIECE_BYTES: usize = 256 * CHUNK_BYTES;

/// What tells the chunks of one run and core apart: the flow, and the chunk before it.
type ChunkName = (FlowId, Option<Locator>);

/// A chunk that was in memory when its process ended.
#[derive(Clone, Copy)]
struct Remnant {
    /// Where in the arena.
    at: u64,
    header: ChunkHeader,
    /// Its place in the segments, if it had one.
    locator: Option<Locator>,
}

/// The arena of a run that is over.
pub(crate) struct Leftover {
    kept: Kept,
    pub(crate) header: ArenaHeader,
    /// The segment of its latest sealed chunk.
    pub(crate) tail: u32,
    taken: u64,
}

impl Leftover {
    /// `None` if it is no arena that can be read.
    pub(crate) fn open(kept: Kept) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES];
        if read_full(&kept, &mut bytes, 0)? < HEADER_BYTES {
            return Ok(None);
        }
        let found = ArenaHeader::decode(&bytes).filter(|(header, ..)| {
            header.small as usize <= CHUNKS_MAX && header.large as usize <= LARGE_CHUNKS_MAX
        });
        Ok(found.map(|(header, tail, taken)| Self { kept, header, tail, taken }))
    }

    /// Segments that may be needed for what was in memory, and a few more, if it is done again.
    pub(crate) const fn segments_needed(&self) -> u32 {
        let room = SEGMENT_BYTES_MAX as usize - LARGE_CHUNK_BYTES - SEGMENT_HEADER_BYTES;
        (self.header.bytes() / room) as u32 + 4
    }

    /// Every chunk with something in it.
    fn remnants(&self) -> io::Result<Vec<Remnant>> {
        let mut found = Vec::new();
        let (small, large) = (self.header.small, self.header.large);
        self.slab::<CHUNK_BYTES>(HEADER_BYTES, small, &mut found)?;
        self.slab::<LARGE_CHUNK_BYTES>(self.header.large_at(), large, &mut found)?;
        Ok(found)
    }

    /// Buffers are used from the first on, so a long stretch without any ends them.
    fn slab<const N: usize>(
        &self,
        start: usize,
        count: u32,
        found: &mut Vec<Remnant>,
    ) -> io::Result<()> {
        let blocks_per_piece = (PIECE_BYTES / N).max(1);
        let mut piece = vec![0; blocks_per_piece * N];
        let (mut at, end) = (start, start + count as usize * N);
        while at < end {
            let bytes = piece.len().min(end - at);
            let room = piece.get_mut(..bytes).unwrap_or_default();
            let read = read_full(&self.kept, room, at as u64)?;
            let (blocks, _) = room.get(..read).unwrap_or_default().as_chunks::<N>();
            for (block, place) in blocks.iter().zip((at as u64..).step_by(N)) {
                let remnant = self.remnant(block, place);
                found.extend(remnant);
            }
            let untouched =
                |block: &[u8; N]| block.first_chunk() == Some(&[0_u8; CHUNK_HEADER_BYTES]);
            if read < bytes || blocks.iter().all(untouched) {
                break;
            }
            at += bytes;
        }
        Ok(())
    }

    /// The chunk in a buffer, cut after its last whole record; `None` if there is none.
    fn remnant<const N: usize>(&self, block: &[u8; N], at: u64) -> Option<Remnant> {
        let head: &[u8; CHUNK_HEADER_BYTES] = block.first_chunk()?;
        let clear: &[u8; CHUNK_HEADER_CLEAR] = head.first_chunk()?;
        let state = u32_at(head, STATE_AT);
        if state != STATE_OPEN && state != STATE_SEALED
            || u32_at(head, CHECK_AT) != memory_check(clear, self.header.stamp)
        {
            return None;
        }
        let mut header = ChunkHeader::decode_in_memory(head)?;
        let payload_bytes = header.payload_bytes as usize;
        if payload_bytes + CHUNK_OVERHEAD > N {
            return None;
        }
        let payload = block.get(CHUNK_HEADER_BYTES..CHUNK_HEADER_BYTES + payload_bytes)?;
        whole_records(&mut header, payload)?;
        let locator = Locator::from_bits(u64_at(head, LOCATOR_AT));
        let locator =
            locator.filter(|locator| state == STATE_SEALED && self.is_place(*locator, &header));
        Some(Remnant { at, header, locator })
    }

    fn is_place(&self, locator: Locator, header: &ChunkHeader) -> bool {
        let end =
            locator.offset() + (padded(header.payload_bytes as usize) + CHUNK_OVERHEAD) as u64;
        locator.core() == self.header.core
            && (self.header.run..=self.tail).contains(&locator.segment())
            && locator.offset() >= SEGMENT_HEADER_BYTES as u64
            && locator.offset().is_multiple_of(ALIGNMENT as u64)
            && end <= SEGMENT_BYTES_MAX
    }
}

/// Makes `header` say what whole records `payload` holds; `None` if there are none.
fn whole_records(header: &mut ChunkHeader, payload: &[u8]) -> Option<()> {
    let first = header.first;
    let (mut records, mut bytes, mut last) = (0, 0, first);
    let mut count = |time: Timestamp, rest: usize| {
        (records, bytes, last) = (records + 1, payload.len() - rest, last.max(time));
    };
    match header.kind {
        Kind::Media => {
            let (_, mut media) = MediaRecords::new(payload, u16::MAX, first)?;
            while let Some(MediaPacket { time, .. }) = media.next() {
                count(time, media.rest_bytes());
            }
        }
        Kind::Signalling => {
            let mut messages = SignallingRecords::new(payload, u16::MAX);
            while let Some(message) = messages.next() {
                count(message.time, messages.rest_bytes());
            }
        }
    }
    header.records = records;
    header.payload_bytes = bytes as u32;
    header.span = u32::try_from(last.since(first).as_nanos()).ok()?;
    (records > 0).then_some(())
}

/// What [`inspect_arena`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArenaInspection {
    /// Packets and messages that the run had taken in all.
    pub taken: u64,
    /// Chunks in memory.
    pub chunks: usize,
    /// Packets and messages in them; some may be in the segments as well.
    pub records: u64,
}

/// Looks at the arena of a run that is over; `None` if it is not one of this version, whole.
///
/// # Errors
/// It cannot be read.
pub fn inspect_arena(kept: Kept) -> io::Result<Option<ArenaInspection>> {
    let Some(leftover) = Leftover::open(kept)? else { return Ok(None) };
    let remnants = leftover.remnants()?;
    let records = remnants.iter().map(|remnant| u64::from(remnant.header.records)).sum();
    Ok(Some(ArenaInspection { taken: leftover.taken, chunks: remnants.len(), records }))
}

/// Writes what of `leftover` is in no segment to further parts, durable, and adds these to `found`. To be done
/// again if it fails or is interrupted: what was written then is found.
pub(crate) fn save(
    shared: &Shared,
    leftover: &Leftover,
    arena: &std::path::Path,
    found: &mut BTreeMap<PartId, PathBuf>,
) -> Result<(), JournalError> {
    let failed = |error| io_error("read what a killed run left in", arena, "try again", error);
    let remnants = leftover.remnants().map_err(failed)?;
    let mut missing: HashMap<ChunkName, Remnant> = HashMap::new();
    for remnant in remnants {
        missing.insert((remnant.header.flow, remnant.header.previous), remnant);
    }
    leave_out_written(shared, leftover, found, &mut missing)?;
    let saver = Saver { shared, leftover, arena };
    saver.save(missing.into_values().collect(), found)
}

/// Takes out of `missing` what is whole in the segments of the same run.
fn leave_out_written(
    shared: &Shared,
    leftover: &Leftover,
    found: &BTreeMap<PartId, PathBuf>,
    missing: &mut HashMap<ChunkName, Remnant>,
) -> Result<(), JournalError> {
    let (core, run) = (leftover.header.core, leftover.header.run);
    let places = missing.values().filter_map(|remnant| remnant.locator);
    let first = places.map(Locator::segment).min().unwrap_or(leftover.tail);
    let end = leftover.tail.saturating_add(leftover.segments_needed());
    let mut bytes = Vec::new();
    for (_, path) in found.range((core, first, 0)..=(core, end, u32::MAX)) {
        if missing.is_empty() {
            break;
        }
        read_segment(&*shared.places.disk, path, &mut bytes)?;
        // What is wrong with it is for the recovery to say.
        let Ok(Some((header, cipher))) = open_segment(&bytes, &shared.key) else { continue };
        let mut scan = Scan::new(header.from as usize);
        while let Some(part) = scan.next(&bytes, &cipher).filter(|_| header.run == run) {
            if let scan::Part::Chunk { offset, header } = part
                && missing.contains_key(&(header.flow, header.previous))
                && open_payload(&mut bytes, &cipher, offset, &header).is_ok()
            {
                missing.remove(&(header.flow, header.previous));
            }
        }
    }
    Ok(())
}

/// Writes remnants to parts.
struct Saver<'a> {
    shared: &'a Shared,
    leftover: &'a Leftover,
    arena: &'a std::path::Path,
}

impl Saver<'_> {
    /// First those that had a place, then the others, after everything that has one.
    fn save(
        &self,
        mut remnants: Vec<Remnant>,
        found: &mut BTreeMap<PartId, PathBuf>,
    ) -> Result<(), JournalError> {
        remnants.sort_by_key(|remnant| (remnant.locator.is_none(), remnant.locator, remnant.at));
        self.give_places(&mut remnants, found);
        let segment = |remnant: &Remnant| remnant.locator.map(Locator::segment);
        for stretch in remnants.chunk_by(|one, next| segment(one) == segment(next)) {
            let Some(first) = stretch.first().and_then(|remnant| remnant.locator) else { continue };
            let core = self.leftover.header.core;
            let parts = found.range((core, first.segment(), 0)..=(core, first.segment(), u32::MAX));
            let part = parts.last().map_or(0, |((.., part), _)| part + 1);
            let id = (core, first.segment(), part);
            found.insert(id, self.part(id, first.offset() as u32, stretch)?);
        }
        Ok(())
    }

    fn give_places(&self, remnants: &mut [Remnant], found: &BTreeMap<PartId, PathBuf>) {
        let core = self.leftover.header.core;
        let end = self.leftover.tail.saturating_add(self.leftover.segments_needed());
        let used = found.range((core, 0, 0)..(core, end, 0)).next_back();
        let mut segment = used.map_or(self.leftover.tail, |((_, used, _), _)| *used);
        segment = segment.max(self.leftover.tail) + 1;
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        for remnant in remnants.iter_mut().filter(|remnant| remnant.locator.is_none()) {
            let bytes = (padded(remnant.header.payload_bytes as usize) + CHUNK_OVERHEAD) as u64;
            if offset + bytes > SEGMENT_BYTES_MAX {
                (segment, offset) = (segment + 1, SEGMENT_HEADER_BYTES as u64);
            }
            remnant.locator = Some(Locator::new(core, segment, offset as u32));
            offset += bytes;
        }
    }

    /// Writes one part hidden, flushed, then renamed: whole or not there. In the second folder if the first
    /// cannot take it.
    fn part(&self, id: PartId, from: u32, remnants: &[Remnant]) -> Result<PathBuf, JournalError> {
        let written = self.part_in(0, id, from, remnants);
        match written {
            Err(_) if self.shared.places.folders() > 1 => self.part_in(1, id, from, remnants),
            written => written,
        }
    }

    fn part_in(
        &self,
        folder: usize,
        id: PartId,
        from: u32,
        remnants: &[Remnant],
    ) -> Result<PathBuf, JournalError> {
        let (disk, folder) = (&self.shared.places.disk, self.shared.places.folder(folder));
        let (path, hidden) = (folder.join(file_name(id)), folder.join(hidden_name(id)));
        let failed = |error| io_error("write the journal segment", &hidden, ADVICE, error);
        // Of an attempt before.
        let _ = disk.remove(&hidden);
        let ArenaHeader { run, source, .. } = self.leftover.header;
        let created = remnants.first().map_or(Timestamp::ZERO, |remnant| remnant.header.first);
        let header = PartHeader { id, from, run, created, source };
        let mut part = Part::create(self.shared, &header, &hidden, hidden.clone())?;
        self.chunks(&mut part, remnants)?;
        part.file.sync_data().map_err(failed)?;
        disk.rename(&hidden, &path).map_err(failed)?;
        disk.sync_folder(folder).map_err(failed)?;
        Ok(path)
    }

    fn chunks(&self, part: &mut Part, remnants: &[Remnant]) -> Result<(), JournalError> {
        let (mut image, mut memory) = (Vec::new(), Vec::new());
        let mut begin = u64::from(part.segment.from);
        for remnant in remnants {
            let Some(locator) = remnant.locator else { continue };
            let end = begin + image.len() as u64;
            if locator.offset() != end || image.len() > JOURNAL_WRITE_BYTES_MAX {
                part.write(&image, begin, &mut 0)?;
                image.clear();
                begin = locator.offset();
            }
            self.read(remnant, &mut memory)?;
            let bytes = remnant.header.payload_bytes as usize;
            part.segment.cipher.seal_chunk(locator.offset(), &memory, bytes, &mut image);
        }
        part.write(&image, begin, &mut 0)
    }

    /// Replaces `memory` by the chunk in the arena, with the header that was found to be right.
    fn read(&self, remnant: &Remnant, memory: &mut Vec<u8>) -> Result<(), JournalError> {
        let failed =
            |error| io_error("read what a killed run left in", self.arena, "try again", error);
        memory.clear();
        memory.resize(CHUNK_HEADER_BYTES + remnant.header.payload_bytes as usize, 0);
        let read = read_full(&self.leftover.kept, memory, remnant.at).map_err(failed)?;
        if read < memory.len() {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some(clear) = memory.first_chunk_mut() {
            *clear = remnant.header.encode();
        }
        Ok(())
    }
}

fn read_full(kept: &Kept, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match kept.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
