//! What a process that ended in any way has left behind: verified, and ready to be replayed.
//!
//! Every tag of every segment is checked. The result is small: per flow its summary, per signalling chunk a
//! reference; packets and messages are read when they are wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::limits::SEGMENT_BYTES_MAX;
use hashbrown::HashMap;

use crate::cipher::SegmentCipher;
use crate::error::{Damage, DamageKind, JournalError, io_error};
use crate::flows::{FlowSummary, RtpHint};
use crate::format::{ChunkHeader, Kind, SegmentFault, SegmentHeader};
use crate::journal::Shared;
use crate::locator::{FlowId, Locator};
use crate::reader::ChunkRef;
use crate::records::MediaRecords;
use crate::scan::{Part, Scan, open_payload, open_segment};
use crate::segments::{Segment, SegmentId};

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
    found: &BTreeMap<SegmentId, PathBuf>,
) -> Result<Recovered, JournalError> {
    let mut recovery = Recovery { shared, result: Recovered::default(), flows: HashMap::new() };
    let mut bytes = Vec::new();
    for (id, path) in found {
        recovery.segment(*id, path, &mut bytes)?;
    }
    Ok(recovery.result)
}

struct Recovery<'a> {
    shared: &'a Shared,
    result: Recovered,
    /// Places in `result.flows`.
    flows: HashMap<(u8, u32, FlowId), usize>,
}

impl Recovery<'_> {
    fn segment(
        &mut self,
        id: SegmentId,
        path: &Path,
        bytes: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let file_bytes = read_segment(path, bytes)?;
        let fault = |fault| JournalError::Segment { path: path.to_owned(), fault };
        let Some((header, cipher)) = open_segment(bytes, &self.shared.key).map_err(fault)? else {
            if file_bytes > 0 {
                self.damaged(path, 0, file_bytes, DamageKind::TornTail);
            }
            return Ok(());
        };
        let (core, segment) = (header.core, header.segment);
        if (core, segment) != id {
            return Err(fault(SegmentFault::Misnamed { core, segment }));
        }
        let (end, chunks) = self.chunks(path, &header, &cipher, bytes);
        if file_bytes > bytes.len() as u64 {
            let beyond = file_bytes - bytes.len() as u64;
            self.damaged(path, bytes.len() as u64, beyond, DamageKind::TornTail);
        }
        let known = Segment::new(id, header.run, path.to_owned(), cipher, end);
        self.shared.segments.add(Arc::new(known));
        let path = path.to_owned();
        self.result.segments.push(RecoveredSegment { path, header, bytes: end, chunks });
        Ok(())
    }

    /// Gives where the last whole chunk ends, and how many there are.
    fn chunks(
        &mut self,
        path: &Path,
        header: &SegmentHeader,
        cipher: &SegmentCipher,
        bytes: &mut [u8],
    ) -> (u64, u64) {
        let (mut scan, mut end, mut chunks) = (Scan::new(), 0, 0);
        while let Some(part) = scan.next(bytes, cipher) {
            let (offset, chunk) = match part {
                Part::Chunk { offset, header } => (offset, header),
                Part::Damaged { offset, bytes, kind } => {
                    self.damaged(path, offset as u64, bytes as u64, kind);
                    continue;
                }
            };
            end = (offset + chunk.chunk_bytes()) as u64;
            match open_payload(bytes, cipher, offset, &chunk) {
                Ok(payload) => {
                    chunks += 1;
                    let locator = Locator::new(header.core, header.segment, offset as u32);
                    self.chunk(header, locator, &chunk, payload);
                }
                Err(kind) => self.damaged(path, offset as u64, chunk.chunk_bytes() as u64, kind),
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
            summary.end = Some(locator);
        }
    }

    fn damaged(&mut self, path: &Path, offset: u64, bytes: u64, kind: DamageKind) {
        self.result.damaged.push(Damage { path: path.to_owned(), offset, bytes, kind });
    }
}

/// Replaces `bytes` by the file, up to the most that a segment can have; gives the file's length.
fn read_segment(path: &Path, bytes: &mut Vec<u8>) -> Result<u64, JournalError> {
    let failed =
        |error| io_error("read the journal segment", path, "check its owner and disk", error);
    bytes.clear();
    let file = File::open(path).map_err(failed)?;
    let file_bytes = file.metadata().map_err(failed)?.len();
    bytes.reserve(file_bytes.min(SEGMENT_BYTES_MAX) as usize);
    file.take(SEGMENT_BYTES_MAX).read_to_end(bytes).map_err(failed)?;
    Ok(file_bytes)
}
