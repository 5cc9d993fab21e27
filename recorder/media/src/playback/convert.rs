//! Sound files that are made from begin to end: their length is known when they are.

use std::sync::Arc;

use super::opus::Opus;
use super::track::Track;
use super::{PlaybackError, Remarks, Voices};
use crate::flac::frame::Frames;
use crate::flac::metadata::Header;
use crate::flac::{BLOCK_SAMPLES, Settings};
use crate::vector::Vector;

/// Frames that are decoded for one piece: 4 s at 8 kHz.
const FRAMES_PER_PIECE: usize = 16;

/// Makes an Opus file, or a FLAC file of one voice.
#[derive(Debug)]
pub struct Converter {
    track: Arc<Track>,
    channels: &'static [u32],
    /// The next frame.
    number: usize,
    coder: Coder,
    finished: bool,
}

#[derive(Debug)]
enum Coder {
    Opus(Box<Opus>),
    Flac { frames: Frames, ready: Vec<u8>, waiting: Vec<i16> },
}

impl Converter {
    /// An Ogg file with Opus, 24 kbit/s for each voice.
    ///
    /// # Errors
    /// If one voice alone cannot be had, or the encoder does not know the sample rate.
    pub fn opus(
        track: Arc<Track>,
        voices: Voices,
        remarks: &Remarks,
    ) -> Result<Self, PlaybackError> {
        let channels = track.channels_of(voices)?;
        let tags = track.tags(voices, remarks);
        let opus = Opus::new(track.sample_rate_hz, channels.len(), track.samples(), &tags)?;
        Ok(Self { track, channels, number: 0, coder: Coder::Opus(Box::new(opus)), finished: false })
    }

    /// A FLAC file with one voice.
    ///
    /// # Errors
    /// If it cannot be had alone.
    pub fn flac(
        track: Arc<Track>,
        voices: Voices,
        remarks: &Remarks,
    ) -> Result<Self, PlaybackError> {
        let channels = track.channels_of(voices)?;
        let tags = track.tags(voices, remarks);
        let (count, sample_rate_hz) = (channels.len(), track.sample_rate_hz);
        let mut ready = Vec::new();
        // The sizes of the frames are left open: zero stands for unknown.
        Header::new(Settings { channels: count, sample_rate_hz, tags: &tags }, track.samples())
            .write(&mut ready);
        let frames = Frames::new(count, sample_rate_hz, Vector::detect());
        let coder = Coder::Flac { frames, ready, waiting: Vec::new() };
        Ok(Self { track, channels, number: 0, coder, finished: false })
    }

    /// The next piece of the file: never empty; `None` behind the last one. `part` gives the bytes of a part of the
    /// track.
    ///
    /// # Errors
    /// What `part` gives, or if the part is not what it was when the track was made.
    pub fn next<P: AsRef<[u8]>, E: From<PlaybackError>>(
        &mut self,
        mut part: impl FnMut(usize) -> Result<P, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        loop {
            let ready = self.coder.ready();
            if !ready.is_empty() {
                return Ok(Some(ready));
            }
            if self.finished {
                return Ok(None);
            }
            self.code_more(&mut part)?;
        }
    }

    fn code_more<P: AsRef<[u8]>, E: From<PlaybackError>>(
        &mut self,
        part: &mut impl FnMut(usize) -> Result<P, E>,
    ) -> Result<(), E> {
        let (mut at_hand, mut buffer, mut samples) = (None, Vec::new(), Vec::new());
        for _ in 0..FRAMES_PER_PIECE {
            let Some(spot) = self.track.spot(self.number) else { break };
            let file = match at_hand.take() {
                Some((index, file)) if index == spot.part => file,
                _ => part(spot.part)?,
            };
            let outline = self.track.outline(spot.part).ok_or(PlaybackError::Nothing)?;
            let block = outline.decode(file.as_ref(), spot.frame, buffer)?;
            interleave(&block, self.channels, &mut samples);
            (at_hand, buffer) = (Some((spot.part, file)), block.into_buffer());
            self.number += 1;
        }
        self.coder.take(&samples, self.channels.len())?;
        if self.number == self.track.frames() {
            self.finished = true;
            self.coder.finish(self.channels.len())?;
        }
        Ok(())
    }
}

/// Never more than 16 bits: the format of the file was checked.
fn interleave(block: &claxon::Block, channels: &[u32], out: &mut Vec<i16>) {
    let length = block.duration() as usize;
    let from = out.len();
    out.resize(from + length * channels.len(), 0);
    for (place, channel) in channels.iter().enumerate() {
        let places = out.iter_mut().skip(from + place).step_by(channels.len());
        places.zip(block.channel(*channel)).for_each(|(out, sample)| *out = *sample as i16);
    }
}

impl Coder {
    /// Takes interleaved samples.
    fn take(&mut self, samples: &[i16], channels: usize) -> Result<(), PlaybackError> {
        match self {
            Self::Opus(opus) => opus.take(samples),
            Self::Flac { frames, ready, waiting } => {
                // At a seam between two parts a block takes samples of both.
                waiting.extend_from_slice(samples);
                let taken = std::mem::take(waiting);
                let blocks = taken.chunks_exact(BLOCK_SAMPLES * channels);
                waiting.extend_from_slice(blocks.remainder());
                blocks.for_each(|block| frame(frames, block, channels, ready));
                Ok(())
            }
        }
    }

    fn finish(&mut self, channels: usize) -> Result<(), PlaybackError> {
        match self {
            Self::Opus(opus) => opus.finish(),
            Self::Flac { frames, ready, waiting } => {
                if !waiting.is_empty() {
                    frame(frames, waiting, channels, ready);
                    waiting.clear();
                }
                Ok(())
            }
        }
    }

    fn ready(&mut self) -> Vec<u8> {
        match self {
            Self::Opus(opus) => opus.ready(),
            Self::Flac { ready, .. } => std::mem::take(ready),
        }
    }
}

fn frame(frames: &mut Frames, interleaved: &[i16], channels: usize, out: &mut Vec<u8>) {
    let of =
        |channel| interleaved.iter().copied().skip(channel).step_by(channels).collect::<Vec<_>>();
    let mut planes: Vec<Vec<i16>> = (0..channels).map(of).collect();
    let mut planes: Vec<&mut [i16]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
    out.extend_from_slice(frames.next(&mut planes));
}
