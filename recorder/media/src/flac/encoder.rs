//! Makes a file: asks for block after block, and keeps account for the header.

use super::frame::Frames;
use super::metadata::Header;
use super::{BLOCK_SAMPLES, Settings};
use crate::vector::Vector;

const CHANNELS_MAX: usize = 2;

/// Encodes `samples` a channel. `fill` is asked for block after block: it gets the number of the block's
/// first sample and a zeroed slice for each channel, all of one length.
pub(crate) fn encode(
    settings: Settings<'_>,
    samples: u64,
    fill: impl FnMut(u64, &mut [&mut [i16]]),
) -> Vec<u8> {
    encode_with(Vector::detect(), settings, samples, fill)
}

pub(super) fn encode_with(
    vector: Option<Vector>,
    settings: Settings<'_>,
    samples: u64,
    mut fill: impl FnMut(u64, &mut [&mut [i16]]),
) -> Vec<u8> {
    let channels = settings.channels;
    assert!((1..=CHANNELS_MAX).contains(&channels), "one or two channels");
    let mut header = Header::new(settings, samples);
    let mut file = Vec::with_capacity(room(samples, channels));
    header.write(&mut file);
    let mut frames = Frames::new(channels, settings.sample_rate_hz, vector);
    let mut planes = [[0_i16; BLOCK_SAMPLES]; CHANNELS_MAX];
    let mut first = 0;
    while first < samples {
        let length = (samples - first).min(BLOCK_SAMPLES as u64) as usize;
        let mut slices = planes.each_mut().map(|plane| plane.get_mut(..length).unwrap_or_default());
        slices.iter_mut().for_each(|slice| slice.fill(0));
        let given = slices.get_mut(..channels).unwrap_or_default();
        fill(first, given);
        let frame = frames.next(given);
        header.count(frame.len());
        file.extend_from_slice(frame);
        first += length as u64;
    }
    header.complete(&mut file);
    file
}

/// Speech on both sides comes to about half of its 16 bits; rather too much room than a second copy.
fn room(samples: u64, channels: usize) -> usize {
    let most = samples.saturating_mul(channels as u64).saturating_add(8 * 1024);
    usize::try_from(most).unwrap_or(0).min(64 * 1024 * 1024)
}
