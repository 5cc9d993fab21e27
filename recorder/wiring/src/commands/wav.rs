//! FLAC to RIFF WAVE.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use claxon::FlacReader;

/// Bytes before the samples.
const HEADER_BYTES: u32 = 44;
/// PCM (RFC 2361, A.1).
const FORMAT_PCM: u16 = 1;

/// Decodes the parts of one recording, one after the other, into one WAVE file.
pub(crate) fn write(parts: &[impl AsRef<[u8]>], to: &mut dyn Write) -> Result<()> {
    let mut readers = Vec::with_capacity(parts.len());
    for part in parts {
        readers.push(FlacReader::new(part.as_ref()).context("the audio is damaged")?);
    }
    let Some(first) = readers.first() else { bail!("there is no audio in this recording") };
    let (rate, channels) = (first.streaminfo().sample_rate, first.streaminfo().channels);
    let samples: u64 = readers.iter().filter_map(|reader| reader.streaminfo().samples).sum();
    to.write_all(&header(rate, channels, samples)?)?;
    let mut bytes = Vec::new();
    for mut reader in readers {
        let mut blocks = reader.blocks();
        let mut buffer = Vec::new();
        while let Some(block) = blocks.read_next_or_eof(buffer).context("the audio is damaged")? {
            bytes.clear();
            for index in 0..block.duration() {
                for channel in 0..block.channels() {
                    let sample = i16::try_from(block.sample(channel, index)).unwrap_or_default();
                    bytes.extend_from_slice(&sample.to_le_bytes());
                }
            }
            to.write_all(&bytes)?;
            buffer = block.into_buffer();
        }
    }
    Ok(())
}

fn header(rate: u32, channels: u32, samples: u64) -> Result<Vec<u8>> {
    let frame_bytes = channels * 2;
    let data = u32::try_from(samples * u64::from(frame_bytes))
        .ok()
        .filter(|data| data.checked_add(HEADER_BYTES).is_some())
        .context(
            "the audio is too long for a WAV file (4 GiB); write FLAC, or one part with --media",
        )?;
    let mut header = Vec::with_capacity(HEADER_BYTES as usize);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&(data + HEADER_BYTES - 8).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&FORMAT_PCM.to_le_bytes());
    header.extend_from_slice(&u16::try_from(channels)?.to_le_bytes());
    header.extend_from_slice(&rate.to_le_bytes());
    header.extend_from_slice(&(rate * frame_bytes).to_le_bytes());
    header.extend_from_slice(&u16::try_from(frame_bytes)?.to_le_bytes());
    header.extend_from_slice(&16_u16.to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data.to_le_bytes());
    Ok(header)
}
