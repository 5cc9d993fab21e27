//! How a stream's packets follow each other by its own timestamps: spans of runs.
//!
//! A *run* is laid end to end. Between runs of a *span* is the silence that timestamps give; between spans
//! they give nothing that can be trusted. Beside them are kept the lowest of (arrival - media time) of each
//! two seconds, the *buckets* from which levels are made.

use std::ops::Range;

use crate::sound::{SAMPLE_NANOS, Sound};

/// A packet that arrives this much earlier than its timestamp allows shows that the timestamp jumped.
const AHEAD_NANOS_MAX: i64 = 1_000_000_000;
/// The time over which a floor is taken.
const BUCKET_NANOS: i64 = 2_000_000_000;
/// A pause after which packets come that much later than before it was counted wrong.
const MISCOUNT_NANOS_MIN: i64 = 100_000_000;
/// One after which even a single packet comes that much earlier was, too: nothing arrives before it is sent.
const OVERCOUNT_NANOS_MIN: i64 = 60_000_000;
/// Packets that show how early they can arrive after a pause: no fewer than half a second's.
const MISCOUNT_PACKETS_MIN: usize = 25;
/// So many packets settle the floor that [`AHEAD_NANOS_MAX`] counts from.
const SETTLING_PACKETS: u32 = 64;
/// From then on it falls by at most one part in this: faster than any clock drifts, too slow for
/// timestamps that leap ahead again and again to make silence without end.
const SETTLED_FALL: i64 = 100;
/// More spans than one in so many packets: the timestamps say nothing at all.
const PACKETS_PER_SPAN_MIN: usize = 8;

/// Packets end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its first sound.
    pub(crate) first: usize,
    /// Samples from the span's begin to its own, in media time.
    pub(crate) start: i64,
    /// Silence before it, samples, included in `start`.
    pub(crate) pause: i64,
    /// Packets lost before it.
    pub(crate) lost: u32,
}

/// The floor over some two seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Its first sound.
    pub(crate) first: usize,
    /// Arrival of the sound that makes the floor.
    pub(crate) time: i64,
    /// Lowest arrival minus media time, nanoseconds.
    pub(crate) floor: i64,
}

/// A stretch over which timestamps agree with arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) runs: Range<usize>,
    pub(crate) buckets: Range<usize>,
    /// The silence before it by timestamps, samples, if they were only doubtful.
    pub(crate) pause: Option<i64>,
}

/// A stream's spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) spans: Vec<Span>,
    pub(crate) runs: Vec<Run>,
    pub(crate) buckets: Vec<Bucket>,
}

impl Layout {
    pub(crate) fn buckets_of(&self, span: &Span) -> &[Bucket] {
        self.buckets.get(span.buckets.clone()).unwrap_or_default()
    }

    pub(crate) fn runs_of(&self, span: &Span) -> &[Run] {
        self.runs.get(span.runs.clone()).unwrap_or_default()
    }
}

/// How timestamps relate to samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cadence {
    /// As they should: one unit a sample.
    Steady,
    /// So many samples for so many units: a sender that counts in another unit than it samples.
    Scaled { samples: i64, units: i64 },
    /// Not at all; only sequence numbers tell what is missing.
    Sequence,
}

impl Cadence {
    fn units(self, samples: i64) -> i64 {
        match self {
            Self::Scaled { samples: per, units } => samples * units / per,
            Self::Steady | Self::Sequence => samples,
        }
    }

    fn samples(self, distance: i64) -> i64 {
        match self {
            Self::Scaled { samples, units } => distance * samples / units,
            Self::Steady | Self::Sequence => distance,
        }
    }
}

/// How a sound follows the one before.
enum Follows {
    /// After so many samples of silence.
    After(i64),
    /// Its timestamp says nothing, or a pause of so many samples that may be miscounted.
    Anew(Option<i64>),
}

/// Lays a stream out.
pub(crate) fn of(sounds: &[Sound<'_>]) -> Layout {
    let cadence = cadence_of(sounds);
    let layout = Builder::new(cadence).build(sounds);
    if cadence != Cadence::Sequence && layout.spans.len() > 1 + sounds.len() / PACKETS_PER_SPAN_MIN
    {
        return Builder::new(Cadence::Sequence).build(sounds);
    }
    layout
}

/// The step that most packets without loss between them make, if it is not the one they should make.
/// Found by Boyer and Moore's majority vote, then counted.
fn cadence_of(sounds: &[Sound<'_>]) -> Cadence {
    let steps = || {
        let pairs = sounds.iter().zip(sounds.iter().skip(1)).filter(|(_, after)| after.lost == 0);
        pairs.map(|(a, b)| {
            (i64::from(b.timestamp.wrapping_sub(a.timestamp).cast_signed()), a.whole())
        })
    };
    let (mut candidate, mut votes) = ((0, 0), 0_i64);
    let (mut count, mut regular) = (0_usize, 0_usize);
    for step in steps() {
        count += 1;
        regular += usize::from(step.0 == step.1);
        if votes == 0 {
            candidate = step;
        }
        votes += if step == candidate { 1 } else { -1 };
    }
    let (units, samples) = candidate;
    if regular * 2 >= count || steps().filter(|step| *step == candidate).count() * 2 <= count {
        return Cadence::Steady;
    }
    if units > 0 { Cadence::Scaled { samples, units } } else { Cadence::Sequence }
}

struct Builder {
    cadence: Cadence,
    layout: Layout,
    /// Samples since the span's begin.
    end: i64,
    /// The timestamp that a packet without silence before it would have.
    expected: u32,
    /// Lowest arrival minus media time, for telling jumps; see [`SETTLED_FALL`].
    floor: i64,
    floor_time: i64,
    settling: u32,
    bucket_end: i64,
}

impl Builder {
    fn new(cadence: Cadence) -> Self {
        let layout = Layout::default();
        Self {
            cadence,
            layout,
            end: 0,
            expected: 0,
            floor: 0,
            floor_time: 0,
            settling: 0,
            bucket_end: i64::MIN,
        }
    }

    fn build(mut self, sounds: &[Sound<'_>]) -> Layout {
        let mut before: Option<&Sound<'_>> = None;
        for (index, sound) in sounds.iter().enumerate() {
            match before {
                None => self.begin_span(index, sound, None),
                Some(before) => match self.follows(before, sounds.get(index..).unwrap_or_default())
                {
                    Follows::After(0) if sound.lost == 0 => {}
                    Follows::After(pause) => self.begin_run(index, pause, sound.lost),
                    Follows::Anew(pause) => self.begin_span(index, sound, pause),
                },
            }
            self.lay(index, sound);
            before = Some(sound);
        }
        self.close_span();
        self.layout
    }

    /// How the first of `sounds` follows `before`. Leaves `expected` at what its timestamp should be taken
    /// for.
    fn follows(&mut self, before: &Sound<'_>, sounds: &[Sound<'_>]) -> Follows {
        let Some(sound) = sounds.first() else { return Follows::After(0) };
        if self.cadence == Cadence::Sequence {
            let missing = i64::from(sound.lost).saturating_mul(before.whole());
            let missing = missing.saturating_add(before.missing.into());
            let known = !self.is_ahead(sound, missing);
            return if known { Follows::After(missing) } else { Follows::Anew(None) };
        }
        let jump = i64::from(sound.timestamp.wrapping_sub(self.expected).cast_signed());
        if jump == 0 || self.is_slip(sound, sounds.get(1)) {
            return Follows::After(0);
        }
        self.expected = sound.timestamp;
        let silence = self.cadence.samples(jump);
        if sound.lost == 0 && silence == i64::from(before.missing) {
            return Follows::After(silence);
        }
        // Steps that are a little short: packets overlap in name only, and are laid end to end.
        if silence < 0 && -silence <= before.samples() {
            return Follows::After(0);
        }
        if silence < 0 || self.is_ahead(sound, silence) {
            return Follows::Anew(None);
        }
        if self.is_miscounted(sounds, silence) {
            return Follows::Anew(Some(silence));
        }
        Follows::After(silence)
    }

    /// Whether `sounds` after `silence` come much earlier or later than those before it.
    fn is_miscounted(&self, sounds: &[Sound<'_>], silence: i64) -> bool {
        let mut media_time = self.end + silence;
        let (mut floor, mut count) = (i64::MAX, 0);
        let mut expected = self.expected;
        for sound in sounds.iter().take(SETTLING_PACKETS as usize) {
            if sound.timestamp != expected || (count > 0 && sound.lost > 0) {
                break;
            }
            floor = floor.min(sound.arrival - media_time * SAMPLE_NANOS);
            media_time += sound.whole();
            expected = expected.wrapping_add(self.cadence.units(sound.whole()) as u32);
            count += 1;
        }
        let later = floor.saturating_sub(self.floor);
        // What was lost has its exact length, unless all that follows comes very much later. Earlier says
        // nothing: the packets before may have been held up.
        if sounds.first().is_some_and(|sound| sound.lost > 0) {
            return count >= MISCOUNT_PACKETS_MIN && later > 2 * MISCOUNT_NANOS_MIN;
        }
        later < -OVERCOUNT_NANOS_MIN
            || (count >= MISCOUNT_PACKETS_MIN && later > MISCOUNT_NANOS_MIN)
    }

    /// Whether one timestamp is wrong between right ones.
    fn is_slip(&self, sound: &Sound<'_>, next: Option<&Sound<'_>>) -> bool {
        let after = self.expected.wrapping_add(self.cadence.units(sound.whole()) as u32);
        sound.lost == 0 && next.is_some_and(|next| next.lost == 0 && next.timestamp == after)
    }

    /// Whether `sound` after `silence` would have arrived before it was sent.
    fn is_ahead(&self, sound: &Sound<'_>, silence: i64) -> bool {
        let media_time = self.end.saturating_add(silence).saturating_mul(SAMPLE_NANOS);
        sound.arrival.saturating_sub(media_time) < self.floor - AHEAD_NANOS_MAX
    }

    fn begin_span(&mut self, index: usize, sound: &Sound<'_>, pause: Option<i64>) {
        self.close_span();
        let (runs, buckets) = (self.layout.runs.len(), self.layout.buckets.len());
        self.layout.spans.push(Span { runs: runs..runs, buckets: buckets..buckets, pause });
        self.end = 0;
        self.expected = sound.timestamp;
        (self.floor, self.floor_time) = (sound.arrival, sound.arrival);
        self.settling = SETTLING_PACKETS;
        self.bucket_end = i64::MIN;
        self.begin_run(index, 0, sound.lost);
    }

    fn close_span(&mut self) {
        if let Some(span) = self.layout.spans.last_mut() {
            span.runs.end = self.layout.runs.len();
            span.buckets.end = self.layout.buckets.len();
        }
    }

    fn begin_run(&mut self, index: usize, pause: i64, lost: u32) {
        self.end += pause;
        // A pause is no evidence of how early packets can arrive.
        self.settling = if pause > 0 { 0 } else { self.settling };
        self.layout.runs.push(Run { first: index, start: self.end, pause, lost });
    }

    /// Takes note of the sound's arrival and goes on behind it.
    fn lay(&mut self, index: usize, sound: &Sound<'_>) {
        let delay = sound.arrival - self.end * SAMPLE_NANOS;
        let elapsed = (sound.arrival - self.floor_time).max(0);
        let lowest = if self.settling > 0 { i64::MIN } else { self.floor - elapsed / SETTLED_FALL };
        self.floor = self.floor.min(delay.max(lowest));
        self.floor_time = self.floor_time.max(sound.arrival);
        self.settling = self.settling.saturating_sub(1);
        match self.layout.buckets.last_mut() {
            Some(bucket) if sound.arrival < self.bucket_end => {
                if delay < bucket.floor {
                    (bucket.floor, bucket.time) = (delay, sound.arrival);
                }
            }
            _ => {
                self.bucket_end = sound.arrival + BUCKET_NANOS;
                let bucket = Bucket { first: index, time: sound.arrival, floor: delay };
                self.layout.buckets.push(bucket);
            }
        }
        self.end += sound.samples();
        self.expected = self.expected.wrapping_add(self.cadence.units(sound.samples()) as u32);
    }
}
