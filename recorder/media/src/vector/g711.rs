//! G.711 without its tables: both laws are a sum and a shift, and the shift is a multiplication.

use std::arch::x86_64::*;

use zerocopy::transmute;

use crate::g711::Law;

/// Codes in a vector.
const LANES: usize = 16;
/// Two to the power of each segment (mu-law), and to one less (A-law, whose first two are alike).
const MU_FACTORS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0];
const A_FACTORS: [u8; 16] = [1, 1, 2, 4, 8, 16, 32, 64, 0, 0, 0, 0, 0, 0, 0, 0];

#[target_feature(enable = "avx2")]
pub(super) fn decode_into(law: Law, codes: &[u8], samples: &mut [i16]) {
    let vectors = codes.len().min(samples.len()) / LANES;
    let (codes, codes_left) = codes.split_at(vectors * LANES);
    let (samples, samples_left) = samples.split_at_mut(vectors * LANES);
    for (codes, samples) in
        codes.as_chunks::<LANES>().0.iter().zip(samples.as_chunks_mut::<LANES>().0)
    {
        let codes = _mm256_cvtepu8_epi16(transmute!(*codes));
        *samples = match law {
            Law::A => transmute!(a_law(codes)),
            Law::Mu => transmute!(mu_law(codes)),
        };
    }
    law.decode_into(codes_left, samples_left);
}

/// See [`Law`]'s `a_law`.
#[inline]
#[target_feature(enable = "avx2")]
fn a_law(codes: __m256i) -> __m256i {
    let bits = _mm256_xor_si256(codes, _mm256_set1_epi16(0x55));
    let segment = segment(bits);
    let step = _mm256_slli_epi16::<4>(_mm256_and_si256(bits, _mm256_set1_epi16(0x0f)));
    // 8 in segment 0, 0x108 in all others.
    let others = _mm256_cmpgt_epi16(segment, _mm256_setzero_si256());
    let start = _mm256_and_si256(others, _mm256_set1_epi16(0x100));
    let start = _mm256_add_epi16(start, _mm256_set1_epi16(8));
    let magnitude = _mm256_mullo_epi16(_mm256_add_epi16(step, start), look_up(A_FACTORS, segment));
    let sign = _mm256_and_si256(bits, _mm256_set1_epi16(0x80));
    _mm256_sign_epi16(magnitude, _mm256_sub_epi16(sign, _mm256_set1_epi16(0x40)))
}

/// See [`Law`]'s `mu_law`.
#[inline]
#[target_feature(enable = "avx2")]
fn mu_law(codes: __m256i) -> __m256i {
    let bits = _mm256_xor_si256(codes, _mm256_set1_epi16(0xff));
    let step = _mm256_slli_epi16::<3>(_mm256_and_si256(bits, _mm256_set1_epi16(0x0f)));
    let bias = _mm256_set1_epi16(0x84);
    let scaled =
        _mm256_mullo_epi16(_mm256_add_epi16(step, bias), look_up(MU_FACTORS, segment(bits)));
    let sign = _mm256_and_si256(bits, _mm256_set1_epi16(0x80));
    _mm256_sign_epi16(
        _mm256_sub_epi16(scaled, bias),
        _mm256_sub_epi16(_mm256_set1_epi16(0x40), sign),
    )
}

#[inline]
#[target_feature(enable = "avx2")]
fn segment(bits: __m256i) -> __m256i {
    _mm256_and_si256(_mm256_srli_epi16::<4>(bits), _mm256_set1_epi16(7))
}

/// The table's byte for each lane of `indices`.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: [u8; 16], indices: __m256i) -> __m256i {
    let table = _mm256_broadcastsi128_si256(transmute!(table));
    // An index with its highest bit set gives zero, for the upper half of each lane.
    _mm256_shuffle_epi8(table, _mm256_or_si256(indices, _mm256_set1_epi16(i16::MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Vector;

    #[test]
    fn every_code_at_every_place_is_the_tables() {
        let Some(vector) = Vector::detect() else {
            println!("skipped: the processor lacks what `vector` needs");
            return;
        };
        for (law, first) in
            [Law::A, Law::Mu].into_iter().flat_map(|l| (0..=255).map(move |f| (l, f)))
        {
            for length in [0, 1, 15, 16, 17, 160, 300] {
                let codes: Vec<u8> = (0..length).map(|at| (first + at * 7) as u8).collect();
                for room in [0, 5, 16, 33, 160, 301] {
                    let (mut plain, mut own) = (vec![9; room], vec![9; room]);
                    law.decode_into(&codes, &mut plain);
                    vector.decode_into(law, &codes, &mut own);
                    assert_eq!(own, plain, "{law:?}, {length} codes, room for {room}");
                }
            }
        }
    }
}
