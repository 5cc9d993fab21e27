//! Walks the chunks of a segment that may be damaged or cut anywhere.

use crate::cipher::SegmentCipher;
use crate::error::DamageKind;
use crate::format::{
    CHUNK_HEADER_BYTES, CHUNK_MAGIC, ChunkHeader, SEGMENT_HEADER_BYTES, SegmentFault, SegmentHeader,
};
use crate::key::JournalKey;
use crate::locator::ALIGNMENT;
use crate::records::well_formed;

/// What lies at one place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A whole chunk with an authentic header; its payload is not checked yet.
    Chunk { offset: usize, header: ChunkHeader },
    /// Bytes that are no whole chunk.
    Damaged { offset: usize, bytes: usize, kind: DamageKind },
}

/// Where a walk through a segment is.
pub(crate) struct Scan {
    offset: usize,
}

impl Scan {
    /// At the chunk at `from`.
    pub(crate) const fn new(from: usize) -> Self {
        Self { offset: from }
    }

    /// The next part of `segment`, the whole file; `None` at its end.
    pub(crate) fn next(&mut self, segment: &[u8], cipher: &SegmentCipher) -> Option<Part> {
        let offset = self.offset;
        let left = segment.len().checked_sub(offset).filter(|left| *left > 0)?;
        if let Some(header) = chunk_at(segment, offset, cipher) {
            self.offset += header.chunk_bytes();
            return Some(Part::Chunk { offset, header });
        }
        // The length of what is damaged cannot be believed: the next chunk is where one proves to be.
        let mut places = (offset + ALIGNMENT..segment.len()).step_by(ALIGNMENT);
        let found = places.find(|place| chunk_at(segment, *place, cipher).is_some());
        self.offset = found.unwrap_or(segment.len());
        let kind = if found.is_some() { DamageKind::Header } else { DamageKind::TornTail };
        Some(Part::Damaged { offset, bytes: found.map_or(left, |found| found - offset), kind })
    }
}

/// The authentic header of the whole chunk at `offset`, if there is one.
fn chunk_at(segment: &[u8], offset: usize, cipher: &SegmentCipher) -> Option<ChunkHeader> {
    let rest = segment.get(offset..)?;
    let bytes: &[u8; CHUNK_HEADER_BYTES] = rest.first_chunk()?;
    if !bytes.starts_with(&CHUNK_MAGIC) {
        return None;
    }
    let header = ChunkHeader::decode(bytes)?;
    let whole = header.chunk_bytes() <= rest.len() && cipher.verify_header(offset as u64, bytes);
    whole.then_some(header)
}

/// The header and cipher of a segment, from its first bytes; `None` if it was begun and not written.
pub(crate) fn open_segment(
    segment: &[u8],
    key: &JournalKey,
) -> Result<Option<(SegmentHeader, SegmentCipher)>, SegmentFault> {
    let Some(bytes) = segment.first_chunk::<SEGMENT_HEADER_BYTES>() else { return Ok(None) };
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let header = SegmentHeader::decode(bytes)?;
    let (found, given) = (header.key_id, key.id());
    if found != given {
        return Err(SegmentFault::ForeignKey { found, given });
    }
    let cipher = SegmentCipher::new(key, &header.salt, header.core, header.segment);
    if !cipher.verify_segment(bytes) {
        return Err(SegmentFault::Altered);
    }
    Ok(Some((header, cipher)))
}

/// The decrypted payload of the chunk that a [`Scan`] of `segment` found at `offset`; why not, if it is
/// damaged.
pub(crate) fn open_payload<'a>(
    segment: &'a mut [u8],
    cipher: &SegmentCipher,
    offset: usize,
    header: &ChunkHeader,
) -> Result<&'a [u8], DamageKind> {
    let chunk =
        segment.get_mut(offset..offset + header.chunk_bytes()).ok_or(DamageKind::Payload)?;
    let payload = cipher.open_chunk(offset as u64, chunk).ok_or(DamageKind::Payload)?;
    if well_formed(header.kind, payload, header.records, header.first) {
        Ok(payload)
    } else {
        Err(DamageKind::Records)
    }
}

/// What [`inspect`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whole, authentic chunks.
    pub chunks: usize,
    /// Packets and messages in them.
    pub records: u64,
    /// Damaged stretches, a torn tail among them.
    pub damaged: usize,
}

/// Checks a segment in memory, decrypting it in place.
///
/// # Errors
/// The bytes are no segment, or not one of this version or key.
pub fn inspect(segment: &mut [u8], key: &JournalKey) -> Result<Inspection, SegmentFault> {
    let mut found = Inspection::default();
    let Some((header, cipher)) = open_segment(segment, key)? else { return Ok(found) };
    let mut scan = Scan::new(header.from as usize);
    while let Some(part) = scan.next(segment, &cipher) {
        match part {
            Part::Chunk { offset, header } => match open_payload(segment, &cipher, offset, &header)
            {
                Ok(_) => {
                    found.chunks += 1;
                    found.records += u64::from(header.records);
                }
                Err(_) => found.damaged += 1,
            },
            Part::Damaged { .. } => found.damaged += 1,
        }
    }
    Ok(found)
}
