//! What goes wrong in a run, decided before it begins.

use std::time::Duration;

use base::Timestamp;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::disk::{Faults, Lie};

/// 2026-01-05 08:00 UTC.
pub(crate) const ORIGIN: Timestamp = Timestamp::from_nanos(1_767_600_000_000_000_000);
/// Calls begin and end within this.
const BUSY: Duration = Duration::from_secs(7);

/// How a run of the recorder ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The process is killed: what it wrote stays, durable or not.
    Kill,
    /// The power is cut, in the midst of so many calls of the disk.
    Power(u64),
}

/// A time at which something changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// The disk behaves so from now on.
    Disk(Faults),
    /// The recorder ends, and is started again so much later; the wall clock then shows so many nanoseconds more.
    Blow(Blow, Duration, i64),
}

/// What a seed decides on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Capture cores.
    pub cores: usize,
    /// What changes when.
    pub turns: Vec<(Timestamp, Turn)>,
    /// What the disk is made to forget: only to show that the checks see it.
    pub lie: Option<Lie>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed ^ 0x51ac);
        let cores = chance.random_range(1..=3);
        let mut turns = Vec::new();
        for _ in 0..chance.random_range(0..=2) {
            turns.extend(bad_time(&mut chance));
        }
        for _ in 0..*[0, 1, 1, 2, 3].choose(&mut chance).unwrap_or(&1) {
            turns.push((moment(&mut chance), blow(&mut chance)));
        }
        turns.sort_by_key(|(time, _)| *time);
        Self { seed, cores, turns, lie: None }
    }

    /// A power cut in the midst of the calls, and nothing else, on a disk that forgets.
    #[must_use]
    pub fn lying(seed: u64, lie: Lie) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let blow = Turn::Blow(Blow::Power(1), Duration::from_millis(500), 0);
        let time = ORIGIN.plus(chance.random_range(BUSY / 2..BUSY));
        Self { seed, cores: 1, turns: vec![(time, blow)], lie: Some(lie) }
    }

    /// Whether the disk behaves all the time.
    #[must_use]
    pub fn has_good_disk(&self) -> bool {
        !self.turns.iter().any(|(_, turn)| matches!(turn, Turn::Disk(_)))
    }
}

fn moment(chance: &mut ChaCha8Rng) -> Timestamp {
    ORIGIN.plus(chance.random_range(Duration::ZERO..BUSY))
}

/// The disk is bad for a while.
fn bad_time(chance: &mut ChaCha8Rng) -> [(Timestamp, Turn); 2] {
    let faults = Faults {
        errors: *[0.0, 0.01, 0.2, 1.0].choose(chance).unwrap_or(&0.0),
        short_writes: *[0.0, 0.2].choose(chance).unwrap_or(&0.0),
        full: chance.random_bool(0.2),
        latency_max: Duration::from_millis(*[0, 0, 20, 1_000].choose(chance).unwrap_or(&0)),
    };
    let begin = moment(chance);
    let end = begin.plus(chance.random_range(Duration::from_millis(50)..BUSY / 2));
    [(begin, Turn::Disk(faults)), (end, Turn::Disk(Faults::default()))]
}

fn blow(chance: &mut ChaCha8Rng) -> Turn {
    let blow = match chance.random_bool(0.3) {
        true => Blow::Kill,
        false => Blow::Power(chance.random_range(1..40)),
    };
    let away = chance.random_range(Duration::from_millis(10)..Duration::from_millis(1_500));
    let clock = match chance.random_bool(0.1) {
        true => chance.random_range(-20_000_000_000_i64..20_000_000_000),
        false => 0,
    };
    Turn::Blow(blow, away, clock)
}
