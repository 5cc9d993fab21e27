//! G.711 decoding: 256 codes a law, so two tables made at compile time.
//!
//! ITU-T G.711, tables 1a/1b (A-law, 13 bits) and 2a/2b (mu-law, 14 bits), scaled to 16 bits as everyone
//! does: A-law times 8 (up to +-32,256), mu-law times 4 (up to +-32,124). The decoder gives exactly these
//! values, so that its output can be encoded back to the very same bytes.

use base::{Encoding, Format};

/// Which of the two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// PCMA, European.
    A,
    /// PCMU, North American and Japanese.
    Mu,
}

impl Law {
    /// Of an announced format, if it is G.711 at its own rate (RFC 3551, 4.5.14).
    #[must_use]
    pub fn of(format: &Format) -> Option<Self> {
        match format.encoding {
            Encoding::Pcmu if format.clock_rate_hz == 8_000 => Some(Self::Mu),
            Encoding::Pcma if format.clock_rate_hz == 8_000 => Some(Self::A),
            _ => None,
        }
    }

    /// The 16-bit linear value of each code.
    #[must_use]
    pub const fn table(self) -> &'static [i16; 256] {
        match self {
            Self::A => &A_LAW,
            Self::Mu => &MU_LAW,
        }
    }

    /// Decodes `codes` into `samples`, one each, as far as the shorter of both goes.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the table has a place for every byte")]
    pub fn decode_into(self, codes: &[u8], samples: &mut [i16]) {
        let table = self.table();
        for (sample, code) in samples.iter_mut().zip(codes) {
            *sample = table[usize::from(*code)];
        }
    }

    /// The sum of the amplitudes of `codes`: how loud they are together.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the table has a place for every byte")]
    pub fn loudness(self, codes: &[u8]) -> u64 {
        let table = self.table();
        codes.iter().map(|code| u64::from(table[usize::from(*code)].unsigned_abs())).sum()
    }
}

static A_LAW: [i16; 256] = table(Law::A);
static MU_LAW: [i16; 256] = table(Law::Mu);

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn table(law: Law) -> [i16; 256] {
    let mut values = [0; 256];
    let mut code = 0;
    while code < 256 {
        values[code] = match law {
            Law::A => a_law(code as u8),
            Law::Mu => mu_law(code as u8),
        };
        code += 1;
    }
    values
}

/// Even bits are inverted on the line; the sign bit is set for positive values.
const fn a_law(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let (segment, step) = ((bits >> 4) & 7, (bits & 0x0f) as i16);
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

/// All bits are inverted on the line; the sign bit is set for negative values.
const fn mu_law(code: u8) -> i16 {
    let bits = !code;
    let (segment, step) = ((bits >> 4) & 7, (bits & 0x0f) as i16);
    let magnitude = (((step << 3) + 0x84) << segment) - 0x84;
    if bits & 0x80 != 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values by the Recommendation's own construction, in its own units: segments of 16 equal
    /// steps, each segment's steps twice as wide as the last one's, values in the middle of a step.
    fn by_segments(positive_code: u8, law: Law) -> i32 {
        let (segment, step) = (u32::from(positive_code >> 4), i32::from(positive_code & 15));
        match law {
            Law::Mu => {
                let width = 2 << segment;
                let first: i32 = (0..segment).map(|s| 16 * (2 << s)).sum::<i32>() - 1;
                4 * (first + step * width + width / 2)
            }
            Law::A => {
                let width = if segment == 0 { 2 } else { 1 << segment };
                let first = if segment == 0 { 0 } else { 32 << (segment - 1) };
                8 * (first + step * width + width / 2)
            }
        }
    }

    #[test]
    fn all_256_codes_have_their_exact_value() {
        for magnitude in 0..128_u8 {
            let mu = by_segments(magnitude, Law::Mu);
            assert_eq!(i32::from(Law::Mu.table()[usize::from(!magnitude)]), mu, "mu {magnitude}");
            assert_eq!(i32::from(Law::Mu.table()[usize::from(!magnitude & 0x7f)]), -mu);
            let a = by_segments(magnitude, Law::A);
            let code = usize::from((magnitude | 0x80) ^ 0x55);
            assert_eq!(i32::from(Law::A.table()[code]), a, "A {magnitude}");
            assert_eq!(i32::from(Law::A.table()[code ^ 0x80]), -a);
        }
    }

    #[test]
    fn ends_and_silence() {
        assert_eq!((MU_LAW[0x80], MU_LAW[0x00], MU_LAW[0xff], MU_LAW[0x7f]), (32124, -32124, 0, 0));
        assert_eq!((A_LAW[0xaa], A_LAW[0x2a], A_LAW[0xd5], A_LAW[0x55]), (32256, -32256, 8, -8));
        assert!(A_LAW.iter().all(|value| value % 8 == 0));
    }

    #[test]
    fn decoding_stops_at_the_shorter_end() {
        let mut samples = [1; 3];
        Law::A.decode_into(&[0xd5, 0x55], &mut samples);
        assert_eq!(samples, [8, -8, 1]);
        assert_eq!(Law::A.loudness(&[0xd5, 0x55]), 16);
    }
}
