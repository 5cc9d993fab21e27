//! The innermost parts of [`finish`](crate::finish), for who measures them one by one.

use crate::flac::{Settings, encoder};
use crate::g711::Law;
use crate::render;
use crate::vector::Vector;

/// Decodes G.711, with vectors where the processor has them.
pub fn decode(law: Law, codes: &[u8], samples: &mut [i16]) {
    match Vector::detect() {
        Some(vector) => vector.decode_into(law, codes, samples),
        None => law.decode_into(codes, samples),
    }
}

/// The average of both sides, in place of the one.
pub fn mix(one: &mut [i16], other: &[i16]) {
    render::mix(one, other);
}

/// A FLAC file (RFC 9639) of two channels of one length, 8 kHz.
#[must_use]
pub fn encode(planes: [&[i16]; 2]) -> Vec<u8> {
    let settings = Settings { channels: planes.len(), sample_rate_hz: 8_000, tags: &[] };
    let samples = planes.iter().map(|plane| plane.len()).min().unwrap_or(0);
    encoder::encode(settings, samples as u64, |first, blocks| {
        for (block, plane) in blocks.iter_mut().zip(planes) {
            let rest = plane.get(first as usize..).unwrap_or_default();
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        }
    })
}
