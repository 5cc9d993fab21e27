//! What a process that ended in any way has left behind: verified, and ready to be replayed.
//!
//! Every tag of every segment is checked. The result is small: per flow its summary, per signalling chunk a
//! reference; packets and messages are read when they are wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::{Disk, read_full_at};
use base::limits::SEGMENT_BYTES_MAX;
use hashbrown::HashMap;

use crate::error::{Damage, DamageKind, JournalError, io_error};
use crate::flows::{FlowSummary, RtpHint};
use crate::format::{ChunkHeader, Kind, SegmentFault, SegmentHeader};
use crate::journal::Shared;
use crate::locator::{FlowId, Locator};
use crate::reader::ChunkRef;
use crate::records::MediaRecords;
use crate::scan::{Part, Scan, open_payload, open_segment};
use crate::segments::{PartId, Segment, SegmentId};

/// The journal of earlier runs.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The segments that hold something, by core and number.
    pub segments: Vec<RecoveredSegment>,
    /// The media flows, in the order of their first chunk.
    pub flows: Vec<RecoveredFlow>,
    /// What had to be left out; most often one torn tail per core.
    pub damaged: Vec<Damage>,
    /// The chunks of signalling of each core, in the order of writing.
    pub(crate) signalling: BTreeMap<u8, Vec<ChunkRef>>,
}

/// A segment of an earlier run.
#[derive(Debug)]
pub struct RecoveredSegment {
    /// Its file.
    pub path: PathBuf,
    /// What it says about itself.
    pub header: SegmentHeader,
    /// Bytes up to the end of its last whole chunk.
    pub bytes: u64,
    /// Whole chunks.
    pub chunks: u64,
}

/// A flow of an earlier run, or what of it is kept.
#[derive(Debug)]
pub struct RecoveredFlow {
    /// The capture core that received it.
    pub core: u8,
    /// The run of the program: two runs may both have seen the same addresses.
    pub run: u32,
    /// Its packets are read from `summary.end`, with a window from `summary.opened` on.
    pub summary: FlowSummary,
}

/// Reads and checks `found`, and makes the segments known to readers.
pub(crate) fn recover(
    shared: &Shared,
    found: &BTreeMap<PartId, PathBuf>,
    damaged: Vec<Damage>,
) -> Result<Recovered, JournalError> {
    let result = Recovered { damaged, ..Recovered::default() };
    let mut recovery = Recovery { shared, result, flows: HashMap::new() };
    let (mut parts, mut bytes) = (found.iter().peekable(), Vec::new());
    while let Some((id, path)) = parts.next() {
        let mut segment = SegmentParts { id: (id.0, id.1), chunks: BTreeMap::new() };
        let after = parts.peek().filter(|(next, _)| (next.0, next.1) == segment.id);
        if after.is_none() {
            recovery.part(*id, path, &mut bytes, &mut segment)?;
            continue;
        }
        // Later parts count before earlier ones.
        let mut all = vec![(*id, path)];
        while let Some((id, path)) = parts.next_if(|(next, _)| (next.0, next.1) == segment.id) {
            all.push((*id, path));
        }
        for (id, path) in all.into_iter().rev() {
            recovery.part(id, path, &mut bytes, &mut segment)?;
        }
        recovery.join(segment);
    }
    for chunks in recovery.result.signalling.values_mut() {
        chunks.sort_by_key(|chunk| chunk.locator);
    }
    Ok(recovery.result)
}

/// What the parts of a segment hold together, the latest part first.
struct SegmentParts {
    id: SegmentId,
    /// The part that each chunk is read from. Not filled while there is one part only.
    chunks: BTreeMap<u32, Arc<Segment>>,
}

struct Recovery<'a> {
    shared: &'a Shared,
    result: Recovered,
    /// Places in `result.flows`.
    flows: HashMap<(u8, u32, FlowId), usize>,
}

impl Recovery<'_> {
    fn part(
        &mut self,
        id: PartId,
        path: &Path,
        bytes: &mut Vec<u8>,
        parts: &mut SegmentParts,
    ) -> Result<(), JournalError> {
        let file_bytes = read_segment(&*self.shared.places.disk, path, bytes)?;
        let fault = |fault| JournalError::Segment { path: path.to_owned(), fault };
        let Some((header, cipher)) = open_segment(bytes, &self.shared.key).map_err(fault)? else {
            if file_bytes > 0 {
                self.damaged(path, 0, file_bytes, DamageKind::TornTail);
            }
            return Ok(());
        };
        let SegmentHeader { core, segment, part, .. } = header;
        if (core, segment, part) != id {
            return Err(fault(SegmentFault::Misnamed { core, segment, part }));
        }
        let known = Segment::new(id, header.from, header.run, path.to_owned(), cipher, 0);
        let known = Arc::new(known.finished());
        let (end, chunks) = self.chunks(&header, &known, bytes, parts);
        if file_bytes > bytes.len() as u64 {
            let beyond = file_bytes - bytes.len() as u64;
            self.damaged(path, bytes.len() as u64, beyond, DamageKind::TornTail);
        }
        known.publish(end);
        self.shared.segments.add(known);
        let path = path.to_owned();
        self.result.segments.push(RecoveredSegment { path, header, bytes: end, chunks });
        Ok(())
    }

    /// Where chunks come from one part and then from another, readers change parts too.
    fn join(&self, parts: SegmentParts) {
        let mut last: Option<&Arc<Segment>> = None;
        for (offset, segment) in &parts.chunks {
            if last.is_none_or(|last| !Arc::ptr_eq(last, segment)) {
                self.shared.segments.add_from(Arc::clone(segment), *offset);
            }
            last = Some(segment);
        }
    }

    /// Gives where the last whole chunk ends, and how many there are that no later part has.
    fn chunks(
        &mut self,
        header: &SegmentHeader,
        known: &Arc<Segment>,
        bytes: &mut [u8],
        parts: &mut SegmentParts,
    ) -> (u64, u64) {
        let (mut scan, mut end, mut chunks) = (Scan::new(header.from as usize), 0, 0);
        let written_again = parts.chunks.first_key_value().map_or(u32::MAX, |(first, _)| *first);
        while let Some(part) = scan.next(bytes, &known.cipher) {
            let (offset, chunk) = match part {
                Part::Chunk { offset, header } => (offset, header),
                Part::Damaged { offset, bytes, kind } => {
                    // What was written again elsewhere is not missed here.
                    if offset < written_again as usize {
                        self.damaged(&known.path, offset as u64, bytes as u64, kind);
                    }
                    continue;
                }
            };
            end = (offset + chunk.chunk_bytes()) as u64;
            if parts.chunks.contains_key(&(offset as u32)) {
                continue;
            }
            match open_payload(bytes, &known.cipher, offset, &chunk) {
                Ok(payload) => {
                    chunks += 1;
                    parts.chunks.insert(offset as u32, Arc::clone(known));
                    let locator = Locator::new(header.core, header.segment, offset as u32);
                    self.chunk(header, locator, &chunk, payload);
                }
                Err(kind) if offset < written_again as usize => {
                    self.damaged(&known.path, offset as u64, chunk.chunk_bytes() as u64, kind);
                }
                Err(_) => {}
            }
        }
        (end, chunks)
    }

    fn chunk(
        &mut self,
        segment: &SegmentHeader,
        locator: Locator,
        chunk: &ChunkHeader,
        payload: &[u8],
    ) {
        match chunk.kind {
            Kind::Media => self.media(segment, locator, chunk, payload),
            Kind::Signalling => {
                let chunks = self.result.signalling.entry(segment.core).or_default();
                chunks.push(ChunkRef::new(locator, chunk));
            }
        }
    }

    fn media(
        &mut self,
        segment: &SegmentHeader,
        locator: Locator,
        chunk: &ChunkHeader,
        payload: &[u8],
    ) {
        let Some((key, records)) = MediaRecords::new(payload, chunk.records, chunk.first) else {
            return;
        };
        let (core, run) = (segment.core, segment.run);
        let flows = &mut self.result.flows;
        let place = *self.flows.entry((core, run, chunk.flow)).or_insert_with(|| {
            let rtp = records.clone().next().and_then(|packet| RtpHint::of(packet.payload));
            let (opened, last) = (chunk.first, chunk.first);
            let summary = FlowSummary { key, opened, last, packets: 0, bytes: 0, rtp, end: None };
            flows.push(RecoveredFlow { core, run, summary });
            flows.len() - 1
        });
        if let Some(RecoveredFlow { summary, .. }) = flows.get_mut(place) {
            summary.opened = summary.opened.min(chunk.first);
            summary.last = summary.last.max(chunk.last());
            summary.packets += u64::from(chunk.records);
            summary.bytes += records.map(|packet| packet.payload.len() as u64).sum::<u64>();
            summary.end = summary.end.max(Some(locator));
        }
    }

    fn damaged(&mut self, path: &Path, offset: u64, bytes: u64, kind: DamageKind) {
        self.result.damaged.push(Damage { path: path.to_owned(), offset, bytes, kind });
    }
}

/// Replaces `bytes` by the file, up to the most that a segment can have; gives the file's length.
pub(crate) fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    bytes: &mut Vec<u8>,
) -> Result<u64, JournalError> {
    let failed =
        |error| io_error("read the journal segment", path, "check its owner and disk", error);
    let file = disk.open(path).map_err(failed)?;
    let file_bytes = file.len().map_err(failed)?;
    // A run that was killed had room reserved beyond the end. If many are killed in a row, that fills the disk.
    let _ = file.set_len(file_bytes);
    bytes.clear();
    bytes.resize(file_bytes.min(SEGMENT_BYTES_MAX) as usize, 0);
    let read = read_full_at(&*file, bytes, 0).map_err(failed)?;
    bytes.truncate(read);
    Ok(file_bytes)
}
