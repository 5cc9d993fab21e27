//! The journal on disk, version 1.
//!
//! A journal is a folder of segments, `CCC-NNNNNNNNNN.journal`: capture core (3 digits) and segment number
//! (10 digits, counting up from 0 and never used again). A segment is a header and chunks, one after the
//! other, each at a multiple of 16 bytes. Numbers are little-endian; times are nanoseconds since the epoch
//! on the capture clock. "Tag" is the 16-byte tag of AES-256-GCM (NIST SP 800-38D).
//!
//! # Segment header, 128 bytes, in clear, authenticated
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SPANJRNL` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | capture core, 0 to 255 |
//! | 16 | 4 | segment number |
//! | 20 | 4 | run: number of the first segment that this run of the program wrote for this core |
//! | 24 | 8 | time of creation |
//! | 32 | 32 | salt: random, fresh for each segment |
//! | 64 | 8 | key id: which journal key |
//! | 72 | 4 | where the first chunk of this part is, in units of 16 bytes; 0 if it follows the header |
//! | 76 | 4 | part: 0, or how many files were begun for this segment before |
//! | 80 | 32 | source: what was captured, in the caller's terms |
//! | 112 | 16 | tag over bytes 0..112 |
//!
//! # Parts
//!
//! A segment is one file as long as nothing goes wrong. After an error, what is not known to be durable is
//! written again to another file of the same segment, and on restart what a killed run had not written yet is:
//! its next part, `CCC-NNNNNNNNNN.P.journal`, with a salt of its own, each chunk at the offset that it has in the
//! segment (the room before the first is a hole). Of two chunks at one offset, which are the same chunk, that in
//! the later part counts. Parts of one segment may be in different folders: the journal's own and its second.
//! A file `.CCC-NNNNNNNNNN.P.journal.new` was not finished: it is ignored, and removed.
//!
//! # Chunk: 64-byte header, payload, 16-byte tag
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `Chnk` |
//! | 4 | 4 | payload bytes *P*, a multiple of 16 |
//! | 8 | 4 | flow: slot in the writer's table; 2^32-1 for signalling |
//! | 12 | 4 | flow: how often the slot was used before |
//! | 16 | 8 | time of the earliest record |
//! | 24 | 8 | latest time in all earlier chunks of the flow, 0 if this is the first |
//! | 32 | 8 | locator of the flow's previous chunk, 0 if this is the first ([`Locator`]) |
//! | 40 | 4 | nanoseconds from the earliest to the latest record |
//! | 44 | 2 | records |
//! | 46 | 1 | kind: 1 media, 2 signalling |
//! | 47 | 1 | zero |
//! | 48 | 16 | tag over bytes 0..48 |
//! | 64 | *P* | payload, encrypted |
//! | 64+*P* | 16 | tag over the payload, with bytes 0..64 as associated data |
//!
//! The header's own tag lets a reader trust `previous` and the length without reading the payload.
//!
//! Payload of a media chunk, decrypted: the flow key (domain 8, source address 16 and port 2, destination
//! address 16 and port 2), then records {nanoseconds since the chunk's earliest time 4, bytes captured 2,
//! bytes on the wire 2, the UDP payload}. Payload of a signalling chunk: records {time 8, flow key 44,
//! transport 1 (1 UDP, 2 TCP), zero 3, bytes 4, the SIP message}. Less than 16 zero bytes fill the last block.
//!
//! # Limits
//!
//! A chunk has at most [`LARGE_CHUNK_BYTES`] bytes, a segment at most [`limits::SEGMENT_BYTES_MAX`]. A record
//! that is earlier than its chunk's first, or 2^32 ns (4.3 s) later, begins a new chunk. A flow has constant
//! state in memory: its chunks are a chain, each naming the one before.
//!
//! # Keys
//!
//! A segment's key is HKDF-SHA256 (RFC 5869) of the journal key with the segment's salt, and the text
//! `spanreel journal segment v1`, the core (1 byte) and the segment number (4 bytes) as information. The
//! nonce is the chunk's offset (8 bytes, 0 for the segment header) and what the tag covers (4 bytes: 0 segment
//! header, 1 chunk header, 2 payload). An offset is used once per key: a file is never reopened for writing.
//!
//! # Recovery
//!
//! Every tag is checked from the first chunk on. After a whole chunk follows the next; after a damaged header
//! the next one is searched for at each multiple of 16 bytes. What follows the last whole chunk is a torn
//! tail and is set aside. The file itself is left as it was found. A file that ends within its segment header,
//! or holds only zeros, is a segment that was begun and not written: empty, not wrong.
//!
//! # A chunk in memory
//!
//! A chunk has the same layout in its buffer, in clear, until it is durable; it is encrypted on its way to the
//! file, not in place. `payload bytes` is what is used (not filled up to 16), and instead of the tag there is:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 48 | 8 | locator, 0 while it is open |
//! | 56 | 4 | check: of the arena's stamp and bytes 8..40 and 46 |
//! | 60 | 4 | state: 0 free, 1 open, 2 sealed |
//!
//! # Arena, version 1
//!
//! The buffers of one core are a region that outlives the process, `CCC-NNNNNNNNNN.arena` (core, run), on tmpfs:
//! words of 8 bytes as the machine has them, then the buffers. It never leaves the machine, nor a reboot.
//!
//! | word | what |
//! |---|---|
//! | 0 | `SPANAREN` |
//! | 1 | format version, 1 |
//! | 2 | core |
//! | 3 | run |
//! | 4 | stamp: random |
//! | 5 | buffers of [`limits::CHUNK_BYTES`], from byte 4,096 on |
//! | 6 | buffers of [`LARGE_CHUNK_BYTES`], after them, from the next multiple of 4,096 on |
//! | 7..11 | source |
//! | 11 | check: of the words before |
//! | 16 | number of the segment that the latest sealed chunk is in, at least the run |
//! | 24 | packets and messages taken |
//!
//! A process may be killed between any two instructions; what it stored before the last of them is there, in
//! order. A buffer's header and flow key are stored before its state says that it is open; a record's bytes
//! before the length that covers them; a locator before the state says that it is sealed, and that before
//! anything refers to the locator; a chunk is durable before the state says that its buffer is free. So a
//! successor finds every record up to the last length stored, and knows a chunk that is in a segment as well by
//! what no two chunks of a run share: its flow and the chunk before it. Of the counts it believes the length
//! alone, and that only as far as whole records go; nothing it reads there makes it do more than leave a buffer
//! out. What is missing in the segments it writes to them as further parts, and removes the arena when they are
//! durable: killed on the way, it does the same again.

use base::Timestamp;
use base::limits::{self, LARGE_CHUNK_BYTES};

use crate::key::KeyId;
use crate::locator::{ALIGNMENT, FlowId, Locator};

/// The version that is written. Older ones are read for ever (there is none yet).
pub(crate) const VERSION: u32 = 1;
/// Bytes of a segment's header, its tag included.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;
/// The part of it that the tag covers.
pub(crate) const SEGMENT_HEADER_CLEAR: usize = SEGMENT_HEADER_BYTES - TAG_BYTES;
/// Bytes of a chunk's header, its tag included.
pub(crate) const CHUNK_HEADER_BYTES: usize = 64;
/// The part of it that the tag covers.
pub(crate) const CHUNK_HEADER_CLEAR: usize = CHUNK_HEADER_BYTES - TAG_BYTES;
/// Bytes of a tag.
pub(crate) const TAG_BYTES: usize = 16;
/// What a chunk has beside its payload.
pub(crate) const CHUNK_OVERHEAD: usize = CHUNK_HEADER_BYTES + TAG_BYTES;
/// First bytes of a chunk.
pub(crate) const CHUNK_MAGIC: [u8; 4] = *b"Chnk";
const SEGMENT_MAGIC: [u8; 8] = *b"SPANJRNL";
/// In memory: where a chunk's length is,
pub(crate) const PAYLOAD_BYTES_AT: usize = 4;
/// its place in the segments,
pub(crate) const LOCATOR_AT: usize = 48;
/// its check,
pub(crate) const CHECK_AT: usize = 56;
/// and its state.
pub(crate) const STATE_AT: usize = 60;
/// A buffer in which nothing is needed.
pub(crate) const STATE_FREE: u32 = 0;
/// A chunk that takes records.
pub(crate) const STATE_OPEN: u32 = 1;
/// A chunk with a place.
pub(crate) const STATE_SEALED: u32 = 2;

const _: () = assert!(limits::CHUNK_BYTES.is_multiple_of(ALIGNMENT), "chunks stay aligned");
const _: () = assert!(LARGE_CHUNK_BYTES.is_multiple_of(ALIGNMENT), "chunks stay aligned");
const _: () =
    assert!(limits::SEGMENT_BYTES_MAX <= (ALIGNMENT as u64) << 24, "a locator holds the offset");

/// Says what is being captured, so that a restart can tell whether a journal belongs to the same input: for
/// a capture file a hash of what identifies it, for an interface one of its name. The journal only keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SourceId(pub [u8; 32]);

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The capture core that wrote it.
    pub core: u8,
    /// Its number on that core.
    pub segment: u32,
    /// The first segment of the same run of the program on that core; flow ids are unique within a run.
    pub run: u32,
    /// When it was begun, on the clock that the appender was told.
    pub created: Timestamp,
    /// What was captured.
    pub source: SourceId,
    /// Where the first chunk of this part is, bytes from the begin of the file.
    pub(crate) from: u32,
    /// How many files were begun for this segment before.
    pub(crate) part: u32,
    pub(crate) salt: [u8; 32],
    pub(crate) key_id: KeyId,
}

/// Why bytes are no segment header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentFault {
    /// Other first bytes.
    #[error("is not a journal segment; move it out of the journal's folder")]
    NotASegment,
    /// A version that this program does not know.
    #[error(
        "has journal format version {0}, this program reads version {VERSION}; use a newer program"
    )]
    Version(u32),
    /// Encrypted under another journal key.
    #[error(
        "is encrypted under journal key {found}, the key given is {given}; give the right key file"
    )]
    ForeignKey {
        /// The key id in the header.
        found: KeyId,
        /// The key id of the key in use.
        given: KeyId,
    },
    /// Its tag does not fit: altered, or damaged.
    #[error(
        "has an altered or damaged segment header, so that none of it can be read; restore the file"
    )]
    Altered,
    /// Core, number or part in the header differ from those of the file's name.
    #[error(
        "belongs to core {core}, segment {segment}, part {part}: the file was renamed; name it so again"
    )]
    Misnamed {
        /// The core in the header.
        core: u8,
        /// The number in the header.
        segment: u32,
        /// The part in the header.
        part: u32,
    },
}

impl SegmentHeader {
    /// The header without its tag.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_CLEAR] {
        let mut bytes = [0; SEGMENT_HEADER_CLEAR];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.core).to_le_bytes());
        bytes[16..20].copy_from_slice(&self.segment.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.run.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.created.as_nanos().to_le_bytes());
        bytes[32..64].copy_from_slice(&self.salt);
        bytes[64..72].copy_from_slice(&self.key_id.0);
        let from = if self.from as usize == SEGMENT_HEADER_BYTES { 0 } else { self.from };
        bytes[72..76].copy_from_slice(&(from / ALIGNMENT as u32).to_le_bytes());
        bytes[76..80].copy_from_slice(&self.part.to_le_bytes());
        bytes[80..112].copy_from_slice(&self.source.0);
        bytes
    }

    /// Reads a header; its tag is not looked at.
    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, SegmentFault> {
        if bytes[0..8] != SEGMENT_MAGIC {
            return Err(SegmentFault::NotASegment);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(SegmentFault::Version(version));
        }
        let core = u8::try_from(u32_at(bytes, 12)).map_err(|_| SegmentFault::Altered)?;
        let from = u32_at(bytes, 72).saturating_mul(ALIGNMENT as u32);
        Ok(Self {
            core,
            segment: u32_at(bytes, 16),
            run: u32_at(bytes, 20),
            created: Timestamp::from_nanos(u64_at(bytes, 24)),
            salt: array_at(bytes, 32),
            key_id: KeyId(array_at(bytes, 64)),
            source: SourceId(array_at(bytes, 80)),
            from: from.max(SEGMENT_HEADER_BYTES as u32),
            part: u32_at(bytes, 76),
        })
    }
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Datagrams of one flow.
    Media = 1,
    /// SIP messages of one core.
    Signalling = 2,
}

/// What a chunk says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) kind: Kind,
    pub(crate) flow: FlowId,
    pub(crate) records: u16,
    pub(crate) payload_bytes: u32,
    pub(crate) first: Timestamp,
    /// Nanoseconds from the earliest to the latest record.
    pub(crate) span: u32,
    pub(crate) latest_before: Timestamp,
    pub(crate) previous: Option<Locator>,
}

impl ChunkHeader {
    /// The latest record's time.
    pub(crate) fn last(&self) -> Timestamp {
        Timestamp::from_nanos(self.first.as_nanos().saturating_add(u64::from(self.span)))
    }

    /// Bytes of the whole chunk in the file.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.payload_bytes as usize + CHUNK_OVERHEAD
    }

    /// The header without its tag.
    pub(crate) fn encode(&self) -> [u8; CHUNK_HEADER_CLEAR] {
        let mut bytes = [0; CHUNK_HEADER_CLEAR];
        bytes[0..4].copy_from_slice(&CHUNK_MAGIC);
        bytes[8..12].copy_from_slice(&self.flow.slot.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.flow.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.as_nanos().to_le_bytes());
        bytes[24..32].copy_from_slice(&self.latest_before.as_nanos().to_le_bytes());
        let previous = self.previous.map_or(0, Locator::to_bits);
        bytes[32..40].copy_from_slice(&previous.to_le_bytes());
        bytes[46] = self.kind as u8;
        put_counts(&mut bytes, self.span, self.records);
        put_payload_bytes(&mut bytes, self.payload_bytes);
        bytes
    }

    /// Reads a header; `None` if it cannot be one. Its tag is not looked at.
    pub(crate) fn decode(bytes: &[u8; CHUNK_HEADER_BYTES]) -> Option<Self> {
        let whole = |header: &Self| (header.payload_bytes as usize).is_multiple_of(ALIGNMENT);
        Self::decode_in_memory(bytes).filter(whole)
    }

    /// Reads the header of a chunk in memory; `None` if it cannot be one.
    pub(crate) fn decode_in_memory(bytes: &[u8; CHUNK_HEADER_BYTES]) -> Option<Self> {
        let payload_bytes = u32_at(bytes, PAYLOAD_BYTES_AT);
        let sane = bytes[0..4] == CHUNK_MAGIC
            && (payload_bytes as usize) <= LARGE_CHUNK_BYTES - CHUNK_OVERHEAD
            && bytes[47] == 0;
        if !sane {
            return None;
        }
        let kind = match bytes[46] {
            1 => Kind::Media,
            2 => Kind::Signalling,
            _ => return None,
        };
        Some(Self {
            kind,
            flow: FlowId { slot: u32_at(bytes, 8), generation: u32_at(bytes, 12) },
            records: u16::from_le_bytes([bytes[44], bytes[45]]),
            payload_bytes,
            first: Timestamp::from_nanos(u64_at(bytes, 16)),
            span: u32_at(bytes, 40),
            latest_before: Timestamp::from_nanos(u64_at(bytes, 24)),
            previous: Locator::from_bits(u64_at(bytes, 32)),
        })
    }
}

/// Stores the fields that change with each record, but for the length.
#[inline]
pub(crate) fn put_counts(header: &mut [u8; CHUNK_HEADER_CLEAR], span: u32, records: u16) {
    header[40..44].copy_from_slice(&span.to_le_bytes());
    header[44..46].copy_from_slice(&records.to_le_bytes());
}

/// Stores the length.
pub(crate) fn put_payload_bytes(header: &mut [u8; CHUNK_HEADER_CLEAR], payload_bytes: u32) {
    header[PAYLOAD_BYTES_AT..PAYLOAD_BYTES_AT + 4].copy_from_slice(&payload_bytes.to_le_bytes());
}

/// What bytes 56..60 of a chunk in memory are: changed by whatever changes the header of an opened chunk, and
/// by another arena's stamp. Not a checksum against an attacker.
pub(crate) fn memory_check(header: &[u8; CHUNK_HEADER_CLEAR], stamp: u64) -> u32 {
    let words = [u64_at(header, 8), u64_at(header, 16), u64_at(header, 24), u64_at(header, 32)];
    let sum = words.into_iter().chain([u64::from(header[46])]).fold(stamp, mix);
    (mix(sum, stamp) >> 32) as u32
}

/// One word more in a checksum (the finisher of MurmurHash3, public domain).
pub(crate) const fn mix(sum: u64, word: u64) -> u64 {
    let mut mixed = (sum ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

/// `payload_bytes` rounded up to whole blocks.
pub(crate) const fn padded(payload_bytes: usize) -> usize {
    payload_bytes.next_multiple_of(ALIGNMENT)
}

/// `N` bytes of a header at `at`, which is a constant within it.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_header_keeps_every_field() {
        let header = ChunkHeader {
            kind: Kind::Signalling,
            flow: FlowId { slot: 7, generation: 9 },
            records: 0x1234,
            payload_bytes: 4_016,
            first: Timestamp::from_nanos(u64::MAX - 5),
            span: u32::MAX,
            latest_before: Timestamp::from_nanos(77),
            previous: Locator::from_bits(0x0102_0304_0506_0708),
        };
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        bytes[..CHUNK_HEADER_CLEAR].copy_from_slice(&header.encode());
        assert_eq!(ChunkHeader::decode(&bytes), Some(header));
        assert_eq!(header.last(), Timestamp::MAX);
        for (at, value) in [(0, b'x'), (4, 1), (7, 1), (46, 3), (47, 1)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(ChunkHeader::decode(&wrong), None, "byte {at}");
        }
    }

    #[test]
    fn a_segment_header_keeps_every_field() {
        let header = SegmentHeader {
            core: 3,
            segment: 17,
            run: 12,
            created: Timestamp::from_nanos(5),
            salt: [1; 32],
            key_id: KeyId([2; 8]),
            source: SourceId([3; 32]),
            from: 4_096,
            part: 2,
        };
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..SEGMENT_HEADER_CLEAR].copy_from_slice(&header.encode());
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(SegmentFault::Version(2)));
        bytes[0] = 0;
        assert_eq!(SegmentHeader::decode(&bytes), Err(SegmentFault::NotASegment));
    }
}
