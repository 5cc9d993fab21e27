//! Sound files that are never whole anywhere: of known length, any of their bytes made when it is asked for.

use std::sync::Arc;

use super::outline::{Outline, stream_info};
use super::track::{Spot, Track};
use super::{PlaybackError, Remarks, Voices, wav};
use crate::flac::frame::{FrameHeader, HeaderBuffer, Place};
use crate::flac::metadata::{
    LAST, MARK, STREAMINFO, STREAMINFO_BYTES, VORBIS_COMMENT, block_header, vorbis_comment,
};
use crate::flac::{BLOCK_SAMPLES, crc};

/// The smallest block that STREAMINFO can name (RFC 9639, 8.2).
const BLOCK_SAMPLES_MIN: usize = 16;

/// A WAV or FLAC file of a whole track.
#[derive(Debug)]
pub struct View {
    track: Arc<Track>,
    head: Vec<u8>,
    body: Body,
    bytes: u64,
}

/// What follows the head: something for each frame of the track.
#[derive(Debug)]
enum Body {
    /// Its samples on these channels.
    Wav(&'static [u32]),
    /// The frame as it is stored.
    Stored,
    /// The frame under a header that says its place in the track. Where each begins, and where the last one ends.
    Joined(Vec<u64>),
}

impl View {
    /// A WAV file, 16 bit. Remarks are put before the sound.
    ///
    /// # Errors
    /// If there would be more than 4 GiB, or one voice alone cannot be had.
    pub fn wav(
        track: Arc<Track>,
        voices: Voices,
        remarks: &Remarks,
    ) -> Result<Self, PlaybackError> {
        let channels = track.channels_of(voices)?;
        let count = channels.len() as u16;
        let head = wav::head(track.sample_rate_hz, count, track.samples(), remarks)?;
        let bytes = head.len() as u64 + track.samples() * 2 * u64::from(count);
        Ok(Self { track, head, body: Body::Wav(channels), bytes })
    }

    /// A FLAC file with all voices. One part without remarks is byte for byte as it is stored; otherwise only headers
    /// differ: of the file, and of frames that got another place.
    #[must_use]
    pub fn flac(track: Arc<Track>, remarks: &Remarks) -> Self {
        let parts: Vec<_> = (0..track.parts()).filter_map(|part| track.outline(part)).collect();
        let (head, body, content) = match parts.as_slice() {
            [only] => {
                let head =
                    if remarks.is_empty() { only.head.clone() } else { flac_head(&track, remarks) };
                let content = (0..only.frames()).map(|frame| only.frame_bytes(frame) as u64).sum();
                (head, Body::Stored, content)
            }
            _ => {
                let starts = joined_starts(&track);
                let content = starts.last().copied().unwrap_or_default();
                (flac_head(&track, remarks), Body::Joined(starts), content)
            }
        };
        let bytes = head.len() as u64 + content;
        Self { track, head, body, bytes }
    }

    /// Length of the file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Up to `max` bytes from `from` on; none only at the end. `part` gives the bytes of a part of the track.
    ///
    /// # Errors
    /// What `part` gives, or if the part is not what it was when the track was made.
    pub fn read<P: AsRef<[u8]>, E: From<PlaybackError>>(
        &self,
        from: u64,
        max: usize,
        mut part: impl FnMut(usize) -> Result<P, E>,
    ) -> Result<Vec<u8>, E> {
        let head =
            usize::try_from(from).ok().and_then(|from| self.head.get(from..)).unwrap_or_default();
        let mut out = head.get(..head.len().min(max)).unwrap_or_default().to_vec();
        let body_from = from.saturating_sub(self.head.len() as u64);
        let Some((mut number, start)) = self.frame_at(body_from) else { return Ok(out) };
        // What is made of the first frame before the wanted bytes.
        let mut surplus = usize::try_from(body_from - start).unwrap_or(usize::MAX);
        let mut made = Vec::new();
        let mut buffer = Vec::new();
        let mut at_hand: Option<(usize, P)> = None;
        while out.len() < max
            && let Some(spot) = self.track.spot(number)
        {
            let file = match at_hand.take() {
                Some((index, file)) if index == spot.part => file,
                _ => part(spot.part)?,
            };
            made.clear();
            buffer = self.make(spot, file.as_ref(), buffer, &mut made)?;
            at_hand = Some((spot.part, file));
            let wanted = made.get(surplus..).unwrap_or_default();
            out.extend(wanted.get(..wanted.len().min(max - out.len())).unwrap_or_default());
            (surplus, number) = (0, number + 1);
        }
        Ok(out)
    }

    /// The frame that a byte behind the head comes from, and where what is made of it begins.
    fn frame_at(&self, byte: u64) -> Option<(usize, u64)> {
        match &self.body {
            Body::Wav(channels) => {
                let sample_bytes = 2 * channels.len() as u64;
                let (frame, first) = self.track.frame_of(byte / sample_bytes)?;
                Some((frame, first * sample_bytes))
            }
            Body::Stored => {
                let (frame, start) = self.track.outline(0)?.frame_at(byte)?;
                Some((frame, start))
            }
            Body::Joined(starts) => {
                let frame = starts.partition_point(|start| *start <= byte).checked_sub(1)?;
                (frame + 1 < starts.len()).then_some((frame, *starts.get(frame)?))
            }
        }
    }

    /// What is made of one frame. Gives `buffer` back.
    fn make(
        &self,
        spot: Spot,
        file: &[u8],
        buffer: Vec<i32>,
        out: &mut Vec<u8>,
    ) -> Result<Vec<i32>, PlaybackError> {
        let outline = self.track.outline(spot.part).ok_or(PlaybackError::Nothing)?;
        match &self.body {
            Body::Wav(channels) => {
                let block = outline.decode(file, spot.frame, buffer)?;
                samples(&block, channels, out);
                return Ok(block.into_buffer());
            }
            Body::Stored => out.extend(outline.frame(file, spot.frame)?),
            Body::Joined(_) => {
                let stored = outline.frame(file, spot.frame)?;
                let content =
                    stored.get(outline.header(spot.frame).bytes()..stored.len().saturating_sub(2));
                out.extend(
                    joined_header(&self.track, outline, spot).write(&mut HeaderBuffer::default()),
                );
                out.extend(content.unwrap_or_default());
                out.extend(crc::crc16(0, out).to_be_bytes());
            }
        }
        Ok(buffer)
    }
}

/// Interleaved, little-endian. Never more than 16 bits: the format of the file was checked.
fn samples(block: &claxon::Block, channels: &[u32], out: &mut Vec<u8>) {
    match channels {
        [only] => out
            .extend(block.channel(*only).iter().flat_map(|sample| (*sample as i16).to_le_bytes())),
        [left, right] => {
            let pairs = block.channel(*left).iter().zip(block.channel(*right));
            out.extend(pairs.flat_map(|(left, right)| {
                let ([a, b], [c, d]) =
                    ((*left as i16).to_le_bytes(), (*right as i16).to_le_bytes());
                [a, b, c, d]
            }));
        }
        _ => {}
    }
}

/// The header of a frame in a file of all parts.
fn joined_header(track: &Track, outline: &Outline, spot: Spot) -> FrameHeader {
    let place = Place::Sample(track.first_sample(spot));
    FrameHeader { place, ..outline.header(spot.frame) }
}

/// Where each frame begins in a file of all parts, behind its head.
fn joined_starts(track: &Track) -> Vec<u64> {
    let mut starts = Vec::with_capacity(track.frames() + 1);
    let mut at = 0;
    for (part, outline) in (0..track.parts()).filter_map(|part| Some((part, track.outline(part)?)))
    {
        for frame in 0..outline.frames() {
            starts.push(at);
            let header = joined_header(track, outline, Spot { part, frame }).bytes();
            at += (outline.frame_bytes(frame) - outline.header(frame).bytes() + header) as u64;
        }
    }
    starts.push(at);
    starts
}

/// The head of a FLAC file of the whole track.
fn flac_head(track: &Track, remarks: &Remarks) -> Vec<u8> {
    let info = track.outline(0).and_then(|part| stream_info(&part.head)).copied();
    let mut info = info.unwrap_or([0; STREAMINFO_BYTES]);
    if track.parts() > 1 {
        let ends = (0..track.parts() - 1).filter_map(|part| track.outline(part));
        let last_frames = ends.map(|part| part.frame_samples(part.frames().saturating_sub(1)));
        let smallest = last_frames.min().unwrap_or(BLOCK_SAMPLES).max(BLOCK_SAMPLES_MIN) as u16;
        // The smallest block; sizes of frames are not told; the number of samples, 36 bits.
        put(&mut info, 0, &smallest.to_be_bytes());
        put(&mut info, 4, &[0; 6]);
        let [_, _, _, high, low @ ..] = track.samples().to_be_bytes();
        let shared = info.get(13).copied().unwrap_or_default() & 0xf0;
        put(&mut info, 13, &[shared | high & 0x0f]);
        put(&mut info, 14, &low);
    }
    let comment = vorbis_comment(&track.tags(Voices::Both, remarks));
    let mut head = MARK.to_vec();
    head.extend(block_header(STREAMINFO, info.len()));
    head.extend(info);
    head.extend(block_header(LAST | VORBIS_COMMENT, comment.len()));
    head.extend(comment);
    head
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
}
