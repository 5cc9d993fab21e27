//! What is looked at now and then, on a thread of its own, because a hanging disk may hold it up: certificates, the
//! clock, how long the disk lasts.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Timestamp;
use capture::nic::{ClockQuality, clock_quality};
use crossbeam::channel::{Receiver, RecvTimeoutError};
use seal::Certificate;

use super::{AlarmId, Board, Moment};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long before it expires a certificate is a warning, and is urgent.
const SOON: Duration = Duration::from_secs(30 * 24 * 3_600);
const URGENT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How often the clock is looked at. Every tenth time: certificates and the disk.
const EVERY: Duration = Duration::from_secs(10);
const RARELY: u32 = 10;
/// How often the disk's free space is remembered, how often at most (a day), and from which span on it tells a rate.
const SPACE_EVERY: Duration = Duration::from_secs(600);
const SPACES_MAX: usize = 144;
const SPACE_SPAN_MIN: Duration = Duration::from_secs(3_600);

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    /// Files of certificates (PEM).
    pub(super) certificates: Vec<PathBuf>,
    /// The data folder.
    pub(super) data: PathBuf,
    /// How long recordings are kept; zero: that is not known.
    pub(super) retention_days: u32,
}

/// Looks until the other end is gone. What comes from there is to be looked at from then on, at once.
pub(super) fn run(board: &Board, subjects: &Receiver<Subjects>, now: impl Fn() -> Moment) {
    let (mut current, mut space) = (Subjects::default(), Filling::default());
    let mut turn = 0;
    loop {
        match subjects.recv_timeout(EVERY) {
            Ok(new) => (current, turn) = (new, 0),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        judge_clock(board, clock_quality().ok());
        if turn % RARELY == 0 {
            judge_certificates(board, now().wall, &read_certificates(&current.certificates));
            let of = rustix::fs::statvfs(&current.data).ok();
            if let Some(it) = of {
                let size = it.f_blocks.saturating_mul(it.f_frsize);
                let free = it.f_bavail.saturating_mul(it.f_frsize);
                let detail = space.add(now().monotonic, free, size, current.retention_days);
                board.set(AlarmId::RetentionShort, detail);
            }
        }
        turn += 1;
    }
}

/// A certificate's name, and the times between which it holds.
type Validity = (String, Timestamp, Timestamp);

/// What cannot be read is found, and told, by whoever needs it.
fn read_certificates(files: &[PathBuf]) -> Vec<Validity> {
    files.iter().flat_map(|path| read_certificate(path)).collect()
}

fn read_certificate(path: &Path) -> Vec<Validity> {
    let parsed = std::fs::read(path).ok().and_then(|bytes| Certificate::parse_all(&bytes).ok());
    let name = |it: &Certificate| format!("{} ({})", path.display(), it.subject());
    let validity = |it: Certificate| (name(&it), it.not_before(), it.not_after());
    parsed.unwrap_or_default().into_iter().map(validity).collect()
}

pub(super) fn judge_certificates(board: &Board, now: Timestamp, certificates: &[Validity]) {
    let mut found = [
        (AlarmId::CertificateExpired, Vec::new()),
        (AlarmId::CertificateExpires, Vec::new()),
        (AlarmId::CertificateExpiresSoon, Vec::new()),
    ];
    let [expired, urgent, soon] = &mut found;
    for (name, from, until) in certificates {
        let days = until.since(now).as_secs() / DAY.as_secs();
        if now < *from {
            expired.1.push(format!("{name} is not valid before {from}"));
        } else if now > *until {
            expired.1.push(format!("{name} expired at {until}"));
        } else if until.since(now) <= URGENT {
            urgent.1.push(format!("{name} expires in {days} days, at {until}"));
        } else if until.since(now) <= SOON {
            soon.1.push(format!("{name} expires in {days} days, at {until}"));
        }
    }
    for (id, details) in found {
        board.set(id, (!details.is_empty()).then(|| details.join("; ")));
    }
}

pub(super) fn judge_clock(board: &Board, quality: Option<ClockQuality>) {
    let astray = quality.filter(|quality| !quality.synchronised);
    let detail = astray.map(|quality| {
        format!("no time service; it may be off by {:.1} s", quality.error_max.as_secs_f64())
    });
    board.set(AlarmId::ClockUnsynchronised, detail);
}

/// The disk's free space over the last day.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    past: VecDeque<(Duration, u64)>,
}

impl Filling {
    /// Bytes free now: remembered now and then.
    pub(crate) fn note(&mut self, now: Duration, free: u64) {
        if self.past.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= SPACE_EVERY) {
            self.past.push_back((now, free));
            if self.past.len() > SPACES_MAX {
                self.past.pop_front();
            }
        }
    }

    /// How many bytes a day fill the disk; nothing if it is too early to tell, or it does not fill.
    fn per_day(&self, now: Duration, free: u64) -> Option<f64> {
        let (since, before) = self.past.front()?;
        let span = now.saturating_sub(*since);
        let filled = before.saturating_sub(free);
        let tells = span >= SPACE_SPAN_MIN && filled > 0;
        tells.then(|| filled as f64 * DAY.as_secs_f64() / span.as_secs_f64())
    }

    /// In how many days the disk is full at the present rate.
    pub(crate) fn days_left(&self, now: Duration, free: u64) -> Option<f64> {
        Some(free as f64 / self.per_day(now, free)?)
    }

    /// Bytes free now, of so many: says so if the disk, filled at the present rate, holds less than the retention.
    pub(super) fn add(
        &mut self,
        now: Duration,
        free: u64,
        size: u64,
        retention_days: u32,
    ) -> Option<String> {
        self.note(now, free);
        if retention_days == 0 {
            return None;
        }
        let per_day = self.per_day(now, free)?;
        let (left, whole) = (free as f64 / per_day, size as f64 / per_day);
        (whole < f64::from(retention_days)).then(|| {
            format!(
                "{left:.1} days until the disk is full, at {:.1} GB a day; the whole disk holds {whole:.1} days, \
                 the retention is {retention_days} days",
                per_day / 1e9
            )
        })
    }
}
