//! One frame: a block of each channel, with a header and two checksums (RFC 9639, 9).

use super::bits::Bits;
use super::plan::plan;
use super::{BLOCK_SAMPLES, SAMPLE_BITS, crc, measure, residual};
use crate::vector::Vector;

/// Synchronisation code, and that every block but the last has one size.
const SYNC: u64 = 0xfff8;
/// The same, and that blocks have any size.
const SYNC_OF_ANY_SIZE: u64 = 0xfff9;
/// Subframe types (9.2.1), with the bit before them.
const CONSTANT: u64 = 0b000_0000;
const VERBATIM: u64 = 0b000_0001;
const FIXED: u64 = 0b000_1000;
/// More than a frame can take: two channels as they are, and where the plan's estimate was too good, half
/// a bit more a sample.
pub(crate) const FRAME_BYTES_MAX: usize = 2 * BLOCK_SAMPLES * (SAMPLE_BITS as usize + 1) / 8 + 64;

/// What a frame's header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) channels: usize,
    pub(crate) sample_rate_hz: u32,
    pub(crate) place: Place,
    /// Samples a channel.
    pub(crate) samples: usize,
}

/// How a frame says where it belongs (9.1.5).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The number of the frame, in a file whose blocks but the last all have [`BLOCK_SAMPLES`].
    Frame(u32),
    /// The number of its first sample, in a file whose blocks have any size. Less than 2^36.
    Sample(u64),
}

/// Room for a header, and for what [`Bits`] wants behind it.
pub(crate) type HeaderBuffer = [u8; 32];

impl FrameHeader {
    /// Its bytes, with their checksum.
    pub(crate) fn write<'h>(&self, buffer: &'h mut HeaderBuffer) -> &'h [u8] {
        let mut bits = Bits::new(buffer);
        let (sync, number) = match self.place {
            Place::Frame(number) => (SYNC, number.into()),
            Place::Sample(number) => (SYNC_OF_ANY_SIZE, number),
        };
        bits.put(sync, 16);
        let whole = self.samples == BLOCK_SAMPLES;
        bits.put(if whole { block_size_code() } else { 0b0111 }, 4);
        bits.put(rate_code(self.sample_rate_hz), 4);
        bits.put(self.channels as u64 - 1, 4);
        // 16 bits a sample (9.1.4), and a reserved bit.
        bits.put(0b100, 3);
        bits.put(0, 1);
        put_number(number, &mut bits);
        if !whole {
            bits.put(self.samples as u64 - 1, 16);
        }
        let length = bits.finish().len();
        let crc = crc::crc8(buffer.get(..length).unwrap_or_default());
        buffer.iter_mut().skip(length).take(1).for_each(|place| *place = crc);
        buffer.get(..=length).unwrap_or_default()
    }

    /// How many bytes it has.
    pub(crate) const fn bytes(&self) -> usize {
        let number = match self.place {
            Place::Frame(number) => number as u64,
            Place::Sample(number) => number,
        };
        let size = if self.samples == BLOCK_SAMPLES { 0 } else { 2 };
        4 + 1 + more_bytes(number) as usize + size + 1
    }
}

/// Makes frames, one after the other.
#[derive(Debug)]
pub(crate) struct Frames {
    channels: usize,
    sample_rate_hz: u32,
    vector: Option<Vector>,
    buffer: Vec<u8>,
    number: u32,
}

impl Frames {
    /// Frames of a file. Without `vector` it takes longer.
    pub(crate) fn new(channels: usize, sample_rate_hz: u32, vector: Option<Vector>) -> Self {
        Self { channels, sample_rate_hz, vector, buffer: vec![0; FRAME_BYTES_MAX], number: 0 }
    }

    /// The next frame: of `planes`, one a channel, all of one length, [`BLOCK_SAMPLES`] but for the last.
    /// The planes are used up.
    pub(crate) fn next(&mut self, planes: &mut [&mut [i16]]) -> &[u8] {
        let length = planes.first().map_or(0, |plane| plane.len());
        let header = FrameHeader {
            channels: self.channels,
            sample_rate_hz: self.sample_rate_hz,
            place: Place::Frame(self.number),
            samples: length,
        };
        let mut buffer = HeaderBuffer::default();
        let header = header.write(&mut buffer);
        let mut bits = Bits::new(&mut self.buffer);
        header.iter().for_each(|byte| bits.put((*byte).into(), 8));
        for plane in planes {
            subframe(plane, self.vector, &mut bits);
        }
        bits.fill_byte();
        let body = bits.finish().len();
        self.number += 1;
        let (frame, rest) = self.buffer.split_at_mut(body);
        let crc = self.vector.map_or_else(|| crc::crc16(0, frame), |vector| vector.crc16(frame));
        rest.iter_mut().zip(crc.to_be_bytes()).for_each(|(place, byte)| *place = byte);
        self.buffer.get(..body + 2).unwrap_or_default()
    }
}

/// Of [`BLOCK_SAMPLES`] (9.1.1).
const fn block_size_code() -> u64 {
    assert!(BLOCK_SAMPLES.is_power_of_two() && BLOCK_SAMPLES >= 256 && BLOCK_SAMPLES <= 32_768);
    (BLOCK_SAMPLES.ilog2() - 8 + 0b1000) as u64
}

/// Of a sample rate (9.1.2); 0 says that it stands in the file's header only.
const fn rate_code(sample_rate_hz: u32) -> u64 {
    match sample_rate_hz {
        8_000 => 0b0100,
        16_000 => 0b0101,
        32_000 => 0b1000,
        48_000 => 0b1010,
        _ => 0,
    }
}

/// As UTF-8 has it, but up to 36 bits (9.1.5).
fn put_number(number: u64, bits: &mut Bits<'_>) {
    if number < 0x80 {
        return bits.put(number, 8);
    }
    // The first byte has a one for each byte and the bits that are left.
    let more = more_bytes(number);
    let ones = 0xff_u64 << (7 - more) & 0xff;
    bits.put(ones | number >> (6 * more), 8);
    for byte in (0..more).rev() {
        bits.put(0x80 | (number >> (6 * byte) & 0x3f), 8);
    }
}

/// How many bytes with six bits each follow the first one.
const fn more_bytes(number: u64) -> u32 {
    if number < 0x80 { 0 } else { (number.ilog2() - 1) / 5 }
}

/// One channel's block.
fn subframe(plane: &mut [i16], vector: Option<Vector>, bits: &mut Bits<'_>) {
    if let Some(sample) = constant(plane) {
        subframe_header(CONSTANT, 0, bits);
        return put_samples(&[sample], SAMPLE_BITS, bits);
    }
    let vector = vector.filter(|_| plane.len() == BLOCK_SAMPLES);
    let used = vector.map_or_else(|| measure::bits_used(plane), |vector| vector.bits_used(plane));
    let wasted = used.trailing_zeros();
    if wasted > 0 {
        plane.iter_mut().for_each(|sample| *sample >>= wasted);
    }
    let measure = vector.map_or_else(|| measure::measure(plane), |vector| vector.measure(plane));
    let Some(fixed) = plan(&measure, plane.len(), wasted) else {
        subframe_header(VERBATIM, wasted, bits);
        return put_samples(plane, SAMPLE_BITS - wasted, bits);
    };
    subframe_header(FIXED | fixed.order as u64, wasted, bits);
    put_samples(plane.get(..fixed.order).unwrap_or_default(), SAMPLE_BITS - wasted, bits);
    match vector {
        Some(vector) => vector.write(plane, &fixed, bits),
        None => residual::write(plane, &fixed, bits),
    }
}

/// The one value of all samples.
fn constant(plane: &[i16]) -> Option<i16> {
    let first = *plane.first()?;
    let (chunks, rest) = plane.as_chunks::<16>();
    let same = chunks.iter().all(|chunk| *chunk == [first; 16]);
    (same && rest.iter().all(|sample| *sample == first)).then_some(first)
}

/// Type, and how many low bits of every sample are left out because they are zero (9.2.1, 9.2.2).
fn subframe_header(kind: u64, wasted: u32, bits: &mut Bits<'_>) {
    bits.put(kind << 1 | u64::from(wasted > 0), 8);
    if wasted > 0 {
        bits.put(1, wasted);
    }
}

fn put_samples(samples: &[i16], sample_bits: u32, bits: &mut Bits<'_>) {
    let unused = 64 - sample_bits;
    for sample in samples {
        bits.put_aligned(i64::from(*sample).cast_unsigned() << unused, sample_bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_utf8_writes_characters() {
        for number in [0_u64, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x1_0000, 0x10_ffff] {
            let mut buffer = [0; 16];
            let mut bits = Bits::new(&mut buffer);
            put_number(number, &mut bits);
            let expected = char::from_u32(number as u32).unwrap().to_string();
            assert_eq!(bits.finish(), expected.as_bytes(), "{number:#x}");
        }
        for (number, expected) in [
            (0x7fff_ffff, &[0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf][..]),
            (0xf_ffff_ffff, &[0xfe, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]),
        ] {
            let mut buffer = [0; 16];
            let mut bits = Bits::new(&mut buffer);
            put_number(number, &mut bits);
            assert_eq!(bits.finish(), expected);
        }
    }
    #[test]
    fn headers_are_as_long_as_they_say() {
        let places = (0..36).map(|bit| Place::Sample((1 << bit) + 1)).chain([Place::Frame(7_030)]);
        for place in places {
            for samples in [BLOCK_SAMPLES, 1, 500] {
                let header = FrameHeader { channels: 2, sample_rate_hz: 8_000, place, samples };
                let mut buffer = HeaderBuffer::default();
                assert_eq!(header.write(&mut buffer).len(), header.bytes(), "{header:?}");
            }
        }
    }
}
