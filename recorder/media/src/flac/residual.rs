//! What a predictor leaves of a block, in Rice codes (RFC 9639, 9.2.7).

use super::bits::Bits;
use super::plan::{Fixed, PARAMETER_BITS};

/// What a fixed predictor leaves of the sample behind `before` (the last one first); RFC 9639, 9.2.5.
fn left(order: usize, sample: i16, before: [i16; 4]) -> i32 {
    let [a, b, c, d] = before.map(i32::from);
    let sample = i32::from(sample);
    match order {
        0 => sample,
        1 => sample - a,
        2 => sample - 2 * a + b,
        3 => sample - 3 * a + 3 * b - c,
        _ => sample - 4 * a + 6 * b - 4 * c + d,
    }
}

/// Signs to the lowest bit: 0, -1, 1, -2, 2 become 0, 1, 2, 3, 4.
const fn folded(value: i32) -> u32 {
    (value << 1 ^ value >> 31).cast_unsigned()
}

/// Writes the whole coded residual of a block, from the partition order on.
pub(crate) fn write(block: &[i16], fixed: &Fixed, bits: &mut Bits<'_>) {
    head(fixed, bits);
    let partition = (block.len() >> fixed.partition_order).max(1);
    for (number, parameter) in partitions(fixed) {
        let from = (number * partition).max(fixed.order);
        begin(parameter, bits);
        samples(block, from, (number + 1) * partition, (fixed.order, parameter), bits);
    }
}

/// Coding method 0 (parameters of four bits), and the partition order.
pub(crate) fn head(fixed: &Fixed, bits: &mut Bits<'_>) {
    bits.put(fixed.partition_order.into(), 2 + 4);
}

/// Each partition's number and parameter.
pub(crate) fn partitions(fixed: &Fixed) -> impl Iterator<Item = (usize, u32)> {
    let parameters = fixed.parameters.iter().take(1 << fixed.partition_order);
    parameters.map(|parameter| u32::from(*parameter)).enumerate()
}

/// Begins a partition.
pub(crate) fn begin(parameter: u32, bits: &mut Bits<'_>) {
    bits.put(parameter.into(), PARAMETER_BITS);
}

/// Writes what a predictor of an order leaves of the samples `from..until`, with a Rice parameter.
pub(crate) fn samples(
    block: &[i16],
    from: usize,
    until: usize,
    (order, parameter): (usize, u32),
    bits: &mut Bits<'_>,
) {
    let before = |at: usize| at.checked_sub(1).and_then(|at| block.get(at)).copied().unwrap_or(0);
    let mut last = [0, 1, 2, 3].map(|back| before(from.saturating_sub(back)));
    for sample in block.get(from..until).unwrap_or_default() {
        code(folded(left(order, *sample, last)), parameter, bits);
        last = [*sample, last[0], last[1], last[2]];
    }
}

/// Writes one Rice code: the quotient in zeros, a one, the remainder.
fn code(value: u32, parameter: u32, bits: &mut Bits<'_>) {
    let quotient = value >> parameter;
    let remainder = value & ((1 << parameter) - 1);
    let (end, end_bits) = (1 << parameter | remainder, parameter + 1);
    if quotient + end_bits <= 64 {
        bits.put(end.into(), quotient + end_bits);
    } else {
        bits.put_zeros(quotient);
        bits.put(end.into(), end_bits);
    }
}
