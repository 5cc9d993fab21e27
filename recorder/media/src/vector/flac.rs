//! The encoder's share: sums, Rice codes, the frame's checksum.

use std::arch::x86_64::*;

use zerocopy::transmute;

use crate::flac::bits::Bits;
use crate::flac::measure::{CUT, Measure};
use crate::flac::plan::Fixed;
use crate::flac::{BLOCK_SAMPLES, ORDERS, PARTITION_SAMPLES, PARTITIONS, crc, residual};

/// Samples in a vector.
const LANES: usize = 16;

/// The samples `at - back..` of a block; `at` is a whole number of vectors above zero, `back` at most 4.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn load(block: &[i16; BLOCK_SAMPLES], at: usize, back: usize) -> __m256i {
    let chunk = block.get(at - back..).and_then(|samples| samples.first_chunk::<LANES>());
    transmute!(*chunk.unwrap_or(&[0; LANES]))
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
pub(super) fn bits_used(block: &[i16]) -> u16 {
    block.iter().fold(0, |any, sample| any | sample.cast_unsigned())
}

/// The differences of order 0 to 4 of a vector's samples, given those and the four before each.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn differences(samples: [__m256i; ORDERS]) -> [__m256i; ORDERS] {
    let [a, b, c, d, e] = samples;
    let minus = |x, y| _mm256_subs_epi16(x, y);
    let [ab, bc, cd, de] = [minus(a, b), minus(b, c), minus(c, d), minus(d, e)];
    let [abc, bcd, cde] = [minus(ab, bc), minus(bc, cd), minus(cd, de)];
    let [abcd, bcde] = [minus(abc, bcd), minus(bcd, cde)];
    [a, ab, abc, abcd, minus(abcd, bcde)]
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
pub(super) fn measure(block: &[i16]) -> Measure {
    let mut measure = Measure::default();
    let Some(block) = block.first_chunk::<BLOCK_SAMPLES>() else { return measure };
    let mut cut = _mm256_setzero_si256();
    for partition in 0..PARTITIONS {
        let from = partition * PARTITION_SAMPLES;
        let partition_sums = measure_partition(block, from, &mut cut);
        for (sums, own) in measure.sums.iter_mut().zip(partition_sums) {
            let lanes: [u32; 8] = transmute!(own);
            sums.iter_mut().skip(partition).take(1).for_each(|sum| *sum = lanes.iter().sum());
        }
    }
    let lanes: [u16; LANES] = transmute!(cut);
    measure.cut = lanes.into_iter().fold(0, |any, lane| any | lane) as u8;
    measure
}

/// For each order the sums of the amplitudes of a partition in lanes of 32 bits. Where one is
/// [`CUT`], its order's bit is set in `cut`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn measure_partition(
    block: &[i16; BLOCK_SAMPLES],
    from: usize,
    cut: &mut __m256i,
) -> [__m256i; ORDERS] {
    let mut sums = [_mm256_setzero_si256(); ORDERS];
    for at in (from..from + PARTITION_SAMPLES).step_by(LANES) {
        let differences = match at {
            0 => first_differences(block),
            _ => differences([0, 1, 2, 3, 4].map(|back| load(block, at, back))),
        };
        for (order, (sum, difference)) in sums.iter_mut().zip(differences).enumerate() {
            let negative = _mm256_subs_epi16(_mm256_setzero_si256(), difference);
            let amplitude = _mm256_max_epi16(difference, negative);
            // Multiplied by one, neighbours are added up in 32 bits.
            let pairs = _mm256_madd_epi16(amplitude, _mm256_set1_epi16(1));
            *sum = _mm256_add_epi32(*sum, pairs);
            let is_cut = _mm256_cmpeq_epi16(amplitude, _mm256_set1_epi16(CUT as i16));
            *cut = _mm256_or_si256(*cut, _mm256_and_si256(is_cut, _mm256_set1_epi16(1 << order)));
        }
    }
    sums
}

/// Of the first vector, without the samples that have too few before them.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn first_differences(block: &[i16; BLOCK_SAMPLES]) -> [__m256i; ORDERS] {
    let from = |lane: usize| {
        let mut lanes = [0_i16; LANES];
        lanes.iter_mut().skip(lane).zip(block).for_each(|(to, sample)| *to = *sample);
        transmute!(lanes)
    };
    let mut differences = differences([0, 1, 2, 3, 4].map(from));
    for (order, difference) in differences.iter_mut().enumerate() {
        let mut counted = [-1_i16; LANES];
        counted.iter_mut().take(order).for_each(|lane| *lane = 0);
        *difference = _mm256_and_si256(*difference, transmute!(counted));
    }
    differences
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
pub(super) fn write(block: &[i16], fixed: &Fixed, bits: &mut Bits<'_>) {
    let Some(block) = block.first_chunk::<BLOCK_SAMPLES>() else { return };
    match fixed.order {
        0 => write_order::<0>(block, fixed, bits),
        1 => write_order::<1>(block, fixed, bits),
        2 => write_order::<2>(block, fixed, bits),
        3 => write_order::<3>(block, fixed, bits),
        _ => write_order::<4>(block, fixed, bits),
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn write_order<const ORDER: usize>(
    block: &[i16; BLOCK_SAMPLES],
    fixed: &Fixed,
    bits: &mut Bits<'_>,
) {
    residual::head(fixed, bits);
    let length = BLOCK_SAMPLES >> fixed.partition_order;
    for (number, parameter) in residual::partitions(fixed) {
        residual::begin(parameter, bits);
        let mut from = number * length;
        let until = from + length;
        if from == 0 {
            // Its samples have none before them to load.
            residual::samples(block, ORDER, LANES, (ORDER, parameter), bits);
            from = LANES;
        }
        let codes = Codes::new(parameter);
        for at in (from..until).step_by(LANES) {
            if !codes.put(left::<ORDER>(block, at), bits) {
                residual::samples(block, at, at + LANES, (ORDER, parameter), bits);
            }
        }
    }
}

/// What a predictor leaves of 16 samples.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn left<const ORDER: usize>(block: &[i16; BLOCK_SAMPLES], at: usize) -> __m256i {
    let [d0, d1, d2, d3, d4] = differences([0, 1, 2, 3, 4].map(|back| load(block, at, back)));
    match ORDER {
        0 => d0,
        1 => d1,
        2 => d2,
        3 => d3,
        _ => d4,
    }
}

/// Makes Rice codes with one parameter.
struct Codes {
    shift: __m128i,
    /// The one that ends the quotient, above the remainder.
    end: __m256i,
    /// The bits of the remainder.
    mask: __m256i,
    /// Bits of a code beside its quotient.
    fixed_bits: __m256i,
    /// Beyond this many bits, a code is not put together in a vector.
    longest: __m256i,
}

impl Codes {
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn new(parameter: u32) -> Self {
        let parameter = parameter as i16;
        Self {
            shift: _mm_cvtsi32_si128(parameter.into()),
            end: _mm256_set1_epi16(1 << parameter),
            mask: _mm256_set1_epi16((1 << parameter) - 1),
            fixed_bits: _mm256_set1_epi16(parameter + 1),
            longest: _mm256_set1_epi16(31 - parameter),
        }
    }

    /// Writes the codes of 16 values. False, and nothing is written, if one is too long.
    ///
    /// A code is a number of at most 15 bits with zeros before it: two fit 32 bits, and four 64, if the
    /// zeros between them are few. Those before the first count only in the length.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn put(&self, values: __m256i, bits: &mut Bits<'_>) -> bool {
        let doubled = _mm256_add_epi16(values, values);
        let folded = _mm256_xor_si256(doubled, _mm256_srai_epi16::<15>(values));
        let quotient = _mm256_srl_epi16(folded, self.shift);
        let length = _mm256_adds_epu16(quotient, self.fixed_bits);
        let code = _mm256_or_si256(_mm256_and_si256(folded, self.mask), self.end);
        // Neighbours: the first is in the low half.
        let low = _mm256_set1_epi32(0xffff);
        let later = _mm256_srli_epi32::<16>(code);
        let later_length = _mm256_srli_epi32::<16>(length);
        let earlier = _mm256_sllv_epi32(_mm256_and_si256(code, low), later_length);
        let pair = _mm256_or_si256(earlier, later);
        let pair_length = _mm256_add_epi32(_mm256_and_si256(length, low), later_length);
        // Neighbours of those.
        let low = _mm256_set1_epi64x(0xffff_ffff);
        let later = _mm256_srli_epi64::<32>(pair);
        let later_length = _mm256_srli_epi64::<32>(pair_length);
        let earlier = _mm256_sllv_epi64(_mm256_and_si256(pair, low), later_length);
        let four = _mm256_or_si256(earlier, later);
        let four_length = _mm256_add_epi64(_mm256_and_si256(pair_length, low), later_length);
        let word = _mm256_set1_epi64x(64);
        let too_long = _mm256_or_si256(
            _mm256_subs_epu16(length, self.longest),
            _mm256_subs_epu16(four_length, word),
        );
        if _mm256_testz_si256(too_long, too_long) == 0 {
            return false;
        }
        let aligned = _mm256_sllv_epi64(four, _mm256_sub_epi64(word, four_length));
        let aligned: [u64; 4] = transmute!(aligned);
        let lengths: [u64; 4] = transmute!(four_length);
        bits.put_all(aligned, lengths);
        true
    }
}

/// By multiplication without carries, 16 bytes at a time: what is above them is x to the power 128 (and, for
/// its upper half, 192) times as much, which modulo the polynomial is a number of 16 bits.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,pclmulqdq")]
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    const LOW: i64 = crc::times_x(1, 128) as i64;
    const HIGH: i64 = crc::times_x(1, 192) as i64;
    let (chunks, rest) = bytes.as_chunks::<16>();
    let Some((first, chunks)) = chunks.split_first() else { return crc::crc16(0, rest) };
    let load = |chunk: &[u8; 16]| {
        let value = u128::from_be_bytes(*chunk);
        _mm_set_epi64x((value >> 64) as i64, value as i64)
    };
    let powers = _mm_set_epi64x(HIGH, LOW);
    let sum = chunks.iter().fold(load(first), |sum, chunk| {
        let low = _mm_clmulepi64_si128::<0x00>(sum, powers);
        let high = _mm_clmulepi64_si128::<0x11>(sum, powers);
        _mm_xor_si128(_mm_xor_si128(low, high), load(chunk))
    });
    let sum: u128 = transmute!(sum);
    crc::crc16(crc::crc16(0, &sum.to_be_bytes()), rest)
}
