//! From the program's clock to that of the capture.
//!
//! The program stamps packets with `CLOCK_MONOTONIC`: it never steps, so the distances between packets are
//! right whatever happens to the wall clock. (The alternative, `CLOCK_TAI`, steps with the wall clock, and
//! again by 37 s when the time service first sets its offset.) What to add to it is measured by reading both
//! clocks, by whoever may read clocks. The two run at the same rate, which the time service steers, so that the
//! offset changes only when the wall clock is stepped. A capture uses one offset from beginning to end.

use base::Timestamp;

/// Both clocks, read one after the other: monotonic, UTC, monotonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Nanoseconds of `CLOCK_MONOTONIC` before.
    pub before: u64,
    /// UTC (`CLOCK_REALTIME`).
    pub utc: Timestamp,
    /// Nanoseconds of `CLOCK_MONOTONIC` after.
    pub after: u64,
}

/// What to add to a monotonic time to get UTC, as it was at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UtcOffset {
    nanos: i64,
    error: u64,
}

impl UtcOffset {
    /// From the reading that took the least time; the error is at most half of that. `None` without readings.
    #[must_use]
    pub fn measured(readings: &[Reading]) -> Option<Self> {
        let took = |reading: &Reading| reading.after.saturating_sub(reading.before);
        let best = readings.iter().min_by_key(|reading| took(reading))?;
        let half = took(best) / 2;
        let middle = i128::from(best.before) + i128::from(half);
        let nanos = clamped(i128::from(best.utc.as_nanos()) - middle);
        Some(Self { nanos, error: half })
    }

    /// Of so many nanoseconds, exactly.
    #[must_use]
    pub const fn of(nanos: i64) -> Self {
        Self { nanos, error: 0 }
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// By how many nanoseconds it may be wrong.
    #[must_use]
    pub const fn error(self) -> u64 {
        self.error
    }

    /// UTC at a time of the program's clock ([`Meta::time`](super::Meta::time)).
    #[must_use]
    #[inline]
    pub const fn utc(self, monotonic: u64) -> Timestamp {
        Timestamp::from_nanos(monotonic.saturating_add_signed(self.nanos))
    }

    /// By how many nanoseconds UTC was stepped since `earlier` was measured.
    #[must_use]
    pub fn step_since(self, earlier: Self) -> i64 {
        clamped(i128::from(self.nanos) - i128::from(earlier.nanos))
    }
}

fn clamped(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_reading_counts() {
        let utc = |nanos: u64| Timestamp::from_nanos(1_700_000_000_000_000_000 + nanos);
        let disturbed = Reading { before: 1_000, utc: utc(90_000), after: 91_000 };
        let tight = Reading { before: 200_000, utc: utc(200_050), after: 200_100 };
        let offset = UtcOffset::measured(&[disturbed, tight]).unwrap();
        assert_eq!((offset.utc(300_000), offset.error()), (utc(300_000), 50));
        assert_eq!(UtcOffset::of(offset.nanos()).step_since(offset), 0);
        assert_eq!(UtcOffset::measured(&[]), None);
    }

    #[test]
    fn a_step_shows_and_extremes_saturate() {
        let at = |utc| Reading { before: 10, utc: Timestamp::from_nanos(utc), after: 10 };
        let before = UtcOffset::measured(&[at(1_000)]).unwrap();
        let after = UtcOffset::measured(&[at(400)]).unwrap();
        assert_eq!(after.step_since(before), -600);
        let end = UtcOffset::measured(&[at(u64::MAX)]).unwrap();
        assert_eq!((end.nanos(), end.utc(u64::MAX)), (i64::MAX, Timestamp::MAX));
        let wild = Reading { before: u64::MAX, utc: Timestamp::ZERO, after: 0 };
        assert_eq!(UtcOffset::measured(&[wild]).unwrap().utc(5), Timestamp::ZERO);
    }
}
