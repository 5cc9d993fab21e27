//! What was found in the media of all recordings together: repetitions, encryption. For the alarms.

use std::sync::atomic::{AtomicU64, Ordering};

use base::recording::Recording;

/// Sums over all recordings made.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    packets: AtomicU64,
    duplicates: AtomicU64,
    encrypted: AtomicU64,
}

impl Heard {
    /// A recording is made.
    pub(super) fn note(&self, recording: &Recording) {
        let sum = |of: fn(&base::recording::Stream) -> u64| recording.streams.iter().map(of).sum();
        self.packets.fetch_add(sum(|it| it.packets), Ordering::Relaxed);
        self.duplicates.fetch_add(sum(|it| it.duplicates), Ordering::Relaxed);
        let encrypted = recording.streams.iter().any(|stream| stream.state.contains("SRTP"));
        self.encrypted.fetch_add(u64::from(encrypted), Ordering::Relaxed);
    }

    /// RTP packets, and of those the ones that came again.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.duplicates.load(Ordering::Relaxed))
    }

    /// Recordings with media whose keys are not known.
    pub(crate) fn encrypted(&self) -> u64 {
        self.encrypted.load(Ordering::Relaxed)
    }
}
