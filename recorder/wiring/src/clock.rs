//! The only place that reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::Timestamp;
use capture::xdp::{Reading, UtcOffset};
use rustix::time::{ClockId, clock_gettime};

/// Readings of which the tightest counts: a thread may be interrupted between two clocks.
const READINGS: usize = 8;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// What to add to the kernel's monotonic clock to get UTC.
pub(crate) fn utc_offset() -> Option<UtcOffset> {
    let readings: [Reading; READINGS] = std::array::from_fn(|_| {
        let before = monotonic();
        let utc = now();
        Reading { before, utc, after: monotonic() }
    });
    UtcOffset::measured(&readings)
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
