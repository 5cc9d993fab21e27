//! Points in time on the capture clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nanoseconds since the Unix epoch on the capture clock (UTC, no leap seconds).
///
/// Arithmetic saturates: a hostile capture may carry any 64-bit time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself; also "no time known".
    pub const ZERO: Self = Self(0);
    /// Later than any packet.
    pub const MAX: Self = Self(u64::MAX);

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How much later than `earlier` this is; zero if it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Signed nanoseconds from `other` to this, saturating at the ends of `i64`.
    #[must_use]
    pub fn signed_nanos_since(self, other: Self) -> i64 {
        let difference = i128::from(self.0) - i128::from(other.0);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    /// This much later, saturating.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// So many nanoseconds later, or earlier, saturating; [`Timestamp::MAX`] stays that.
    #[must_use]
    pub const fn moved(self, nanos: i64) -> Self {
        if self.0 == u64::MAX { self } else { Self(self.0.saturating_add_signed(nanos)) }
    }

    /// This much earlier, saturating.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }
}

const fn nanos(span: Duration) -> u64 {
    let nanos = span.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// RFC 3339 in UTC with microseconds: `2026-11-23T10:15:30.123456Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse()?;
        let nanos = time.as_nanosecond();
        let end = if nanos < 0 { Self::ZERO } else { Self::MAX };
        Ok(u64::try_from(nanos).map_or(end, Self))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339_with_microseconds() {
        let time = Timestamp::from_nanos(1_480_171_979_666_393_999);
        assert_eq!(time.to_string(), "2016-11-26T14:52:59.666393Z");
        assert_eq!(Timestamp::ZERO.to_string(), "1970-01-01T00:00:00.000000Z");
        let parsed: Timestamp = "2016-11-26T14:52:59.666393Z".parse().unwrap();
        assert_eq!(parsed, Timestamp::from_nanos(1_480_171_979_666_393_000));
    }

    #[test]
    fn a_time_out_of_range_is_the_nearest_that_can_be_said() {
        let parsed = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(parsed("1969-12-31T23:59:59Z"), Timestamp::ZERO);
        assert_eq!(parsed("9000-01-01T00:00:00Z"), Timestamp::MAX);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.minus(Duration::from_secs(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::from_nanos(7).moved(-5), Timestamp::from_nanos(2));
        assert_eq!(Timestamp::from_nanos(7).moved(-9), Timestamp::ZERO);
        assert_eq!(Timestamp::MAX.moved(-9), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.signed_nanos_since(Timestamp::ZERO), i64::MAX);
        assert_eq!(Timestamp::ZERO.signed_nanos_since(Timestamp::from_nanos(5)), -5);
    }
}
