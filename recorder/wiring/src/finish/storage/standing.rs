//! How storing is doing: what its threads tell each other, the pools, and the operator.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::alarms::{AlarmId, Board};
use crate::clock;

/// See [`Standing::stuck_after`].
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How long storing may take before the disk counts as slow.
const SLOW: Duration = Duration::from_secs(2);
/// The storing thread among the parts that may tell of a slow disk; capture cores come before it.
const PART: u32 = 1_000;

/// Shared by all who store.
#[derive(Debug)]
pub(crate) struct Standing {
    board: Board,
    /// How long the storing thread may be at one thing before others no longer wait for it.
    stuck_after: Duration,
    place_down: AtomicBool,
    catalog_down: AtomicBool,
    /// Since when the storing thread is at one thing, by the monotonic clock; 0 when it is not.
    busy_since: AtomicU64,
    /// Recordings that it has in hand.
    in_hand: AtomicUsize,
    /// Recordings in the spool.
    spooled: AtomicUsize,
    /// Faults of the program while a call was finished.
    faults: AtomicU64,
}

impl Standing {
    pub(crate) fn new(board: Board) -> Self {
        Self {
            board,
            stuck_after: STUCK_AFTER,
            place_down: AtomicBool::default(),
            catalog_down: AtomicBool::default(),
            busy_since: AtomicU64::default(),
            in_hand: AtomicUsize::default(),
            spooled: AtomicUsize::default(),
            faults: AtomicU64::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn less_patient(self, stuck_after: Duration) -> Self {
        Self { stuck_after, ..self }
    }

    /// Whether recordings and catalog can be asked what is there.
    pub(super) fn is_up(&self) -> bool {
        !self.place_down.load(Ordering::Relaxed)
            && !self.catalog_down.load(Ordering::Relaxed)
            && !self.is_stuck()
    }

    pub(super) fn place_is_down(&self, error: &dyn std::fmt::Display) {
        if !self.place_down.swap(true, Ordering::Relaxed) {
            tracing::error!("recordings wait on the local disk: {error}");
        }
        self.board.set(AlarmId::RecordingsDown, Some(error.to_string()));
    }

    pub(super) fn place_is_up(&self) {
        if self.place_down.swap(false, Ordering::Relaxed) {
            tracing::warn!("recordings are stored where they belong again");
        }
        self.board.set(AlarmId::RecordingsDown, None);
    }

    pub(super) fn catalog_is_down(&self, error: &dyn std::fmt::Display) {
        if !self.catalog_down.swap(true, Ordering::Relaxed) {
            tracing::error!("new recordings are not in the catalog yet: {error}");
        }
        self.board.set(AlarmId::CatalogDown, Some(error.to_string()));
    }

    pub(super) fn catalog_is_up(&self) {
        if self.catalog_down.swap(false, Ordering::Relaxed) {
            tracing::warn!("the catalog is up again");
        }
        self.board.set(AlarmId::CatalogDown, None);
    }

    /// The catalog was made anew.
    pub(super) fn catalog_was_rebuilt(&self, told: &str) {
        tracing::error!("{told}");
        self.board.happened(AlarmId::CatalogRebuilt, told.to_owned());
    }

    /// So many recordings are in the spool.
    pub(super) fn waiting(&self, recordings: usize) {
        self.spooled.store(recordings, Ordering::Relaxed);
        let detail = format!("{recordings} recordings wait on the local disk");
        self.board.set(AlarmId::RecordingsWaiting, (recordings > 0).then_some(detail));
    }

    /// Recordings in the spool.
    pub(crate) fn spooled(&self) -> usize {
        self.spooled.load(Ordering::Relaxed)
    }

    /// The storing thread begins something, with so many recordings in hand.
    pub(super) fn begins(&self, in_hand: usize) {
        self.in_hand.store(in_hand, Ordering::Relaxed);
        self.busy_since.store(clock::monotonic(), Ordering::Release);
    }

    /// It is done with it.
    pub(super) fn is_done(&self, place: &Path) {
        let took = self.busy_for();
        let detail = format!("storing in {} took {:.1} s", place.display(), took.as_secs_f64());
        self.board.set_part(AlarmId::DiskSlow, PART, (took >= SLOW).then_some(detail));
        self.busy_since.store(0, Ordering::Release);
        self.in_hand.store(0, Ordering::Relaxed);
    }

    fn busy_for(&self) -> Duration {
        match self.busy_since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(clock::monotonic().saturating_sub(since)),
        }
    }

    /// Whether the storing thread hangs: in a file system that does not answer, most likely.
    pub(super) fn is_stuck(&self) -> bool {
        let stuck = self.busy_for() >= self.stuck_after;
        if stuck {
            self.place_is_down(&"the file system does not answer");
        }
        stuck
    }

    /// Recordings that it has in hand while it hangs.
    pub(crate) fn stuck(&self) -> usize {
        if self.is_stuck() { self.in_hand.load(Ordering::Relaxed) } else { 0 }
    }

    /// A call could not be made into a recording, or only in part.
    pub(crate) fn finishing_failed(&self, told: String) {
        tracing::error!("{told}");
        self.board.happened(AlarmId::FinishingFailed, told);
    }

    /// A fault of the program while a call was finished.
    pub(crate) fn fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}
