//! What the encoder gains from AVX-512: twice as many samples at a time, registers for all five orders, and Rice codes
//! put together to eight a word.

use std::arch::x86_64::*;

use zerocopy::transmute;

use crate::flac::bits::Bits;
use crate::flac::measure::{CUT, Measure};
use crate::flac::plan::Fixed;
use crate::flac::{BLOCK_SAMPLES, ORDERS, PARTITION_SAMPLES, PARTITIONS, residual};

/// A code takes the bits of the parameter and mostly one or two more.
const SHORT_PARAMETER_MAX: i16 = 4;

/// Samples in a vector.
const LANES: usize = 32;

/// The samples `at - back..` of a block; `at` is a whole number of vectors above zero, `back` at most 4.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(block: &[i16; BLOCK_SAMPLES], at: usize, back: usize) -> __m512i {
    let chunk = block.get(at - back..).and_then(|samples| samples.first_chunk::<LANES>());
    transmute!(*chunk.unwrap_or(&[0; LANES]))
}

/// The differences of order 0 to 4 of a vector's samples, given those and the four before each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn differences(samples: [__m512i; ORDERS]) -> [__m512i; ORDERS] {
    let [a, b, c, d, e] = samples;
    let minus = |x, y| _mm512_subs_epi16(x, y);
    let [ab, bc, cd, de] = [minus(a, b), minus(b, c), minus(c, d), minus(d, e)];
    let [abc, bcd, cde] = [minus(ab, bc), minus(bc, cd), minus(cd, de)];
    let [abcd, bcde] = [minus(abc, bcd), minus(bcd, cde)];
    [a, ab, abc, abcd, minus(abcd, bcde)]
}

/// Of the first vector, without the samples that have too few before them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn first_differences(block: &[i16; BLOCK_SAMPLES]) -> [__m512i; ORDERS] {
    let from = |lane: usize| {
        let mut lanes = [0_i16; LANES];
        lanes.iter_mut().skip(lane).zip(block).for_each(|(to, sample)| *to = *sample);
        transmute!(lanes)
    };
    let mut differences = differences([0, 1, 2, 3, 4].map(from));
    for (order, difference) in differences.iter_mut().enumerate() {
        *difference = _mm512_maskz_mov_epi16(u32::MAX << order, *difference);
    }
    differences
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn measure(block: &[i16]) -> Measure {
    let mut measure = Measure::default();
    let Some(block) = block.first_chunk::<BLOCK_SAMPLES>() else { return measure };
    let most = _mm512_set1_epi16(CUT as i16);
    let mut cut = [0; ORDERS];
    for partition in 0..PARTITIONS {
        let from = partition * PARTITION_SAMPLES;
        let mut sums = [_mm512_setzero_si512(); ORDERS];
        for at in (from..from + PARTITION_SAMPLES).step_by(LANES) {
            let differences = match at {
                0 => first_differences(block),
                _ => differences([0, 1, 2, 3, 4].map(|back| load(block, at, back))),
            };
            for ((sum, cut), difference) in sums.iter_mut().zip(&mut cut).zip(differences) {
                let amplitude = _mm512_min_epu16(_mm512_abs_epi16(difference), most);
                *cut |= _mm512_cmpeq_epi16_mask(amplitude, most);
                // Multiplied by one, neighbours are added up in 32 bits.
                let pairs = _mm512_madd_epi16(amplitude, _mm512_set1_epi16(1));
                *sum = _mm512_add_epi32(*sum, pairs);
            }
        }
        for (sums, own) in measure.sums.iter_mut().zip(sums) {
            let sum = _mm512_reduce_add_epi32(own).cast_unsigned();
            sums.iter_mut().skip(partition).take(1).for_each(|place| *place = sum);
        }
    }
    let bits = cut.iter().enumerate().map(|(order, any)| u8::from(*any != 0) << order);
    measure.cut = bits.fold(0, |all, bit| all | bit);
    measure
}

#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
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

#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
fn write_order<const ORDER: usize>(
    block: &[i16; BLOCK_SAMPLES],
    fixed: &Fixed,
    bits: &mut Bits<'_>,
) {
    residual::head(fixed, bits);
    let length = BLOCK_SAMPLES >> fixed.partition_order;
    for (number, parameter) in residual::partitions(fixed) {
        residual::begin(parameter, bits);
        let codes = Codes::new(parameter);
        for at in (number * length..(number + 1) * length).step_by(LANES) {
            let (values, counted) = match at {
                // The first samples were written as they are.
                0 => (left::<ORDER>(first_differences(block)), u32::MAX << ORDER),
                _ => {
                    let samples = [0, 1, 2, 3, 4].map(|back| load(block, at, back));
                    (left::<ORDER>(differences(samples)), u32::MAX)
                }
            };
            if !codes.put::<ORDER>(values, counted, bits) {
                residual::samples(block, at.max(ORDER), at + LANES, (ORDER, parameter), bits);
            }
        }
    }
}

/// What the predictor of an order leaves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn left<const ORDER: usize>(differences: [__m512i; ORDERS]) -> __m512i {
    let [d0, d1, d2, d3, d4] = differences;
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
    end: __m512i,
    /// The bits of the remainder.
    mask: __m512i,
    /// Bits of a code beside its quotient.
    fixed_bits: __m512i,
    /// Beyond this many bits, a code is not put together in a vector.
    longest: __m512i,
    /// Eight codes are likely to fit 64 bits.
    short: bool,
}

impl Codes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
    fn new(parameter: u32) -> Self {
        let parameter = parameter as i16;
        Self {
            shift: _mm_cvtsi32_si128(parameter.into()),
            end: _mm512_set1_epi16(1 << parameter),
            mask: _mm512_set1_epi16((1 << parameter) - 1),
            fixed_bits: _mm512_set1_epi16(parameter + 1),
            longest: _mm512_set1_epi16(31 - parameter),
            short: parameter <= SHORT_PARAMETER_MAX,
        }
    }

    /// Writes the codes of those of 32 values whose bit is set in `counted`. False, and nothing is written, if one is
    /// too long.
    ///
    /// As its namesake for 16 values puts four codes together in 64 bits; and eight of them if they all fit.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
    fn put<const ORDER: usize>(&self, values: __m512i, counted: u32, bits: &mut Bits<'_>) -> bool {
        let doubled = _mm512_add_epi16(values, values);
        let folded = _mm512_xor_si512(doubled, _mm512_srai_epi16::<15>(values));
        let quotient = _mm512_srl_epi16(folded, self.shift);
        let length = _mm512_maskz_adds_epu16(counted, quotient, self.fixed_bits);
        let code = _mm512_or_si512(_mm512_and_si512(folded, self.mask), self.end);
        let code = _mm512_maskz_mov_epi16(counted, code);
        let too_long = _mm512_cmpgt_epu16_mask(length, self.longest);
        // Neighbours: the first is in the low half.
        let low = _mm512_set1_epi32(0xffff);
        let later_length = _mm512_srli_epi32::<16>(length);
        let earlier = _mm512_sllv_epi32(_mm512_and_si512(code, low), later_length);
        let pair = _mm512_or_si512(earlier, _mm512_srli_epi32::<16>(code));
        let pair_length = _mm512_add_epi32(_mm512_and_si512(length, low), later_length);
        // Neighbours of those.
        let low = _mm512_set1_epi64(0xffff_ffff);
        let later_length = _mm512_srli_epi64::<32>(pair_length);
        let earlier = _mm512_sllv_epi64(_mm512_and_si512(pair, low), later_length);
        let four = _mm512_or_si512(earlier, _mm512_srli_epi64::<32>(pair));
        let four_length = _mm512_add_epi64(_mm512_and_si512(pair_length, low), later_length);
        let word = _mm512_set1_epi64(64);
        if too_long | u32::from(_mm512_cmpgt_epu64_mask(four_length, word)) != 0 {
            return false;
        }
        if !self.short {
            let [a, b] = words(four, four_length);
            bits.put_all(a, b);
            return true;
        }
        // And of those: the first of two in the upper word of each pair.
        let (earlier, earlier_length) =
            (_mm512_bslli_epi128::<8>(four), _mm512_bslli_epi128::<8>(four_length));
        let eight = _mm512_or_si512(_mm512_sllv_epi64(earlier, four_length), four);
        let eight_length = _mm512_add_epi64(earlier_length, four_length);
        if _mm512_cmpgt_epu64_mask(eight_length, word) == 0 {
            let [[_, a, _, b, _, c, _, d], [_, e, _, f, _, g, _, h]] = words(eight, eight_length);
            bits.put_all([a, b, c, d], [e, f, g, h]);
        } else {
            let [a, b] = words(four, four_length);
            bits.put_all(a, b);
        }
        true
    }
}

/// Numbers of `lengths` bits, moved up to the highest bits of their words; and these lengths.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
fn words(numbers: __m512i, lengths: __m512i) -> [[u64; 8]; 2] {
    let aligned = _mm512_sllv_epi64(numbers, _mm512_sub_epi64(_mm512_set1_epi64(64), lengths));
    [transmute!(aligned), transmute!(lengths)]
}
