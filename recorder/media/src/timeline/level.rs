//! Where a span belongs on the clock, and how that changes: from its floors.
//!
//! The floor of two seconds is the delay of the packet that met no queue. Its course over a span shows
//! - the level: where the span begins;
//! - drift: a steady slope, found by Theil and Sen's median of slopes, believed only if it moves the span
//!   by more than two ordinary clocks can in ten minutes and shows in both halves of the span;
//! - steps: the level rises for good and by a lot, because the sender paused without counting the pause
//!   (or falls: it counted a pause that it did not make). A smaller step is another route, not sound.

use super::drifted;
use super::layout::{Bucket, Run};
use crate::sound::{SAMPLE_NANOS, Sound};

/// Two clocks of 100 ppm in ten minutes, the least that drift must amount to.
const DRIFT_NANOS_MIN: i64 = 60_000_000;
/// The least time in which drift can be told from a queue that fills.
const DRIFT_SPAN_NANOS_MIN: i64 = 120_000_000_000;
/// Beyond this it is not a clock.
const DRIFT_PPB_MAX: f64 = 2_000_000.0;
/// Sender reports are believed about the rate if they are so near to what arrival says.
const REPORT_PPB_NEAR: i64 = 50_000;
/// Points that the median of slopes is taken over.
const SLOPE_POINTS_MAX: usize = 200;
/// A level that changes by less is a change of route.
const STEP_NANOS_MIN: i64 = 200_000_000;
/// One that changes by more is believed even at the very end of a span.
const STEP_NANOS_SURE: i64 = 1_000_000_000;
/// Buckets over which a new level must last, as far as there are so many; and that find the first level.
const LASTING_BUCKETS: usize = 8;
/// No span begins this much before its first packet.
const FIRST_LATE_NANOS_MAX: i64 = 2_000_000_000;

/// The level changes for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The sound before which it does.
    pub(crate) before: usize,
    /// The new level.
    pub(crate) level: i64,
}

/// The course of one span's level, in nanoseconds of arrival minus media time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Level at `origin`.
    pub(crate) first: i64,
    /// The moment from which drift counts.
    pub(crate) origin: i64,
    /// How much slower than the recording's clock the sender's is, in parts per billion.
    pub(crate) drift_ppb: i64,
    pub(crate) steps: Vec<Step>,
}

/// Reads the levels of a span, of these runs and buckets.
pub(crate) fn of(
    runs: &[Run],
    buckets: &[Bucket],
    sounds: &[Sound<'_>],
    report_ppb: Option<i64>,
) -> Levels {
    let Some(origin) = buckets.first().map(|bucket| bucket.time) else { return Levels::default() };
    let drift_ppb = drift(buckets, report_ppb);
    let detrend = |bucket: &Bucket| bucket.floor - drifted(bucket.time - origin, drift_ppb);
    let floors: Vec<i64> = buckets.iter().map(detrend).collect();
    let arrival = buckets.first().and_then(|bucket| sounds.get(bucket.first)).map(|s| s.arrival);
    let earliest = arrival.unwrap_or(i64::MIN) - FIRST_LATE_NANOS_MAX;
    let lowest = floors.iter().take(LASTING_BUCKETS).min().copied().unwrap_or(0).max(earliest);
    let steps = steps(&floors, lowest, buckets, |from, until| jumps(runs, sounds, from, until));
    let first = if steps.is_empty() { low_quarter(floors).max(earliest) } else { lowest };
    Levels { first, origin, drift_ppb, steps }
}

/// The first quartile: where three quarters of the time is not below, whatever queues did.
fn low_quarter(mut floors: Vec<i64>) -> i64 {
    let quarter = floors.len() / 4;
    if quarter >= floors.len() {
        return 0;
    }
    *floors.select_nth_unstable(quarter).1
}

/// The drift in parts per billion of arrival; 0 if there is none worth a correction.
fn drift(buckets: &[Bucket], report_ppb: Option<i64>) -> i64 {
    let points = merge(buckets);
    let (Some(begin), Some(end)) = (points.first(), points.last()) else { return 0 };
    let lasts = end.0 - begin.0;
    let floors = || points.iter().map(|(_, floor)| *floor);
    let moves = floors().max().unwrap_or(0) - floors().min().unwrap_or(0);
    if lasts < DRIFT_SPAN_NANOS_MIN || moves < DRIFT_NANOS_MIN {
        return 0;
    }
    let (former, latter) = points.split_at(points.len() / 2);
    let slope = median_slope(&points);
    let in_both = [former, latter].into_iter().all(|half| median_slope(half) / slope > 1.0 / 3.0);
    let steady = in_both && slope.abs() <= DRIFT_PPB_MAX / 1e9;
    if !steady || (slope * lasts as f64).abs() < DRIFT_NANOS_MIN as f64 {
        return 0;
    }
    let ppb = (slope * 1e9).round() as i64;
    report_ppb.filter(|report| (report - ppb).abs() <= REPORT_PPB_NEAR).unwrap_or(ppb)
}

/// Few enough points for every pair of them: the lowest of each group of neighbouring buckets.
fn merge(buckets: &[Bucket]) -> Vec<(i64, i64)> {
    let group = buckets.len().div_ceil(SLOPE_POINTS_MAX).max(1);
    let lowest = |group: &[Bucket]| {
        let bucket = group.iter().min_by_key(|bucket| bucket.floor)?;
        Some((bucket.time, bucket.floor))
    };
    buckets.chunks(group).filter_map(lowest).collect()
}

/// The median of the slopes between every two points (Theil and Sen), nanoseconds per nanosecond.
fn median_slope(points: &[(i64, i64)]) -> f64 {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (index, (time, floor)) in points.iter().enumerate() {
        for (later, then) in points.iter().skip(index + 1).filter(|(later, _)| later > time) {
            slopes.push((then - floor) as f64 / (later - time) as f64);
        }
    }
    if slopes.is_empty() {
        return 0.0;
    }
    let middle = slopes.len() / 2;
    *slopes.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Where the detrended floors leave `level` for good. `jumps` says where between two sounds arrival jumps
/// against media time: the most ahead, and the most back.
fn steps(
    floors: &[i64],
    mut level: i64,
    buckets: &[Bucket],
    jumps: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, bucket) in buckets.iter().enumerate() {
        let window = || floors.iter().skip(index).take(LASTING_BUCKETS).copied();
        let low = window().min().unwrap_or(level);
        let high = window().max().unwrap_or(level);
        let lasting = window().len() > 1;
        let from =
            index.checked_sub(1).and_then(|previous| buckets.get(previous)).unwrap_or(bucket);
        if low - level > STEP_NANOS_MIN && (lasting || low - level > STEP_NANOS_SURE) {
            // The bucket in which it rises still has the old floor: this is the next one.
            level = low;
            steps.push(Step { before: jumps(from.first, bucket.first).0, level });
        } else if level - high > STEP_NANOS_MIN && lasting {
            // The bucket in which it falls has the new floor already. Later ones may fall further.
            level = window().take(2).min().unwrap_or(level);
            let until = buckets.get(index + 1).unwrap_or(bucket);
            steps.push(Step { before: jumps(from.first, until.first).1, level });
        }
    }
    steps
}

/// The sound after `from`, and up to `until`, that came the longest after its media time since the one
/// before (where a sender paused without counting), and the one that came the shortest (where it counted
/// more than it paused).
fn jumps(runs: &[Run], sounds: &[Sound<'_>], from: usize, until: usize) -> (usize, usize) {
    let mut runs = runs.iter().skip(runs.partition_point(|run| run.first <= from)).peekable();
    let (mut ahead, mut back) = ((until, i64::MIN), (until, i64::MAX));
    let pairs = sounds.iter().zip(sounds.iter().skip(1)).enumerate().skip(from);
    for (index, (before, sound)) in pairs.take(until.saturating_sub(from)) {
        let run = runs.next_if(|run| run.first == index + 1);
        let media = before.samples() + run.map_or(0, |run| run.pause);
        let jump = sound.arrival - before.arrival - media * SAMPLE_NANOS;
        ahead = if jump > ahead.1 { (index + 1, jump) } else { ahead };
        back = if jump < back.1 { (index + 1, jump) } else { back };
    }
    (ahead.0, back.0)
}
