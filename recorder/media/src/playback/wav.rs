//! The head of a RIFF WAVE file (Multimedia Programming Interface and Data Specifications 1.0, 1991).

use super::{PlaybackError, Remarks};

/// PCM (RFC 2361, A.1).
const FORMAT_PCM: u16 = 1;
/// Bytes of a sample.
const SAMPLE_BYTES: u32 = 2;
/// A chunk's name and length.
const CHUNK_HEAD_BYTES: u32 = 8;

/// All that stands before the samples. Remarks are put into a list of information (`LIST INFO ICMT`).
pub(super) fn head(
    sample_rate_hz: u32,
    channels: u16,
    samples: u64,
    remarks: &Remarks,
) -> Result<Vec<u8>, PlaybackError> {
    let frame_bytes = u32::from(channels) * SAMPLE_BYTES;
    let mut chunks = b"WAVE".to_vec();
    chunk(&mut chunks, b"fmt ", &{
        let mut format = [FORMAT_PCM, channels].map(u16::to_le_bytes).as_flattened().to_vec();
        let rates = [sample_rate_hz, sample_rate_hz.saturating_mul(frame_bytes)];
        format.extend(rates.map(u32::to_le_bytes).as_flattened());
        format.extend(
            [frame_bytes as u16, 8 * SAMPLE_BYTES as u16].map(u16::to_le_bytes).as_flattened(),
        );
        format
    });
    if !remarks.is_empty() {
        let lines: Vec<_> = remarks.iter().map(|(_, value)| value.as_str()).collect();
        let mut list = b"INFO".to_vec();
        // The text ends with a zero byte.
        chunk(&mut list, b"ICMT", format!("{}\0", lines.join("\n")).as_bytes());
        chunk(&mut chunks, b"LIST", &list);
    }
    let data = samples.checked_mul(frame_bytes.into()).and_then(|bytes| u32::try_from(bytes).ok());
    let data = data.ok_or(PlaybackError::TooLong)?;
    let riff =
        data.checked_add(chunks.len() as u32 + CHUNK_HEAD_BYTES).ok_or(PlaybackError::TooLong)?;
    let mut head = b"RIFF".to_vec();
    head.extend(riff.to_le_bytes());
    head.extend(chunks);
    head.extend(b"data");
    head.extend(data.to_le_bytes());
    Ok(head)
}

/// Appends a chunk, filled up to an even length.
fn chunk(to: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    to.extend(name);
    to.extend((content.len() as u32).to_le_bytes());
    to.extend(content);
    to.extend(std::iter::repeat_n(0, content.len() % 2));
}
