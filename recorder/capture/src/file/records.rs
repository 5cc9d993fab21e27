//! What the file formats have in common: records one after the other, read from a window of the file.

use base::Timestamp;
use base::limits::{CAPTURE_RECORD_BYTES_MAX, FRAME_BYTES_MAX};

use super::erf;
use crate::{Frame, LinkType, Taker};

/// Frames handed over by one pass. Large enough that what a pass costs does not show.
const PASS_FRAMES_MAX: usize = 1_024;
/// How many frames before its turn one is told of: enough to fetch, one after the other, the three places in
/// memory that a packet leads to (`journal`).
const AHEAD_FRAMES: usize = 12;

/// A file format: it takes a file apart into records.
pub(super) trait Records {
    /// Looks at the record at the start of `bytes`, which is what is at hand of the rest of the file.
    /// Called again with the same start, it gives the same answer.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a>;
}

/// What the next record is.
pub(super) enum Next<'a> {
    /// A frame (its number is filled in later), and the bytes after its record.
    Frame(Frame<'a>, &'a [u8]),
    /// A record without a frame, and the bytes after it.
    Other(&'a [u8]),
    /// Not whole: it takes at least so many bytes, at most [`CAPTURE_RECORD_BYTES_MAX`].
    Need(usize),
    /// A record of so many bytes that is of no interest, however long.
    Skip(u64),
    /// Unreadable, and with it all that follows.
    Fault(Fault),
}

/// Why a record is unreadable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It claims so many bytes.
    TooLong(u64),
    /// It contradicts itself.
    Damaged(&'static str),
}

impl Fault {
    /// Refuses a length that no frame has, before anything is kept for it.
    #[inline]
    pub(super) fn of_frame_bytes(bytes: u32) -> Option<Self> {
        (bytes as usize > FRAME_BYTES_MAX).then(|| Self::TooLong(bytes.into()))
    }
}

/// How a pass over the bytes at hand ended.
pub(super) enum Stop {
    /// A batch was handed over.
    Batch,
    /// The next frame is past the time that the pass was to go to.
    Later(Timestamp),
    /// As [`Next::Need`].
    Need(usize),
    /// As [`Next::Skip`].
    Skip(u64),
    /// As [`Next::Fault`].
    Fault(Fault),
}

/// A pass over the bytes at hand.
pub(super) struct Pass {
    /// Bytes of the records that are done with.
    pub(super) used: usize,
    /// Frames handed over.
    pub(super) frames: usize,
    /// Why it went no further.
    pub(super) stop: Stop,
}

/// Hands over the frames in `bytes` until one is later than `until` (`None`: before the first), numbered
/// from after `number`.
#[inline]
pub(super) fn pass(
    records: &mut impl Records,
    bytes: &[u8],
    until: Option<Timestamp>,
    number: u64,
    taker: &mut impl Taker,
) -> Pass {
    let mut rest = bytes;
    let mut frames = 0;
    let mut coming = Coming::default();
    let stop = loop {
        match records.next(rest) {
            Next::Frame(frame, after) => {
                if until.is_none_or(|until| frame.time > until) {
                    break Stop::Later(frame.time);
                }
                frames += 1;
                rest = after;
                let number = number + frames as u64;
                let frame = erf::peel(Frame { number, ..frame });
                taker.ahead(&frame);
                if let Some(due) = coming.exchange(Some(frame)) {
                    taker.take(&due);
                }
                if frames == PASS_FRAMES_MAX {
                    break Stop::Batch;
                }
            }
            Next::Other(after) => rest = after,
            Next::Need(bytes) => {
                debug_assert!(bytes <= CAPTURE_RECORD_BYTES_MAX && bytes > rest.len());
                break Stop::Need(bytes);
            }
            Next::Skip(bytes) => break Stop::Skip(bytes),
            Next::Fault(fault) => break Stop::Fault(fault),
        }
    };
    (0..AHEAD_FRAMES).filter_map(|_| coming.exchange(None)).for_each(|due| taker.take(&due));
    Pass { used: bytes.len() - rest.len(), frames, stop }
}

/// Frames whose turn comes soon.
#[derive(Default)]
struct Coming<'a> {
    frames: [Option<Frame<'a>>; AHEAD_FRAMES],
    at: usize,
}

impl<'a> Coming<'a> {
    /// Puts a frame where the oldest was, whose turn it is.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the place is kept within the ring")]
    fn exchange(&mut self, frame: Option<Frame<'a>>) -> Option<Frame<'a>> {
        self.at = (self.at + 1) % AHEAD_FRAMES;
        std::mem::replace(&mut self.frames[self.at], frame)
    }
}

/// The frame of a record, before it is numbered.
#[inline]
pub(super) fn frame(nanos: u64, link: LinkType, data: &[u8], wire_bytes: u32) -> Frame<'_> {
    // `data` is at most FRAME_BYTES_MAX.
    let wire_bytes = wire_bytes.max(data.len() as u32);
    Frame { time: Timestamp::from_nanos(nanos), link, data, wire_bytes, number: 0 }
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    #[inline]
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The first `N` 32-bit words of `bytes`; a word that is not there is 0, so check the length first.
    #[inline]
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> [u32; N] {
        let (words, _) = bytes.as_chunks::<4>();
        std::array::from_fn(|at| words.get(at).map_or(0, |word| self.u32(*word)))
    }
}
