//! The clocks of a live run: the capture clock is set once, the wall clock is watched.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use capture::nic::clock_quality;

use crate::clock;
use crate::data_dir::DataDir;
use crate::wall_clock::{Era, Quality, WallClock};

/// Another one for each run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// How often the kernel is asked how good the wall clock is.
const QUALITY_EVERY: Duration = Duration::from_secs(1);

/// The clocks, and the file that tells a later run of them.
pub(super) struct Clocks {
    data: DataDir,
    boot: String,
    wall_clock: Arc<WallClock>,
    seen: Mutex<Seen>,
}

struct Seen {
    quality: Quality,
    due: Instant,
    /// The file does not say what is known.
    unsaved: bool,
}

impl Clocks {
    /// Sets the capture clock: as it was, if an earlier run's journal is still there.
    ///
    /// # Errors
    /// The system does not say which of its runs this is, or the file cannot be read.
    pub(super) fn begin(data: &DataDir) -> Result<Self> {
        let boot =
            std::fs::read_to_string(BOOT_ID).with_context(|| format!("cannot read {BOOT_ID}"))?;
        let boot = boot.trim().to_owned();
        let wall = clock::utc_offset().unwrap_or_default();
        let (offset, wall_clock) = Era::begin(data.read_era()?, &boot, wall);
        clock::set_capture_offset(offset);
        let due = clock::instant();
        let seen = Mutex::new(Seen { quality: Quality::of(None), due, unsaved: true });
        Ok(Self { data: data.clone(), boot, wall_clock: Arc::new(wall_clock), seen })
    }

    /// What the wall clock showed when.
    pub(super) fn wall_clock(&self) -> &Arc<WallClock> {
        &self.wall_clock
    }

    /// Looks at them, many times a second.
    pub(super) fn look(&self) {
        let Some(wall) = clock::utc_offset() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::instant();
        let is_due = now >= seen.due;
        if is_due {
            seen.due = now + QUALITY_EVERY;
            seen.quality = Quality::of(clock_quality().ok());
        }
        let (time, offset) = (clock::capture_time(), clock::capture_offset());
        let is_news = self.wall_clock.look(time, (wall, offset), &seen.quality);
        seen.unsaved |= is_news;
        // What could not be written is tried again now and then.
        if is_news || seen.unsaved && is_due {
            let era = Era::of(&self.boot, offset, &self.wall_clock);
            match self.data.write_era(&era) {
                Ok(()) => seen.unsaved = false,
                Err(error) => tracing::warn!(
                    "{error:#}; should this run be killed, the next cannot tell its times exactly"
                ),
            }
        }
    }
}
