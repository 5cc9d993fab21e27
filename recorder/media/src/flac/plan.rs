//! How a block of one channel is to be coded.

use super::measure::Measure;
use super::{BLOCK_SAMPLES, ORDERS, PARTITION_ORDER_MAX, PARTITIONS, SAMPLE_BITS};

/// Bits of a Rice parameter (RFC 9639, 9.2.7.1); 15 of them would mean another coding.
pub(crate) const PARAMETER_BITS: u32 = 4;
const PARAMETER_MAX: u32 = 14;
/// Coding method and partition order (9.2.7).
const RESIDUAL_HEADER_BITS: u64 = 2 + 4;

/// How what a predictor leaves is coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    /// Of the predictor.
    pub(crate) order: usize,
    /// The block is cut into two to this many partitions.
    pub(crate) partition_order: u32,
    /// The Rice parameter of each partition.
    pub(crate) parameters: [u8; PARTITIONS],
}

/// Plans a block of `length` samples with `wasted` unused low bits. `None` if coding does not make it
/// smaller.
pub(crate) fn plan(measure: &Measure, length: usize, wasted: u32) -> Option<Fixed> {
    let fitting = measure.sums.iter().enumerate().take(length.min(ORDERS));
    let fitting = fitting.filter(|(order, _)| measure.fits(*order));
    let (order, sums) = fitting.min_by_key(|(_, sums)| sums.iter().sum::<u32>())?;
    let (fixed, bits) = divide(*sums, length, order);
    let sample_bits = u64::from(SAMPLE_BITS - wasted);
    let warm_up = order as u64 * sample_bits;
    (RESIDUAL_HEADER_BITS + warm_up + bits < length as u64 * sample_bits).then_some(fixed)
}

/// Divides a block into as many partitions as pay, and says what they take.
fn divide(mut sums: [u32; PARTITIONS], length: usize, order: usize) -> (Fixed, u64) {
    // Only the last block is shorter, and is one partition.
    let mut partition_order = PARTITION_ORDER_MAX;
    if length != BLOCK_SAMPLES {
        (0..PARTITION_ORDER_MAX).for_each(|_| join(&mut sums));
        partition_order = 0;
    }
    let mut best: Option<(Fixed, u64)> = None;
    loop {
        let count = 1 << partition_order;
        let (parameters, bits) = parameters(sums.get(..count).unwrap_or_default(), length, order);
        if best.as_ref().is_none_or(|(_, least)| bits <= *least) {
            best = Some((Fixed { order, partition_order, parameters }, bits));
        }
        match best {
            Some(best) if partition_order == 0 => return best,
            _ => (),
        }
        join(&mut sums);
        partition_order -= 1;
    }
}

/// Two partitions become one.
fn join(sums: &mut [u32; PARTITIONS]) {
    let (pairs, _) = sums.as_chunks::<2>();
    let mut joined = [0; PARTITIONS];
    joined.iter_mut().zip(pairs).for_each(|(sum, [a, b])| *sum = a + b);
    *sums = joined;
}

/// The parameter of each of some partitions of one size, and the bits that they take.
fn parameters(sums: &[u32], length: usize, order: usize) -> ([u8; PARTITIONS], u64) {
    let samples = (length / sums.len().max(1)) as u64;
    let (mut parameters, mut total) = ([0; PARTITIONS], 0);
    // The first samples are written as they are.
    let mut less = order as u64;
    for (sum, parameter) in sums.iter().zip(&mut parameters) {
        let (best, bits) = rice(u64::from(*sum), samples - less);
        *parameter = best as u8;
        total += u64::from(PARAMETER_BITS) + bits;
        less = 0;
    }
    (parameters, total)
}

/// The Rice parameter for `samples` whose amplitudes sum up to `sum`, and about how many bits they take.
///
/// A sample takes the bits of the parameter, one more, and one for each time that two to the parameter is
/// in twice its amplitude, which is half a time less than the division says.
fn rice(sum: u64, samples: u64) -> (u32, u64) {
    // The smallest parameter at which the amplitude's mean is at most two to its power.
    let about = sum.checked_ilog2().unwrap_or(0).saturating_sub(samples.max(1).ilog2());
    let parameter = about + u32::from(samples << about < sum);
    let parameter = parameter.min(PARAMETER_MAX);
    let bits = samples * u64::from(parameter + 1) + ((2 * sum) >> parameter);
    (parameter, bits.saturating_sub(samples / 2))
}
