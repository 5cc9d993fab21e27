//! Where each sound goes: every stream of a call on one clock.
//!
//! A stream's own timestamps say how its packets follow each other; arrival says where the whole belongs
//! and whether the timestamps can be trusted. In this order:
//!
//! 1. Every sample of every unique packet is in the output, unaltered.
//! 2. While timestamps advance as the samples do, packets are laid end to end ([`layout`]: *runs*).
//! 3. What is lost, suppressed or taken by telephone events becomes silence of the timestamps' distance.
//! 4. Timestamps that jump where time does not (a restart, a transcoder), or that count a pause wrong by
//!    more than 100 ms, begin a new *span*, placed by arrival. A sender that counts in a wrong unit, or not
//!    at all, is laid end to end.
//! 5. A span's place is its *floor*: arrival minus media time, at its lowest ([`level`]). Jitter only ever
//!    adds to it, so a late packet, be it the first, moves nothing.
//! 6. When the floor itself moves, the clocks differ (slowly and steadily: drift) or the sender paused
//!    without counting (at once, and by a lot). Silence is then inserted, or taken out of a pause; sound
//!    never is ([`place`]). A floor that moves a little at once is a new route, and is let be.
//! 7. A sender whose clock is too fast for a whole long call without pauses cannot be slowed down: the
//!    recording's clock runs as fast as the fastest such sender ([`stretch`]).
//!
//! The clock: nanoseconds since the recording's reference, 125,000 to a sample. A position is a sample on
//! it, and may be negative.

pub(crate) mod layout;
pub(crate) mod level;
pub(crate) mod place;

use place::Placed;

use crate::sound::Sound;

/// A drift that left a stream so far behind is reason to speed the recording's clock up.
const LAG_NANOS_MAX: i64 = 30_000_000;

/// One stream's way onto the timeline.
#[derive(Debug)]
pub(crate) struct Track {
    layout: layout::Layout,
    levels: Vec<level::Levels>,
}

impl Track {
    /// Works out a stream's runs and levels. `report_ppb` is how much slower than its own wall clock the
    /// sender's RTP clock runs, by its sender reports.
    pub(crate) fn new(sounds: &[Sound<'_>], report_ppb: Option<i64>) -> Self {
        let layout = layout::of(sounds);
        let levels =
            |span| level::of(layout.runs_of(span), layout.buckets_of(span), sounds, report_ppb);
        let levels = layout.spans.iter().map(levels).collect();
        Self { layout, levels }
    }

    /// Places the stream, not before the position `not_before`.
    pub(crate) fn place(&self, sounds: &[Sound<'_>], not_before: Option<i64>) -> Placed {
        place::place(sounds, &self.layout, &self.levels, not_before)
    }

    /// How much slower than the capture clock the sender's is, by its longest span.
    pub(crate) fn drift_ppb(&self) -> i64 {
        let longest =
            self.layout.spans.iter().zip(&self.levels).max_by_key(|(span, _)| span.buckets.len());
        longest.map_or(0, |(_, levels)| levels.drift_ppb)
    }
}

/// By how much the recording's clock must run ahead of the capture clock, given each stream as it was
/// placed without: parts per billion, 0 for nearly every call.
pub(crate) fn stretch<'t>(tracks: impl Iterator<Item = (&'t Track, &'t Placed)>) -> i64 {
    let behind = tracks.filter(|(_, placed)| placed.lag_nanos > LAG_NANOS_MAX);
    behind.map(|(track, _)| -track.drift_ppb()).max().unwrap_or(0).max(0)
}

/// Moves arrivals onto a clock that runs `stretch_ppb` faster.
pub(crate) fn apply_stretch(sounds: &mut [Sound<'_>], stretch_ppb: i64) {
    for sound in sounds {
        sound.arrival += drifted(sound.arrival, stretch_ppb);
    }
}

/// What a clock that differs by `ppb` differs by after `nanos`.
pub(crate) fn drifted(nanos: i64, ppb: i64) -> i64 {
    (i128::from(nanos) * i128::from(ppb) / 1_000_000_000) as i64
}
