//! From the program's clock to UTC.
//!
//! The program stamps packets with `CLOCK_MONOTONIC`: it never steps, so the distances between packets are
//! right whatever happens to the wall clock. (The alternative, `CLOCK_TAI`, steps with the wall clock, and
//! again by 37 s when the time service first sets its offset.) What to add to get UTC is measured by reading
//! both clocks, by whoever may read clocks, again every second or so: the two run at the same rate, which the
//! time service steers, so that the offset changes only when UTC is stepped.

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

/// What to add to a monotonic time to get UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UtcOffset {
    nanos: i128,
}

impl UtcOffset {
    /// From the reading that took the least time; the error is at most half of that. `None` without readings.
    #[must_use]
    pub fn measured(readings: &[Reading]) -> Option<Self> {
        let best =
            readings.iter().min_by_key(|reading| reading.after.saturating_sub(reading.before))?;
        let middle = best.before + best.after.saturating_sub(best.before) / 2;
        Some(Self { nanos: i128::from(best.utc.as_nanos()) - i128::from(middle) })
    }

    /// UTC at a time of the program's clock ([`Meta::time`](super::Meta::time)).
    #[must_use]
    #[inline]
    pub fn utc(self, monotonic: u64) -> Timestamp {
        let utc = i128::from(monotonic) + self.nanos;
        Timestamp::from_nanos(u64::try_from(utc.max(0)).unwrap_or(u64::MAX))
    }

    /// By how many nanoseconds UTC was stepped since `earlier` was measured.
    #[must_use]
    pub fn step_since(self, earlier: Self) -> i64 {
        let step = self.nanos - earlier.nanos;
        i64::try_from(step).unwrap_or(if step < 0 { i64::MIN } else { i64::MAX })
    }
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
        assert_eq!(offset.utc(300_000), utc(300_000));
        assert_eq!(UtcOffset::measured(&[]), None);
    }

    #[test]
    fn a_step_shows_and_extremes_saturate() {
        let at = |utc| Reading { before: 10, utc: Timestamp::from_nanos(utc), after: 10 };
        let before = UtcOffset::measured(&[at(1_000)]).unwrap();
        let after = UtcOffset::measured(&[at(400)]).unwrap();
        assert_eq!(after.step_since(before), -600);
        let end = UtcOffset::measured(&[at(u64::MAX)]).unwrap();
        assert_eq!(end.utc(u64::MAX), Timestamp::MAX);
        let wild = Reading { before: u64::MAX, utc: Timestamp::ZERO, after: 0 };
        assert_eq!(UtcOffset::measured(&[wild]).unwrap().utc(5), Timestamp::ZERO);
    }
}
