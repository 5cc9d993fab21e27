//! Plays a capture at the pace at which it was captured. Without a clock: it is told the time, and says how
//! long to wait; whoever drives the source does the waiting.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base::Timestamp;
use thiserror::Error;

/// Frames may be this much out of order without the pace being taken up anew.
const DISORDER: Duration = Duration::from_secs(1);
const FACTOR_MIN: f64 = 1e-3;
const FACTOR_MAX: f64 = 1e6;

/// How much faster than it was captured: `1x`, `2x`, `0.5x`; the `x` may be left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(f64);

/// A rate that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a rate; give a number from 0.001 to 1000000 and an x, as in 1x, 2x or 0.5x")]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        match number.parse() {
            Ok(factor) if (FACTOR_MIN..=FACTOR_MAX).contains(&factor) => Ok(Self(factor)),
            _ => Err(RateError(text.to_owned())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

/// Says when each frame is due.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Rate,
    anchor: Option<Anchor>,
}

/// A frame's time that was due at a time of the clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    captured: Timestamp,
    due: Duration,
    /// The latest frame since.
    latest: Timestamp,
}

impl Pacer {
    /// A pacer for one source.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate, anchor: None }
    }

    /// How long to wait before the frame captured at `captured` is handed on. `now` is a monotonic clock,
    /// from any origin. The first frame is due at once; a frame that is late is not waited for, and what
    /// was lost is caught up; times that jump back by more than a second are followed from there on.
    pub fn wait(&mut self, captured: Timestamp, now: Duration) -> Duration {
        let fresh = Anchor { captured, due: now, latest: captured };
        let anchor = self.anchor.get_or_insert(fresh);
        if captured.plus(DISORDER) < anchor.latest {
            *anchor = fresh;
        }
        anchor.latest = anchor.latest.max(captured);
        let since = captured.since(anchor.captured).as_secs_f64() / self.rate.0;
        let since = Duration::try_from_secs_f64(since).unwrap_or(Duration::MAX);
        anchor.due.saturating_add(since).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(1_700_000_000_000_000_000 + millis * 1_000_000)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn rates_parse_or_say_why_not() {
        for (text, factor) in
            [("1x", 1.0), ("2x", 2.0), ("0.5x", 0.5), ("10", 10.0), (".25X", 0.25)]
        {
            assert_eq!(text.parse(), Ok(Rate(factor)), "{text}");
        }
        for text in ["", "x", "0x", "-1x", "nan", "infx", "1e9x", "1xx", "fast"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("0.5x"), "{error}");
        }
        assert_eq!(Rate(0.5).to_string(), "0.5x");
    }

    #[test]
    fn frames_are_due_when_they_were_captured() {
        for (rate, due) in [("1x", 100), ("2x", 50), ("0.5x", 200)] {
            let mut pacer = Pacer::new(rate.parse().unwrap());
            assert_eq!(pacer.wait(at(0), ms(7_000)), ms(0));
            assert_eq!(pacer.wait(at(100), ms(7_010)), ms(due - 10));
        }
    }

    #[test]
    fn what_was_lost_is_caught_up() {
        let mut pacer = Pacer::new(Rate(1.0));
        pacer.wait(at(0), ms(0));
        assert_eq!(pacer.wait(at(20), ms(500)), ms(0));
        assert_eq!(pacer.wait(at(600), ms(500)), ms(100));
    }

    #[test]
    fn small_disorder_passes_and_a_jump_back_is_followed() {
        let mut pacer = Pacer::new(Rate(1.0));
        pacer.wait(at(5_000), ms(0));
        assert_eq!(pacer.wait(at(4_500), ms(10)), ms(0));
        assert_eq!(pacer.wait(at(5_100), ms(20)), ms(80));
        assert_eq!(pacer.wait(at(0), ms(100)), ms(0));
        assert_eq!(pacer.wait(at(50), ms(110)), ms(40));
    }

    #[test]
    fn no_time_overflows() {
        let mut pacer = Pacer::new(Rate(0.001));
        assert_eq!(pacer.wait(Timestamp::ZERO, ms(0)), ms(0));
        assert!(pacer.wait(Timestamp::MAX, ms(1)) > Duration::from_secs(1_000_000_000_000));
        assert_eq!(pacer.wait(Timestamp::ZERO, Duration::MAX), ms(0));
        assert_eq!(pacer.wait(Timestamp::MAX, Duration::MAX), ms(0));
    }
}
