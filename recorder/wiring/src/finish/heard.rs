//! What was found in the media of all recordings together: repetitions, encryption, quality, what is missing. For the
//! alarms and the status page.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::recording::Recording;
use base::{Side, Timestamp};
use web::link::status::{Incomplete, Quality};

use crate::clock;

/// How far back quality is told, and of how many recordings at most.
const LATELY: Duration = Duration::from_secs(900);
const LATELY_MAX: usize = 4_096;
/// Recordings that lack something, remembered at most; and reasons of each.
const INCOMPLETE_MAX: usize = 50;
const REASONS_MAX: usize = 8;

/// Sums over all recordings made, and the newest of them.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    packets: AtomicU64,
    duplicates: AtomicU64,
    encrypted: AtomicU64,
    lately: Mutex<Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    recordings: VecDeque<Sounded>,
    incomplete: VecDeque<Incomplete>,
}

/// How one recording sounded.
#[derive(Clone, Copy, Debug)]
struct Sounded {
    made: Timestamp,
    /// Of its worst stream.
    mos: Option<f64>,
    /// Packets that came, and that did not.
    unique: u64,
    lost: u64,
    one_direction: bool,
}

impl Heard {
    /// A recording is made.
    pub(super) fn note(&self, recording: &Recording) {
        let sum = |of: fn(&base::recording::Stream) -> u64| recording.streams.iter().map(of).sum();
        self.packets.fetch_add(sum(|it| it.packets), Ordering::Relaxed);
        self.duplicates.fetch_add(sum(|it| it.duplicates), Ordering::Relaxed);
        let encrypted = recording.streams.iter().any(|stream| stream.state.contains("SRTP"));
        self.encrypted.fetch_add(u64::from(encrypted), Ordering::Relaxed);
        let has = |side| recording.streams.iter().any(|stream| stream.side == side);
        let sounded = Sounded {
            made: clock::now(),
            mos: recording.streams.iter().filter_map(|stream| stream.mos).reduce(f64::min),
            unique: sum(|it| it.unique),
            lost: sum(|it| it.lost),
            one_direction: has(Side::Caller) != has(Side::Callee),
        };
        let mut lately = self.lately();
        if lately.recordings.len() >= LATELY_MAX {
            lately.recordings.pop_front();
        }
        lately.recordings.push_back(sounded);
    }

    /// All that is known to be missing from a recording is written in it.
    pub(super) fn note_missing(&self, recording: &Recording) {
        if recording.complete {
            return;
        }
        let mut lately = self.lately();
        if lately.incomplete.len() >= INCOMPLETE_MAX {
            lately.incomplete.pop_front();
        }
        let reasons = recording.incomplete_reasons.iter().take(REASONS_MAX).cloned();
        lately.incomplete.push_back(Incomplete {
            id: Some(recording.id),
            time: recording.start_time,
            caller: recording.caller_phone_number.clone(),
            callee: recording.dialed_phone_number.clone(),
            reasons: reasons.collect(),
        });
    }

    /// RTP packets, and of those the ones that came again.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.duplicates.load(Ordering::Relaxed))
    }

    /// Recordings with media whose keys are not known.
    pub(crate) fn encrypted(&self) -> u64 {
        self.encrypted.load(Ordering::Relaxed)
    }

    /// How the recordings sounded that were made in the quarter of an hour before `now`.
    pub(crate) fn quality(&self, now: Timestamp) -> Quality {
        let lately = self.lately_made(now);
        let mut scores: Vec<f64> = lately.iter().filter_map(|it| it.mos).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let (unique, lost) = lately
            .iter()
            .fold((0_u64, 0_u64), |(unique, lost), it| (unique + it.unique, lost + it.lost));
        Quality {
            recordings: lately.len() as u64,
            mos: scores.get(scores.len() / 2).copied(),
            loss: share(lost, unique + lost),
        }
    }

    /// The share of them that have one direction only.
    pub(crate) fn one_direction(&self, now: Timestamp) -> f64 {
        let lately = self.lately_made(now);
        let one = lately.iter().filter(|it| it.one_direction).count();
        share(one as u64, lately.len() as u64)
    }

    /// The newest that lack something, the newest first.
    pub(crate) fn incomplete(&self) -> Vec<Incomplete> {
        self.lately().incomplete.iter().rev().cloned().collect()
    }

    fn lately_made(&self, now: Timestamp) -> Vec<Sounded> {
        let mut lately = self.lately();
        let is_old = |it: &Sounded| now.since(it.made) > LATELY;
        while lately.recordings.front().is_some_and(is_old) {
            lately.recordings.pop_front();
        }
        lately.recordings.iter().copied().collect()
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
