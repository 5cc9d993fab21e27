//! G.711 (ITU-T G.711, 1988), both laws, both directions, by table.
//!
//! The encoder takes 16-bit linear samples. What [`Law::decode`] makes of the code words is the truth that
//! recordings are compared with: it is written here once more, apart from the decoder under test.

use serde::{Deserialize, Serialize};

/// Which companding law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Law {
    /// Mu-law, payload type 0.
    #[serde(rename = "PCMU")]
    Mu,
    /// A-law, payload type 8.
    #[serde(rename = "PCMA")]
    A,
}

/// Code words by the upper 14 bits of a sample (mu-law resolves no finer).
static MU_ENCODE: [u8; 1 << 14] = encode_table::<{ 1 << 14 }>(Law::Mu);
/// Code words by the upper 13 bits of a sample.
static A_ENCODE: [u8; 1 << 13] = encode_table::<{ 1 << 13 }>(Law::A);
static MU_DECODE: [i16; 256] = decode_table(Law::Mu);
static A_DECODE: [i16; 256] = decode_table(Law::A);

impl Law {
    /// RFC 3551, table 4.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The encoding's name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// One 16-bit linear sample to a code word.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the tables cover every 16-bit sample")]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => MU_ENCODE[(i32::from(sample) >> 2) as usize & 0x3fff],
            Self::A => A_ENCODE[(i32::from(sample) >> 3) as usize & 0x1fff],
        }
    }

    /// One code word to a 16-bit linear sample.
    #[must_use]
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the tables have a place for every byte")]
    pub fn decode(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU_DECODE[code as usize],
            Self::A => A_DECODE[code as usize],
        }
    }
}

/// Indexed by the sample's upper bits as an unsigned number: the negative half comes second.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn encode_table<const N: usize>(law: Law) -> [u8; N] {
    let mut table = [0; N];
    let mut index = 0;
    while index < N {
        let signed = if index < N / 2 { index as i32 } else { index as i32 - N as i32 };
        table[index] = match law {
            Law::Mu => mu_encode(signed),
            Law::A => a_encode(signed),
        };
        index += 1;
    }
    table
}

/// `sample` has 14 bits. Segment ends after the bias of 33 are powers of two from 64 on.
const fn mu_encode(sample: i32) -> u8 {
    let (mask, magnitude) = if sample < 0 { (0x7f, -sample) } else { (0xff, sample) };
    let biased = if magnitude > 8_158 { 8_158 + 33 } else { magnitude + 33 };
    let segment = 26 - biased.leading_zeros() as i32;
    let step = (biased >> (segment + 1)) & 0xf;
    ((segment << 4 | step) ^ mask) as u8
}

/// `sample` has 13 bits; even bits of the code word are inverted (G.711, table 1a, note 2).
const fn a_encode(sample: i32) -> u8 {
    let (mask, magnitude) = if sample < 0 { (0x55, -sample - 1) } else { (0xd5, sample) };
    let segment = if magnitude < 32 { 0 } else { 27 - magnitude.leading_zeros() as i32 };
    let shift = if segment < 2 { 1 } else { segment };
    ((segment << 4 | ((magnitude >> shift) & 0xf)) ^ mask) as u8
}

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn decode_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_decode(code as u8),
            Law::A => a_decode(code as u8),
        };
        code += 1;
    }
    table
}

const fn mu_decode(code: u8) -> i16 {
    let code = !code;
    let magnitude = (((((code & 0x0f) as i32) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84;
    (if code & 0x80 == 0 { magnitude } else { -magnitude }) as i16
}

const fn a_decode(code: u8) -> i16 {
    let code = code ^ 0x55;
    let step = ((code & 0x0f) as i32) << 4;
    let magnitude = match (code & 0x70) >> 4 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    (if code & 0x80 == 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output is the middle of its interval, so none is further off than half the step beside it, but
    /// for the lowest bits that the law cuts off and the samples beyond the last output.
    #[test]
    fn every_sample_gets_its_interval() {
        for (law, cut, largest) in [(Law::Mu, 3, 32_124), (Law::A, 7, 32_256)] {
            let mut outputs: Vec<i32> = (0..=255).map(|code| law.decode(code).into()).collect();
            outputs.sort_unstable();
            for sample in (-largest..=largest).map(|sample| sample as i16) {
                let output = i32::from(law.decode(law.encode(sample)));
                let at = outputs.partition_point(|other| *other < output).clamp(1, 254);
                let step = (outputs[at + 1] - output).max(output - outputs[at - 1]);
                let error = (output - i32::from(sample)).abs();
                assert!(error <= step / 2 + cut, "{law:?} {sample}: {output}, step {step}");
            }
        }
    }

    #[test]
    fn what_is_decoded_encodes_to_itself() {
        for code in 0..=255_u8 {
            assert_eq!(Law::A.encode(Law::A.decode(code)), code);
            let minus_zero = code == 0x7f;
            let expected = if minus_zero { 0xff } else { code };
            assert_eq!(Law::Mu.encode(Law::Mu.decode(code)), expected);
        }
    }

    /// ITU-T G.711, tables 1a to 2b: largest values and the idle words.
    #[test]
    fn known_words() {
        assert_eq!(
            (Law::Mu.decode(0x80), Law::Mu.decode(0x00), Law::Mu.decode(0xff)),
            (32_124, -32_124, 0)
        );
        assert_eq!(
            (Law::A.decode(0xaa), Law::A.decode(0x2a), Law::A.decode(0xd5)),
            (32_256, -32_256, 8)
        );
    }
}
