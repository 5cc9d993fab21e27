//! libFLAC by flac-bound, fed block by block with lengths that were checked.

use flac_bound::{FlacEncoder, WriteWrapper};

use super::Settings;
use super::metadata::Output;
use crate::error::MediaError;

/// Samples a channel in one FLAC frame.
pub(crate) const FRAME_SAMPLES: u32 = 1_152;
/// Samples a channel that are decoded and handed over at once: planes of 18 KiB stay in the cache.
pub(crate) const BLOCK_SAMPLES: usize = 4 * FRAME_SAMPLES as usize;
/// 16 bits, as decoded.
const SAMPLE_BITS: u32 = 16;
const CHANNELS_MAX: usize = 2;

/// Encodes `samples` a channel. `fill` is asked for block after block: it gets the number of the block's
/// first sample and a zeroed slice for each channel, all of one length.
pub(crate) fn encode(
    file: &str,
    settings: Settings<'_>,
    samples: u64,
    mut fill: impl FnMut(u64, &mut [&mut [i32]]),
) -> Result<Vec<u8>, MediaError> {
    let fail = |cause: String| MediaError::Flac { file: file.to_owned(), cause };
    let channels = settings.channels;
    if !(1..=CHANNELS_MAX).contains(&channels) {
        return Err(fail(format!("{channels} channels")));
    }
    let mut output = Output::new(settings.tags, room(samples, channels));
    let mut wrapper = WriteWrapper(&mut output);
    let config = FlacEncoder::new().ok_or_else(|| fail("out of memory".to_owned()))?;
    let config = config
        .channels(channels as u32)
        .bits_per_sample(SAMPLE_BITS)
        .sample_rate(settings.sample_rate_hz)
        .compression_level(settings.level)
        .blocksize(FRAME_SAMPLES);
    let mut encoder =
        config.init_write(&mut wrapper).map_err(|cause| fail(format!("{cause:?}")))?;
    let mut planes = [[0_i32; BLOCK_SAMPLES]; CHANNELS_MAX];
    let mut first = 0;
    while first < samples {
        let length = (samples - first).min(BLOCK_SAMPLES as u64) as usize;
        let mut slices = planes.each_mut().map(|plane| plane.get_mut(..length).unwrap_or_default());
        slices.iter_mut().for_each(|slice| slice.fill(0));
        let given = slices.get_mut(..channels).unwrap_or_default();
        fill(first, given);
        let slices = slices.each_ref().map(|slice| &**slice);
        let given = slices.get(..channels).unwrap_or_default();
        // What flac-bound does not check: it takes the first slice's length for all of them.
        assert!(given.iter().all(|slice| slice.len() == length), "channels of one length");
        encoder.process(given).map_err(|()| fail(format!("{:?}", encoder.state())))?;
        first += length as u64;
    }
    let finished =
        encoder.finish().map(drop).map_err(|encoder| fail(format!("{:?}", encoder.state())));
    finished.map(|()| output.into_file(samples))
}

/// Speech on both sides comes to about half of its 16 bits; rather too much room than a second copy.
fn room(samples: u64, channels: usize) -> usize {
    let most = samples.saturating_mul(channels as u64).saturating_add(8 * 1024);
    usize::try_from(most).unwrap_or(0).min(64 * 1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(at: u64, channel: usize) -> i32 {
        let phase = (at as f64) * 0.05 * (channel as f64 + 1.0);
        (phase.sin() * 20_000.0) as i32 + (at % 7) as i32
    }

    fn encode_wave(samples: u64, channels: usize, level: u32) -> Vec<u8> {
        let tags = vec![("CALL-ID".to_owned(), "x@y".to_owned())];
        let settings = Settings { channels, sample_rate_hz: 8_000, level, tags: &tags };
        encode("test.flac", settings, samples, |first, planes| {
            for (channel, plane) in planes.iter_mut().enumerate() {
                for (at, sample) in plane.iter_mut().enumerate() {
                    *sample = wave(first + at as u64, channel);
                }
            }
        })
        .unwrap()
    }

    #[test]
    fn what_goes_in_comes_out() {
        for (samples, channels, level) in
            [(1, 2, 0), (1_152, 1, 0), (4_608, 2, 5), (4_609, 2, 0), (50_000, 1, 8), (50_000, 2, 0)]
        {
            let file = encode_wave(samples, channels, level);
            let mut reader = claxon::FlacReader::new(&file[..]).unwrap();
            let info = reader.streaminfo();
            assert_eq!(info.samples, Some(samples));
            assert_eq!((info.channels, info.sample_rate), (channels as u32, 8_000));
            assert_eq!(reader.get_tag("call-id").collect::<Vec<_>>(), ["x@y"]);
            let decoded: Vec<i32> = reader.samples().map(Result::unwrap).collect();
            let expected =
                (0..samples).flat_map(|at| (0..channels).map(move |channel| wave(at, channel)));
            assert!(decoded.into_iter().eq(expected), "{samples} x {channels} at level {level}");
        }
    }

    #[test]
    fn settings_that_libflac_refuses_are_an_error() {
        let settings = Settings { channels: 3, sample_rate_hz: 8_000, level: 0, tags: &[] };
        let error = encode("a.flac", settings, 1, |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("3 channels"), "{error}");
    }
}
