//! The only place that reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::Timestamp;

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
