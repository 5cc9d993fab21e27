//! When to try again what has failed.

use std::time::{Duration, Instant};

use rand::Rng as _;

/// Waits longer after each failure, up to a limit, and never exactly as long as another.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    due: Option<Instant>,
}

impl Backoff {
    /// After the first failure in a row, it waits up to `first`; after the next twice that; never more than `max`.
    pub(super) const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first, due: None }
    }

    /// Whether it is time to try.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now >= due)
    }

    /// It failed.
    pub(super) fn failed(&mut self, now: Instant) {
        // Several recorders that lost the same server do not come back all at once.
        self.due = Some(now + self.next.mul_f64(rand::rng().random_range(0.5..1.0)));
        self.next = self.max.min(self.next * 2);
    }

    /// It worked.
    pub(super) fn worked(&mut self) {
        (self.next, self.due) = (self.first, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn an_hour_of_failures_is_a_bounded_number_of_tries() {
        let begin = clock::instant();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let (mut tries, mut last) = (Vec::new(), 0);
        for second in 0..3_600 {
            let now = begin + Duration::from_secs(second);
            if backoff.is_due(now) {
                tries.push(second - last);
                last = second;
                backoff.failed(now);
            }
        }
        assert!((60..=130).contains(&tries.len()), "{tries:?}");
        assert!(
            tries.iter().all(|wait| *wait <= 60) && *tries.iter().max().unwrap() > 30,
            "{tries:?}"
        );
        backoff.worked();
        assert!(backoff.is_due(begin), "at once");
    }
}
