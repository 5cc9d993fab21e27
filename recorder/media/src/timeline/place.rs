//! Gives every sound its position, and says where that is not what its timestamps asked for.

use super::drifted;
use super::layout::{Layout, Run, Span};
use super::level::Levels;
use crate::output::Reason;
use crate::sound::{SAMPLE_NANOS, SAMPLES_PER_SECOND, Sound};

/// A deviation from the level that is corrected when there is a pause.
const PAUSE_SAMPLES: i64 = SAMPLES_PER_SECOND / 50;
/// A deviation from the level that is corrected within sound: 30 ms.
const SOUND_SAMPLES: i64 = SAMPLES_PER_SECOND * 3 / 100;
/// Where timestamps begin anew, arrival places the sound this exactly; less is taken for jitter: 40 ms.
const RESTART_SAMPLES: i64 = SAMPLES_PER_SECOND / 25;
/// Where a pause may be miscounted, it is believed up to this much later: 100 ms.
const MISCOUNT_SAMPLES: i64 = SAMPLES_PER_SECOND / 10;
/// On both sides of a place that may be quiet: 5 ms.
const QUIET_BYTES: usize = SAMPLES_PER_SECOND as usize / 200;

/// Sounds laid end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The first of them.
    pub(crate) first: usize,
    /// The one after the last.
    pub(crate) until: usize,
    /// Of the first sample.
    pub(crate) position: i64,
}

/// Silence that stands for lost packets, or for what the capture cut off of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) position: i64,
    pub(crate) samples: i64,
    /// Lost ones; none: it was cut.
    pub(crate) packets: u32,
}

/// Silence that timestamps did not ask for, or (negative) that they asked for and did not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) position: i64,
    pub(crate) samples: i64,
    pub(crate) reason: Reason,
}

/// A stream on the timeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed {
    /// In order, never overlapping.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) holes: Vec<Hole>,
    pub(crate) shifts: Vec<Shift>,
    /// Behind the last sample.
    pub(crate) end: i64,
    /// How far a sender that runs too fast was left behind its drift, for want of pauses.
    pub(crate) lag_nanos: i64,
}

impl Placed {
    /// Position of the first sample.
    pub(crate) fn begin(&self) -> i64 {
        self.pieces.first().map_or(self.end, |piece| piece.position)
    }
}

/// Places a stream.
pub(super) fn place(
    sounds: &[Sound<'_>],
    layout: &Layout,
    levels: &[Levels],
    not_before: Option<i64>,
) -> Placed {
    let mut placer =
        Placer { sounds, placed: Placed::default(), shift: 0, level: 0, reason: Reason::Drift };
    for (index, (span, levels)) in layout.spans.iter().zip(levels).enumerate() {
        let span_end = layout.spans.get(index + 1).and_then(|next| layout.runs_of(next).first());
        let span_end = span_end.map_or(sounds.len(), |run| run.first);
        match index {
            0 => placer.enter_first(levels, not_before),
            _ => placer.enter(span, levels),
        }
        placer.span(layout, span, levels, span_end);
    }
    placer.placed
}

struct Placer<'s, 'a> {
    sounds: &'s [Sound<'a>],
    placed: Placed,
    /// Position minus media time, samples.
    shift: i64,
    /// The level in force, without drift.
    level: i64,
    /// Why the shift is not at the level.
    reason: Reason,
}

impl Placer<'_, '_> {
    /// Begins the stream's first span, at `not_before` at the earliest.
    fn enter_first(&mut self, levels: &Levels, not_before: Option<i64>) {
        self.level = levels.first;
        let by_arrival = to_samples(levels.first);
        self.shift = not_before.unwrap_or(by_arrival).max(by_arrival);
        self.record(self.shift, self.shift - by_arrival, Reason::Seam);
    }

    /// Begins a later span: by arrival, unless what timestamps say (nothing, or a doubtful pause) is near.
    fn enter(&mut self, span: &Span, levels: &Levels) {
        let asked = self.placed.end + span.pause.unwrap_or(0);
        let by_arrival = to_samples(levels.first);
        let later = if span.pause.is_some() { MISCOUNT_SAMPLES } else { RESTART_SAMPLES };
        let agrees = (-RESTART_SAMPLES..=later).contains(&(by_arrival - asked));
        self.shift = if agrees { asked } else { by_arrival.max(self.placed.end) };
        self.level = if agrees { asked * SAMPLE_NANOS } else { levels.first };
        let reason = if span.pause.is_some() { Reason::Pause } else { Reason::Restart };
        self.record(self.placed.end, self.shift - asked, reason);
        // What could not be taken back here is in the next pauses.
        self.reason = if by_arrival < self.shift { reason } else { Reason::Drift };
    }

    fn span(&mut self, layout: &Layout, span: &Span, levels: &Levels, span_end: usize) {
        let runs = layout.runs_of(span);
        let mut steps = levels.steps.iter().peekable();
        let mut buckets = layout.buckets_of(span).iter().peekable();
        for (index, run) in runs.iter().enumerate() {
            let run_end = runs.get(index + 1).map_or(span_end, |next| next.first);
            while let Some(step) = steps.next_if(|step| step.before <= run.first) {
                self.step(step.level);
            }
            self.begin_run(run, levels, index == 0);
            let mut marks = Vec::new();
            while let Some(step) = steps.next_if(|step| step.before < run_end) {
                marks.push((step.before, Some(step.level)));
            }
            while let Some(bucket) = buckets.next_if(|bucket| bucket.first < run_end) {
                if levels.drift_ppb != 0 && bucket.first > run.first {
                    marks.push((bucket.first, None));
                }
            }
            marks.sort_by_key(|(at, _)| *at);
            self.within_run(run_end, &marks, levels);
        }
    }

    fn step(&mut self, level: i64) {
        self.level = level;
        self.reason = Reason::Pause;
    }

    /// Places a run's begin: after its pause, longer or shorter by what is to be corrected.
    fn begin_run(&mut self, run: &Run, levels: &Levels, first_of_span: bool) {
        if !first_of_span && (run.pause > 0 || self.reason == Reason::Pause) {
            let behind = self.deviation(run.start, levels);
            let change = behind.max(-run.pause);
            if behind.abs() > PAUSE_SAMPLES {
                self.shift += change;
                self.record(self.placed.end, change, self.reason);
                self.settle(behind - change);
            }
        }
        let position = run.start + self.shift;
        assert!(
            self.placed.pieces.is_empty() || position >= self.placed.end,
            "sound never overlaps"
        );
        self.hole(run, position);
        self.placed.pieces.push(Piece { first: run.first, until: run.first, position });
    }

    /// A gap of at most what was lost or cut off: the rest of a pause is the sender's own.
    fn hole(&mut self, run: &Run, position: i64) {
        let Some(before) = run.first.checked_sub(1).and_then(|at| self.sounds.get(at)) else {
            return;
        };
        let nominal = before.whole().saturating_mul(i64::from(run.lost));
        let nominal = nominal.saturating_add(before.missing.into());
        let samples = (position - self.placed.end).min(nominal);
        if run.lost == 0 && samples == 0 {
            return;
        }
        self.placed.holes.push(Hole { position: self.placed.end, samples, packets: run.lost });
    }

    /// Lays the rest of the run, with corrections where the level demands them.
    fn within_run(&mut self, run_end: usize, marks: &[(usize, Option<i64>)], levels: &Levels) {
        for (index, (at, level)) in marks.iter().enumerate() {
            self.lay_until(*at);
            if let Some(level) = level {
                self.step(*level);
            }
            let behind = self.deviation(self.placed.end - self.shift, levels);
            if levels.drift_ppb < 0 {
                self.placed.lag_nanos = self.placed.lag_nanos.max(-behind * SAMPLE_NANOS);
            }
            if behind > SOUND_SAMPLES {
                if level.is_none() {
                    let next = marks.get(index + 1).map_or(run_end, |(next, _)| *next);
                    self.lay_until(self.quietest(*at, next));
                }
                self.insert(behind);
            }
        }
        self.lay_until(run_end);
    }

    /// Goes on with the current piece up to the sound `until`.
    fn lay_until(&mut self, until: usize) {
        let Some(piece) = self.placed.pieces.last_mut() else { return };
        let new = self.sounds.get(piece.until..until).unwrap_or_default();
        let samples: i64 = new.iter().map(Sound::samples).sum();
        let from = if piece.until == piece.first { piece.position } else { self.placed.end };
        self.placed.end = from + samples;
        piece.until = piece.until.max(until);
    }

    /// Ends the piece and begins another after `samples` of silence.
    fn insert(&mut self, samples: i64) {
        let Some(first) = self.placed.pieces.last().map(|piece| piece.until) else { return };
        self.record(self.placed.end, samples, self.reason);
        self.shift += samples;
        self.settle(0);
        let position = self.placed.end + samples;
        self.placed.pieces.push(Piece { first, until: first, position });
    }

    /// How many samples the shift is below the level at media time `offset`.
    fn deviation(&self, offset: i64, levels: &Levels) -> i64 {
        let time = (offset + self.shift).saturating_mul(SAMPLE_NANOS);
        let level = self.level + drifted(time - levels.origin, levels.drift_ppb);
        to_samples(level) - self.shift
    }

    /// The sound among `from..until` before which it is quietest.
    fn quietest(&self, from: usize, until: usize) -> usize {
        let loudness = |index: &usize| {
            let before = index.checked_sub(1).and_then(|before| self.sounds.get(before));
            let tail = before.map_or(0, |sound| {
                let begin = sound.payload.len().saturating_sub(QUIET_BYTES);
                sound.law.loudness(sound.payload.get(begin..).unwrap_or_default())
            });
            let head = self.sounds.get(*index).map_or(0, |sound| {
                sound.law.loudness(sound.payload.get(..QUIET_BYTES).unwrap_or(sound.payload))
            });
            tail + head
        };
        (from..until).min_by_key(loudness).unwrap_or(from)
    }

    /// What is left to correct is drift, unless something is.
    fn settle(&mut self, left: i64) {
        if left.abs() <= PAUSE_SAMPLES {
            self.reason = Reason::Drift;
        }
    }

    fn record(&mut self, position: i64, samples: i64, reason: Reason) {
        if samples != 0 {
            self.reason = reason;
            self.placed.shifts.push(Shift { position, samples, reason });
        }
    }
}

/// Nanoseconds to the nearest sample.
fn to_samples(nanos: i64) -> i64 {
    nanos.saturating_add(SAMPLE_NANOS / 2).div_euclid(SAMPLE_NANOS)
}
