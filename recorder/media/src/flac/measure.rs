//! What the predictors would leave of a block: the sums from which its coding is planned.

use super::{BLOCK_SAMPLES, ORDERS, PARTITION_SAMPLES, PARTITIONS};

/// An amplitude that differences may have been cut down to.
pub(crate) const CUT: u16 = i16::MAX as u16;

/// Amplitudes of what each predictor leaves of a block.
///
/// Differences are taken in sixteen bits and cut off at their ends. Telephone audio never gets there; where
/// other audio does, `cut` tells that it may have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// For each order the sum over each stretch of [`PARTITION_SAMPLES`].
    pub(crate) sums: [[u32; PARTITIONS]; ORDERS],
    /// For each order a bit, the lowest for order 0: an amplitude is [`CUT`].
    pub(crate) cut: u8,
}

/// Every bit that is set in some sample.
pub(crate) fn bits_used(block: &[i16]) -> u16 {
    block.iter().fold(0, |any, sample| any | sample.cast_unsigned())
}

/// Takes the sums of a block of at most [`BLOCK_SAMPLES`].
pub(crate) fn measure(block: &[i16]) -> Measure {
    assert!(block.len() <= BLOCK_SAMPLES, "one block at a time");
    let mut measure = Measure::default();
    let mut before = [0_i16; ORDERS];
    for (at, sample) in block.iter().enumerate() {
        let differences = differences(*sample, &before);
        before = differences;
        // The first samples have nothing before them that they could be predicted from.
        let predicted = at.saturating_add(1).min(ORDERS);
        let orders = measure.sums.iter_mut().zip(differences).enumerate();
        for (order, (sums, difference)) in orders.take(predicted) {
            let amplitude = difference.max(0_i16.saturating_sub(difference)).cast_unsigned();
            sums.iter_mut()
                .skip(at / PARTITION_SAMPLES)
                .take(1)
                .for_each(|s| *s += u32::from(amplitude));
            measure.cut |= u8::from(amplitude == CUT) << order;
        }
    }
    measure
}

/// The differences of order 0 to 4 at a sample, given those at the sample before.
fn differences(sample: i16, before: &[i16; ORDERS]) -> [i16; ORDERS] {
    let mut next = sample;
    before.map(|before| {
        let own = next;
        next = own.saturating_sub(before);
        own
    })
}

impl Measure {
    /// Whether sixteen bits hold all that a predictor of `order` leaves. They do hold the samples.
    pub(crate) fn fits(&self, order: usize) -> bool {
        order == 0 || self.cut & ((2 << order) - 1) == 0
    }
}
