//! Where everything is in one FLAC file.
//!
//! The files of [`flac`](crate::flac) have no seek table, and need none: the header of every frame can be said in
//! advance, to its last bit. A frame ends where the header of the next one stands and the frame's own checksum comes
//! out right. (Sound that imitated a header and both checksums would still not be taken for a frame: whoever decodes
//! the frame before it finds that it ends elsewhere.)

use std::io::Cursor;

use claxon::frame::{Block, FrameReader};
use memchr::memmem;

use super::PlaybackError;
use crate::flac::frame::{FRAME_BYTES_MAX, FrameHeader, HeaderBuffer, Place};
use crate::flac::metadata::{LAST, MARK, STREAMINFO, STREAMINFO_BYTES};
use crate::flac::{BLOCK_SAMPLES, SAMPLE_BITS, crc};

/// The fewest bytes of a frame: its header, a constant channel, its checksum.
const FRAME_BYTES_MIN: usize = 6 + 3 + 2;

/// Where everything is in one FLAC file. Its bytes are handed over each time.
#[derive(Clone, Debug)]
pub struct Outline {
    pub(super) sample_rate_hz: u32,
    /// 1 or 2.
    pub(super) channels: usize,
    /// On each channel.
    pub(super) samples: u64,
    /// All that stands before the first frame.
    pub(super) head: Vec<u8>,
    /// Where each frame begins, and where the last one ends.
    starts: Vec<u32>,
}

impl Outline {
    /// Of a whole file. Reads it once, decodes nothing.
    ///
    /// # Errors
    /// If it is not one of ours, or damaged.
    pub fn of(file: &[u8]) -> Result<Self, PlaybackError> {
        u32::try_from(file.len()).map_err(|_| PlaybackError::Foreign("it is larger than 4 GiB"))?;
        let head = head(file).ok_or(PlaybackError::Foreign("its header is another"))?;
        let (sample_rate_hz, channels, samples) =
            format(head).ok_or(PlaybackError::Foreign("its format is another"))?;
        let head = head.to_vec();
        let mut outline = Self { sample_rate_hz, channels, samples, head, starts: Vec::new() };
        outline.find_frames(file)?;
        Ok(outline)
    }

    /// Samples on each channel.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples a second.
    #[must_use]
    pub const fn sample_rate_hz(&self) -> u32 {
        self.sample_rate_hz
    }

    /// Bytes that this takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.head.capacity() + self.starts.capacity() * size_of::<u32>()
    }

    /// How many frames there are.
    pub(super) fn frames(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Samples a channel of a frame.
    pub(super) fn frame_samples(&self, frame: usize) -> usize {
        let first = (frame * BLOCK_SAMPLES) as u64;
        self.samples.saturating_sub(first).min(BLOCK_SAMPLES as u64) as usize
    }

    /// Length of a frame in the file.
    pub(super) fn frame_bytes(&self, frame: usize) -> usize {
        self.place(frame).map_or(0, |(from, until)| until - from)
    }

    /// The frame that a byte behind the head is in, and where it begins behind the head.
    pub(super) fn frame_at(&self, byte: u64) -> Option<(usize, u64)> {
        let head = self.head.len() as u64;
        let frame =
            self.starts.partition_point(|start| u64::from(*start) <= head + byte).checked_sub(1)?;
        let (start, _) = self.place(frame)?;
        Some((frame, start as u64 - head))
    }

    /// The header that a frame has.
    pub(super) fn header(&self, frame: usize) -> FrameHeader {
        FrameHeader {
            channels: self.channels,
            sample_rate_hz: self.sample_rate_hz,
            place: Place::Frame(frame as u32),
            samples: self.frame_samples(frame),
        }
    }

    /// The bytes of a frame.
    pub(super) fn frame<'f>(
        &self,
        file: &'f [u8],
        frame: usize,
    ) -> Result<&'f [u8], PlaybackError> {
        let place = self.place(frame).and_then(|(from, until)| file.get(from..until));
        place.ok_or_else(|| damaged(frame, "it is not there"))
    }

    /// Decodes a frame. `buffer` is memory to use again.
    pub(super) fn decode(
        &self,
        file: &[u8],
        frame: usize,
        buffer: Vec<i32>,
    ) -> Result<Block, PlaybackError> {
        let bytes = self.frame(file, frame)?;
        let mut reader = FrameReader::new(Cursor::new(bytes));
        let block = reader.read_next_or_eof(buffer).map_err(|error| damaged(frame, error))?;
        let block = block.ok_or_else(|| damaged(frame, "it ends early"))?;
        let read = reader.into_inner().position() == bytes.len() as u64;
        let fits = block.duration() as usize == self.frame_samples(frame)
            && block.channels() as usize == self.channels;
        if read && fits { Ok(block) } else { Err(damaged(frame, "it ends elsewhere")) }
    }

    fn place(&self, frame: usize) -> Option<(usize, usize)> {
        Some((*self.starts.get(frame)? as usize, *self.starts.get(frame + 1)? as usize))
    }

    fn find_frames(&mut self, file: &[u8]) -> Result<(), PlaybackError> {
        let frames =
            usize::try_from(self.samples.div_ceil(BLOCK_SAMPLES as u64)).unwrap_or(usize::MAX);
        if frames > file.len() / FRAME_BYTES_MIN {
            return Err(PlaybackError::Foreign("it is too short for what its header says"));
        }
        self.starts = Vec::with_capacity(frames + 1);
        let mut at = self.head.len();
        for frame in 0..frames {
            self.starts.push(at as u32);
            at = self.frame_end(file, at, frame, frames)?;
        }
        self.starts.push(at as u32);
        if at == file.len() {
            Ok(())
        } else {
            Err(damaged(frames, "something follows the last one"))
        }
    }

    /// Where the frame that begins at `at` ends.
    fn frame_end(
        &self,
        file: &[u8],
        at: usize,
        frame: usize,
        frames: usize,
    ) -> Result<usize, PlaybackError> {
        let mut buffer = HeaderBuffer::default();
        let rest = file.get(at..).unwrap_or_default();
        if !rest.starts_with(self.header(frame).write(&mut buffer)) {
            return Err(damaged(frame, "its header is another"));
        }
        let rest = rest.get(..rest.len().min(FRAME_BYTES_MAX)).unwrap_or_default();
        if frame + 1 == frames {
            let good = at + rest.len() == file.len() && crc::crc16(0, rest) == 0;
            return good
                .then_some(file.len())
                .ok_or_else(|| damaged(frame, "its checksum is another"));
        }
        let next = self.header(frame + 1).write(&mut buffer);
        let (mut crc, mut checked) = (0, 0);
        for end in memmem::find_iter(rest, next) {
            // With its own checksum behind it, a frame's checksum is zero.
            crc = crc::crc16(crc, rest.get(checked..end).unwrap_or_default());
            checked = end;
            if crc == 0 {
                return Ok(at + end);
            }
        }
        Err(damaged(frame, "its end is not found"))
    }
}

fn damaged(frame: usize, cause: impl ToString) -> PlaybackError {
    PlaybackError::Damaged { frame, cause: cause.to_string() }
}

/// The mark and the metadata blocks.
fn head(file: &[u8]) -> Option<&[u8]> {
    let mut at = MARK.len();
    file.starts_with(MARK).then_some(())?;
    loop {
        let [kind, high, middle, low] = *file.get(at..)?.first_chunk()?;
        at += 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind & LAST != 0 {
            return file.get(..at);
        }
    }
}

/// The content of STREAMINFO, which comes first (RFC 9639, 8.2).
pub(super) fn stream_info(head: &[u8]) -> Option<&[u8; STREAMINFO_BYTES]> {
    let [kind, block @ ..] = head.strip_prefix(MARK)? else { return None };
    (kind & !LAST == STREAMINFO).then_some(())?;
    block.strip_prefix(&[0, 0, STREAMINFO_BYTES as u8])?.first_chunk()
}

/// Sample rate, channels, samples.
fn format(head: &[u8]) -> Option<(u32, usize, u64)> {
    let info = stream_info(head)?;
    let size = (BLOCK_SAMPLES as u16).to_be_bytes();
    (info.get(..4)? == [size, size].as_flattened()).then_some(())?;
    let format = u64::from_be_bytes(*info.get(10..)?.first_chunk()?);
    let (rate, channels) = ((format >> 44) as u32, (format >> 41 & 0b111) as usize + 1);
    let sample_bits = (format >> 36 & 0b1_1111) as u32 + 1;
    let samples = format & 0xf_ffff_ffff;
    ((1..=2).contains(&channels) && sample_bits == SAMPLE_BITS && rate > 0)
        .then_some((rate, channels, samples))
}
