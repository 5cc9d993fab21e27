//! What the wall clock showed while a run captured, by the capture clock: for the border, where times are told.
//!
//! Whoever reads the clocks tells how far apart they are, many times a second. What is remembered is when that
//! changed: the wall clock was set, or a time service took hold of it or let go. All times of a recording are moved
//! by what held when its call began; what the wall clock did after that is told beside them.
//!
//! The memory is kept in a file ([`Era`]), because the journal's times are by the capture clock: a run that takes up
//! where a killed one was goes on with the same clock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base::Timestamp;
use base::limits::CLOCK_CHANGES_MAX;
use base::recording::{Clock, ClockStep};
use capture::nic::ClockQuality;
use capture::xdp::UtcOffset;
use serde::{Deserialize, Serialize};

/// Steps below this are errors of measurement.
pub(crate) const STEP_MIN_NANOS: u64 = 100_000;
/// Steps below this are not worth a word in a recording.
const STEP_TOLD_NANOS: u64 = 1_000_000;
/// Errors below this are as good as each other, in microseconds.
const ERROR_SMALL: u64 = 1_000;

/// How the clocks stood from some moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Standing {
    /// By the capture clock.
    since: Timestamp,
    /// What the wall clock showed more than the capture clock, in nanoseconds.
    ahead: i64,
    quality: Quality,
}

/// How good the wall clock was, in the words of recordings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quality {
    synchronised: bool,
    steering: String,
    error_max: u64,
    error_estimated: u64,
}

impl Quality {
    /// What the kernel said, if it did.
    pub(crate) fn of(told: Option<ClockQuality>) -> Self {
        let micros =
            |error: std::time::Duration| u64::try_from(error.as_micros()).unwrap_or(u64::MAX);
        let steering = told.map_or("unknown", |told| told.steering.name());
        let told = told.unwrap_or_default();
        Self {
            synchronised: told.synchronised,
            steering: steering.into(),
            error_max: micros(told.error_max),
            error_estimated: micros(told.error_estimated),
        }
    }

    /// Whether what it says is as good as what the other says. Errors grow steadily until the time service has its
    /// next word.
    fn is_like(&self, other: &Self) -> bool {
        let alike = |a: u64, b: u64| a.max(b) <= ERROR_SMALL || a.max(b) / 2 <= a.min(b);
        self.synchronised == other.synchronised
            && self.steering == other.steering
            && alike(self.error_max, other.error_max)
            && alike(self.error_estimated, other.error_estimated)
    }
}

/// The memory. Shared by who looks at the clocks and who tells times.
#[derive(Debug, Default)]
pub(crate) struct WallClock(Mutex<Vec<Standing>>);

impl WallClock {
    fn lock(&self) -> MutexGuard<'_, Vec<Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At `time` (of the capture clock, which is `capture` beside the monotonic one) the wall clock was `wall`
    /// beside it. True if that is news.
    pub(crate) fn look(
        &self,
        time: Timestamp,
        (wall, capture): (UtcOffset, UtcOffset),
        quality: &Quality,
    ) -> bool {
        let mut all = self.lock();
        let mut ahead = wall.step_since(capture);
        if let Some(last) = all.last() {
            if !is_step(ahead.saturating_sub(last.ahead), wall) {
                ahead = last.ahead;
            }
            if ahead == last.ahead && quality.is_like(&last.quality) {
                return false;
            }
        }
        if all.len() >= CLOCK_CHANGES_MAX {
            all.remove(0);
        }
        all.push(Standing { since: time, ahead, quality: quality.clone() });
        true
    }

    /// How far the wall clock was ahead of the capture clock at `time`, in nanoseconds. What is from before anything
    /// was known of it (of a capture file, say) has its times by the wall clock.
    pub(crate) fn ahead_at(&self, time: Timestamp) -> i64 {
        standing_at(&self.lock(), time).map_or(0, |standing| standing.ahead)
    }

    /// What the wall clock showed at a time of the capture clock.
    pub(crate) fn shown_at(&self, time: Timestamp) -> Timestamp {
        time.moved(self.ahead_at(time))
    }

    /// How it is now: whether a time service steers it, how, and how far off it is at most.
    pub(crate) fn quality(&self) -> (bool, String, std::time::Duration) {
        let quality = self.lock().last().map(|standing| standing.quality.clone());
        let quality = quality.unwrap_or_else(|| Quality::of(None));
        let error_max = std::time::Duration::from_micros(quality.error_max);
        (quality.synchronised, quality.steering, error_max)
    }

    /// For a recording of a call that was up between these times of the capture clock.
    pub(crate) fn of_call(&self, start: Timestamp, stop: Timestamp) -> Option<Clock> {
        let all = self.lock();
        let Standing { ahead, quality, .. } = standing_at(&all, start)?;
        let mut steps = Vec::new();
        let mut before = *ahead;
        for standing in all.iter().filter(|it| it.since > start && it.since <= stop) {
            let nanoseconds = standing.ahead.saturating_sub(before);
            before = standing.ahead;
            if nanoseconds.unsigned_abs() >= STEP_TOLD_NANOS {
                steps.push(ClockStep { time: standing.since.moved(*ahead), nanoseconds });
            }
        }
        Some(Clock {
            synchronised: quality.synchronised,
            steering: quality.steering.clone(),
            error_max_microseconds: quality.error_max,
            error_estimated_microseconds: quality.error_estimated,
            offset_nanoseconds: *ahead,
            steps,
        })
    }
}

/// Whether so many nanoseconds are more than what was measured may be wrong by.
pub(crate) fn is_step(nanos: i64, measured: UtcOffset) -> bool {
    nanos.unsigned_abs() >= STEP_MIN_NANOS.saturating_add(measured.error())
}

fn standing_at(all: &[Standing], time: Timestamp) -> Option<&Standing> {
    let later = all.partition_point(|standing| standing.since <= time);
    all.get(later.checked_sub(1)?)
}

/// By which clock the journal's times are: `clock.json` in the data folder.
///
/// As long as the machine was not started anew, its monotonic clock goes on, so that the capture clock of the next
/// run is exactly that of the last. After a new start only the wall clock leads from the one to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Era {
    /// The machine's run (`/proc/sys/kernel/random/boot_id`).
    boot: String,
    /// What the capture clock adds to the monotonic clock, in nanoseconds.
    offset: i64,
    standings: Vec<Standing>,
}

impl Era {
    /// The capture clock of a run that begins while `wall` is what leads to UTC, after an earlier run's era if its
    /// journal is still there. With it, what is remembered of the wall clock.
    pub(crate) fn begin(
        earlier: Option<Self>,
        boot: &str,
        wall: UtcOffset,
    ) -> (UtcOffset, WallClock) {
        let Some(Self { boot: before, offset, standings }) = earlier else {
            return (wall, WallClock::default());
        };
        let ahead = standings.last().map_or(0, |standing| standing.ahead);
        let goes_on = before == boot;
        let offset = if goes_on { offset } else { wall.nanos().saturating_sub(ahead) };
        (UtcOffset::of(offset), WallClock(Mutex::new(standings)))
    }

    /// As it is to be written down.
    pub(crate) fn of(boot: &str, capture: UtcOffset, wall_clock: &WallClock) -> Self {
        let standings = wall_clock.lock().clone();
        Self { boot: boot.into(), offset: capture.nanos(), standings }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: i64 = 3_600_000_000_000;
    const EPOCH: u64 = 1_800_000_000_000_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(EPOCH).plus(Duration::from_secs(seconds))
    }

    fn synchronised(error_max: u64) -> Quality {
        let steering = "rate".into();
        Quality { synchronised: true, steering, error_max, error_estimated: 10 }
    }

    fn unsynchronised() -> Quality {
        Quality::of(Some(ClockQuality::default()))
    }

    /// Looks every second for a minute; from `when` on the wall clock is `step` ahead.
    fn stepped(when: u64, step: i64) -> WallClock {
        let (wall_clock, capture) = (WallClock::default(), UtcOffset::of(5));
        for second in 0..60 {
            // What is measured is never exact.
            let ahead = if second < when { 0 } else { step } + (second as i64 % 7) * 1_000;
            let wall = UtcOffset::of(capture.nanos() + ahead);
            let news = wall_clock.look(at(second), (wall, capture), &synchronised(900));
            assert_eq!(news, second == 0 || (second == when && step != 0), "{second}");
        }
        wall_clock
    }

    #[test]
    fn a_call_over_a_step_keeps_its_start_and_tells_the_step() {
        for step in [HOUR, -HOUR] {
            let wall_clock = stepped(30, step);
            let clock = wall_clock.of_call(at(10), at(50)).unwrap();
            assert_eq!(clock.offset_nanoseconds, 0, "as the wall clock was when it began");
            let [told] = &clock.steps[..] else { panic!("{clock:?}") };
            assert_eq!(told.time, at(30));
            assert!((told.nanoseconds - step).abs() < 10_000, "{told:?}");
            let later = wall_clock.of_call(at(40), at(50)).unwrap();
            assert!((later.offset_nanoseconds - step).abs() < 10_000 && later.steps.is_empty());
            assert_eq!(wall_clock.shown_at(at(40)), at(40).moved(later.offset_nanoseconds));
            assert_eq!(wall_clock.shown_at(at(20)), at(20));
            assert_eq!(wall_clock.shown_at(Timestamp::MAX), Timestamp::MAX);
        }
    }

    #[test]
    fn what_a_disturbed_measurement_says_is_no_step() {
        let (wall_clock, capture) = (WallClock::default(), UtcOffset::of(0));
        wall_clock.look(at(0), (capture, capture), &synchronised(1));
        let reading = |before, utc, after| capture::xdp::Reading { before, utc, after };
        let slow = UtcOffset::measured(&[reading(0, Timestamp::from_nanos(800_000), 900_000)]);
        assert!(!wall_clock.look(at(1), (slow.unwrap(), capture), &synchronised(1)));
        assert_eq!(wall_clock.ahead_at(at(1)), 0);
    }

    #[test]
    fn how_good_the_clock_was_is_told_for_when_the_call_began() {
        let (wall_clock, none) = (WallClock::default(), UtcOffset::of(0));
        assert!(wall_clock.of_call(at(0), at(1)).is_none(), "nothing is known");
        assert!(wall_clock.look(at(5), (none, none), &unsynchronised()));
        assert!(wall_clock.look(at(10), (none, none), &synchronised(500)));
        assert!(
            !wall_clock.look(at(11), (none, none), &synchronised(900)),
            "small errors are alike"
        );
        assert!(wall_clock.look(at(12), (none, none), &synchronised(5_000)));
        let of = |second| wall_clock.of_call(at(second), at(100)).unwrap();
        assert!(wall_clock.of_call(at(1), at(100)).is_none(), "from before");
        assert!(!of(5).synchronised && of(5).steering == "free");
        assert_eq!((of(11).synchronised, of(11).error_max_microseconds), (true, 500));
        assert_eq!(
            (of(12).error_max_microseconds, of(12).error_estimated_microseconds),
            (5_000, 10)
        );
        assert!(of(5).steps.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (wall_clock, none) = (WallClock::default(), UtcOffset::of(0));
        for second in 0..CLOCK_CHANGES_MAX as u64 + 10 {
            let quality = if second % 2 == 0 { unsynchronised() } else { synchronised(1) };
            assert!(wall_clock.look(at(second), (none, none), &quality));
        }
        assert_eq!(wall_clock.lock().len(), CLOCK_CHANGES_MAX);
    }

    #[test]
    fn the_next_run_goes_on_with_the_same_clock_even_if_the_wall_clock_was_set_between() {
        let capture = UtcOffset::of(1_000);
        for step in [HOUR, -HOUR] {
            let era = Era::of("boot", capture, &stepped(30, 0));
            let era: Era = serde_json::from_str(&serde_json::to_string(&era).unwrap()).unwrap();
            let wall = UtcOffset::of(capture.nanos() + step);
            let (offset, wall_clock) = Era::begin(Some(era), "boot", wall);
            assert_eq!(offset, capture, "the same");
            assert!(wall_clock.look(at(70), (wall, offset), &synchronised(900)));
            // A call that the killed run saw begin, and one that began later.
            assert_eq!(wall_clock.shown_at(at(20)), at(20));
            assert_eq!(wall_clock.shown_at(at(80)), at(80).moved(step));
            assert_eq!(wall_clock.of_call(at(20), at(80)).unwrap().steps.len(), 1);
        }
    }

    #[test]
    fn after_a_new_start_of_the_machine_the_wall_clock_leads_on() {
        let era = Era::of("boot", UtcOffset::of(1_000), &stepped(30, HOUR));
        // The monotonic clock began anew: UTC is further away from it.
        let wall = UtcOffset::of(EPOCH as i64);
        let (offset, wall_clock) = Era::begin(Some(era), "another boot", wall);
        let ahead = wall_clock.ahead_at(at(59));
        assert!((ahead - HOUR).abs() < 10_000);
        assert_eq!(offset.nanos() + ahead, wall.nanos(), "as far behind the wall clock as before");
        assert!(!wall_clock.look(at(60), (wall, offset), &synchronised(900)), "no step");
        let (fresh, nothing) = Era::begin(None, "boot", wall);
        assert_eq!((fresh, nothing.ahead_at(at(1))), (wall, 0));
    }
}
