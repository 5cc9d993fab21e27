//! What the encoder's sums gain from AVX-512: twice as many samples at a time, and registers for all five orders.

use std::arch::x86_64::*;

use zerocopy::transmute;

use crate::flac::measure::{CUT, Measure};
use crate::flac::{BLOCK_SAMPLES, ORDERS, PARTITION_SAMPLES, PARTITIONS};

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
