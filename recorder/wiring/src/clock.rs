//! The only place that reads the clocks.
//!
//! Inside the program, time is the capture clock's ([`capture_time`]): the kernel's monotonic clock plus an offset
//! that stays as it is for the whole run. It shows about what the wall clock does, and never steps, so that the
//! wall clock may be set in mid-call without harm to any duration, order or alignment. The wall clock ([`now`]) is
//! for the border: certificates, alarms, and by [`WallClock`](crate::wall_clock::WallClock) the times of recordings.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::Timestamp;
use capture::xdp::{Reading, UtcOffset};
use rustix::time::{ClockId, clock_gettime};

/// Readings of which the tightest counts: a thread may be interrupted between two clocks.
const READINGS: usize = 8;

static CAPTURE: OnceLock<UtcOffset> = OnceLock::new();

thread_local! {
    /// The wall clock, and the time passed, of a thread that steps a machine (`live::machine`).
    static SIMULATED: Cell<Option<(Timestamp, Duration)>> = const { Cell::new(None) };
}

/// From now on these are the clocks of this thread.
pub(crate) fn simulate(wall: Timestamp, passed: Duration) {
    SIMULATED.set(Some((wall, passed)));
}

/// CPU time of the calling thread so far.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn now() -> Timestamp {
    if let Some((wall, _)) = SIMULATED.get() {
        return wall;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub(crate) fn instant() -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    match SIMULATED.get() {
        Some((_, passed)) => *BEGIN.get_or_init(Instant::now) + passed,
        None => Instant::now(),
    }
}

/// The capture clock.
pub(crate) fn capture_time() -> Timestamp {
    if let Some((time, _)) = SIMULATED.get() {
        return time;
    }
    capture_offset().utc(monotonic())
}

/// What the capture clock adds to the monotonic clock: if nothing else was set, what it took to get UTC when this
/// was first asked.
pub(crate) fn capture_offset() -> UtcOffset {
    *CAPTURE.get_or_init(|| utc_offset().unwrap_or_default())
}

/// The capture clock adds this. To be said before anything asks what time it is; later, nothing changes.
pub(crate) fn set_capture_offset(offset: UtcOffset) {
    if CAPTURE.set(offset).is_err() {
        tracing::debug!("the capture clock runs already; it stays as it is");
    }
}

/// What to add to the kernel's monotonic clock to get UTC, now.
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
    if let Some((_, passed)) = SIMULATED.get() {
        // 584 years of nanoseconds.
        return passed.as_nanos() as u64;
    }
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
