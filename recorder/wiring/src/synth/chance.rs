//! Random numbers without a state: what is drawn depends only on the seed and on what it is drawn for.
//!
//! So any packet of any call can be made alone, in any order and on any thread, and is always the same.

/// What a number is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    Bank = 1,
    Call,
    Caller,
    Callee,
    Codec,
    Start,
    Ringing,
    Answer,
    RoundTrip,
    HangUp,
    Identity,
    Port,
    Phase,
    Sequence,
    RtpTime,
    Ssrc,
    IpId,
    Voice,
    Turn,
    Syllable,
    Noise,
    Loss,
    Reorder,
    Duplicate,
    Jitter,
    Keys,
}

/// A place in the tree of everything that is drawn from one seed; also the 64 bits drawn there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x5350_414e_5245_454c)))
    }

    /// The branch for `topic`.
    #[inline]
    pub(super) const fn on(self, topic: Topic) -> Self {
        Self(mix(self.0 ^ (topic as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The `number`th branch.
    #[inline]
    pub(super) const fn nth(self, number: u64) -> Self {
        Self(mix(self.0.wrapping_add(number.wrapping_mul(0xd1b5_4a32_d192_ed03))))
    }

    /// All 64 bits.
    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Uniform in `0..limit`; 0 if `limit` is 0.
    #[inline]
    pub(super) const fn below(self, limit: u64) -> u64 {
        ((self.0 as u128 * limit as u128) >> 64) as u64
    }

    /// Uniform in `from..until`.
    #[inline]
    pub(super) const fn between(self, from: u64, until: u64) -> u64 {
        from + self.below(until.saturating_sub(from))
    }

    /// True in `percent` of all cases.
    #[inline]
    pub(super) fn happens(self, percent: f64) -> bool {
        (self.0 >> 11) as f64 * (100.0 / (1_u64 << 53) as f64) < percent
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_do_not_follow_each_other() {
        let root = Chance::new(7).on(Topic::Call);
        let mut counts = [0_u32; 10];
        let mut rare = 0;
        for i in 0..100_000 {
            counts[root.nth(i).below(10) as usize] += 1;
            rare += u32::from(root.nth(i).on(Topic::Loss).happens(0.5));
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
        assert!((400..600).contains(&rare), "{rare}");
        assert!(!root.happens(0.0) && root.happens(100.0));
    }
}
