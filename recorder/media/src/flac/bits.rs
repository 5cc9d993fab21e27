//! Bits into bytes, most significant first.

/// Writes into a buffer of fixed size, eight bytes at a time.
///
/// A buffer that is too small is our own error: what does not fit is left out, and [`Bits::finish`] panics.
#[derive(Debug)]
pub(crate) struct Bits<'b> {
    bytes: &'b mut [u8],
    /// Bytes that are complete.
    at: usize,
    /// What follows them, from the highest bit down; zero below.
    pending: u64,
    /// How many bits of it: 0 to 63.
    filled: u32,
}

impl<'b> Bits<'b> {
    pub(crate) fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, at: 0, pending: 0, filled: 0 }
    }

    /// Writes the low `length` bits of `value`, which has no others. 0 to 64.
    #[inline(always)]
    pub(crate) fn put(&mut self, value: u64, length: u32) {
        let aligned = if length == 0 { 0 } else { value << (64 - length) };
        self.put_aligned(aligned, length);
    }

    /// Writes the high `length` bits of `value`, which has no others. 0 to 64.
    #[inline(always)]
    pub(crate) fn put_aligned(&mut self, value: u64, length: u32) {
        let word = self.pending | (value >> self.filled);
        if let Some(place) = self.bytes.get_mut(self.at..).and_then(|b| b.first_chunk_mut()) {
            *place = word.to_be_bytes();
        }
        let filled = self.filled + length;
        // Twice, since a shift by 64 is none.
        let beyond = (value << 1) << (63 - self.filled);
        self.pending = if filled >= 64 { beyond } else { word };
        self.at += (filled / 64 * 8) as usize;
        self.filled = filled % 64;
    }

    /// The same for several in turn.
    #[inline(always)]
    pub(crate) fn put_all<const N: usize>(&mut self, values: [u64; N], lengths: [u64; N]) {
        // What has no place in memory meanwhile is faster.
        let (at, pending, filled) = (self.at, self.pending, self.filled);
        let mut own = Bits { bytes: &mut *self.bytes, at, pending, filled };
        for (value, length) in values.into_iter().zip(lengths) {
            own.put_aligned(value, length as u32);
        }
        let Bits { at, pending, filled, .. } = own;
        (self.at, self.pending, self.filled) = (at, pending, filled);
    }

    /// Writes `length` zeros.
    pub(crate) fn put_zeros(&mut self, mut length: u32) {
        while length > 64 {
            self.put_aligned(0, 64);
            length -= 64;
        }
        self.put_aligned(0, length);
    }

    /// Writes zeros up to the next whole byte.
    pub(crate) fn fill_byte(&mut self) {
        self.put_aligned(0, self.filled.wrapping_neg() % 8);
    }

    /// What was written; whole bytes only.
    pub(crate) fn finish(mut self) -> &'b [u8] {
        assert!(self.filled.is_multiple_of(8), "a frame consists of bytes");
        let length = self.at + (self.filled / 8) as usize;
        assert!(length + 8 <= self.bytes.len(), "the buffer has room for every frame");
        self.put_aligned(0, 0);
        self.bytes.get(..length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_out_as_they_went_in(
            parts in prop::collection::vec((any::<u64>(), 0..=64_u32), 0..200),
            last: u64,
        ) {
            let mut expected = Vec::new();
            let mut buffer = vec![0xff; 2_000];
            let mut bits = Bits::new(&mut buffer);
            for (value, length) in parts {
                let value = if length == 0 { 0 } else { value >> (64 - length) };
                bits.put(value, length);
                expected.extend((0..length).rev().map(|bit| value >> bit & 1));
            }
            bits.put_zeros(137);
            expected.extend([0; 137]);
            bits.fill_byte();
            expected.resize(expected.len().next_multiple_of(8), 0);
            bits.put(last, 64);
            expected.extend((0..64).rev().map(|bit| last >> bit & 1));
            let bytes = bits.finish();
            let written: Vec<u64> =
                bytes.iter().flat_map(|b| (0..8).rev().map(move |bit| u64::from(b >> bit & 1))).collect();
            prop_assert_eq!(written, expected);
        }
    }

    #[test]
    #[should_panic(expected = "room")]
    fn a_buffer_that_is_too_small_is_noticed() {
        let mut buffer = [0; 20];
        let mut bits = Bits::new(&mut buffer);
        bits.put_zeros(160);
        bits.finish();
    }
}
