//! The parts of a recording's audio, one after the other.

use super::outline::Outline;
use super::{PlaybackError, Voices, tags};
use crate::flac::BLOCK_SAMPLES;

/// Parts that follow each other, alike in sample rate and channels.
#[derive(Debug)]
pub struct Track {
    parts: Vec<Part>,
    pub(super) sample_rate_hz: u32,
    pub(super) channels: usize,
    samples: u64,
    frames: usize,
}

#[derive(Debug)]
struct Part {
    outline: Outline,
    /// Samples, and frames, in the parts before it.
    first_sample: u64,
    first_frame: usize,
}

/// A frame of a track: which part, which of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) part: usize,
    pub(super) frame: usize,
}

impl Track {
    /// Of these parts, in the order of time.
    ///
    /// # Errors
    /// If there are none, or they differ.
    pub fn new(outlines: Vec<Outline>) -> Result<Self, PlaybackError> {
        let first = outlines.first().ok_or(PlaybackError::Nothing)?;
        let (sample_rate_hz, channels) = (first.sample_rate_hz, first.channels);
        let (mut samples, mut frames) = (0, 0);
        let mut parts = Vec::with_capacity(outlines.len());
        for outline in outlines {
            if (outline.sample_rate_hz, outline.channels) != (sample_rate_hz, channels) {
                return Err(PlaybackError::Unlike);
            }
            let (more_samples, more_frames) = (outline.samples(), outline.frames());
            parts.push(Part { outline, first_sample: samples, first_frame: frames });
            (samples, frames) = (samples + more_samples, frames + more_frames);
        }
        Ok(Self { parts, sample_rate_hz, channels, samples, frames })
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
        self.parts.iter().map(|part| size_of::<Part>() + part.outline.memory_bytes()).sum()
    }

    pub(super) fn outline(&self, part: usize) -> Option<&Outline> {
        self.parts.get(part).map(|part| &part.outline)
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    pub(super) const fn frames(&self) -> usize {
        self.frames
    }

    /// The frame with this number in the track.
    pub(super) fn spot(&self, number: usize) -> Option<Spot> {
        // Never `None` for a number below `frames`: the first part begins with 0.
        let part = self.parts.partition_point(|part| part.first_frame <= number).checked_sub(1)?;
        let frame = number - self.parts.get(part)?.first_frame;
        (number < self.frames).then_some(Spot { part, frame })
    }

    /// The number of the frame that a sample is in, and of the frame's first sample.
    pub(super) fn frame_of(&self, sample: u64) -> Option<(usize, u64)> {
        if sample >= self.samples {
            return None;
        }
        let part = self.parts.partition_point(|part| part.first_sample <= sample).checked_sub(1)?;
        let part = self.parts.get(part)?;
        let frame = (sample - part.first_sample) / BLOCK_SAMPLES as u64;
        Some((part.first_frame + frame as usize, part.first_sample + frame * BLOCK_SAMPLES as u64))
    }

    /// The number in the track of a frame's first sample.
    pub(super) fn first_sample(&self, spot: Spot) -> u64 {
        let before = self.parts.get(spot.part).map_or(0, |part| part.first_sample);
        before + (spot.frame * BLOCK_SAMPLES) as u64
    }

    /// The channels that these voices are on.
    pub(super) fn channels_of(&self, voices: Voices) -> Result<&'static [u32], PlaybackError> {
        match (voices, self.channels) {
            (Voices::Both, 1) => Ok(&[0]),
            (Voices::Both, _) => Ok(&[0, 1]),
            (_, 1) => Err(PlaybackError::OneChannel),
            (Voices::Caller, _) => Ok(&[0]),
            (Voices::Callee, _) => Ok(&[1]),
        }
    }

    /// What a file of the whole track says about itself.
    pub(super) fn tags(&self, voices: Voices, remarks: &super::Remarks) -> Vec<(String, String)> {
        let first = self.outline(0).map(|part| tags::read(&part.head)).unwrap_or_default();
        let mut tags = tags::of_whole(first, self.parts(), remarks);
        let alone = match voices {
            Voices::Both => return tags,
            Voices::Caller => "caller",
            Voices::Callee => "callee",
        };
        tags.retain(|(name, _)| name != "CHANNELS");
        tags.push(("CHANNELS".to_owned(), alone.to_owned()));
        tags
    }
}
