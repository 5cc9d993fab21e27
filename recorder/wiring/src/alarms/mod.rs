//! Alarms: what is wrong, how bad, since when, what to do.
//!
//! In: conditions, set by whoever knows of them on the [`Board`], and the counts of a live run (`watch`). Out: alarms
//! that rise and clear with hysteresis, and news of them by log, JSON lines, syslog and webhook (`outlets`).
//! [`AlarmId`] is the one table: id, severity, meaning, what to do.
//!
//! Invariants: the board, the watching and the hysteresis read no clock; whoever has news waits for no outlet; every
//! event that does not go out is counted by name.

mod alarm;
mod board;
mod checks;
mod ids;
mod outlets;
mod service;
mod settings;
mod share;
#[cfg(test)]
mod tests;
mod text;
mod watch;

pub use self::alarm::{Alarm, Change, Event};
pub use self::board::{Board, Moment};
pub(crate) use self::checks::Filling;
pub use self::ids::{AlarmId, Severity};
pub(crate) use self::outlets::State;
pub(crate) use self::service::{Alarms, Scene, state_of};
pub(crate) use self::settings::Settings;
pub(crate) use self::text::table;
pub(crate) use self::watch::{Calls, Sample};

impl Moment {
    /// Now, by the system's clocks.
    #[must_use]
    pub(crate) fn now() -> Self {
        let monotonic = std::time::Duration::from_nanos(crate::clock::monotonic());
        Self { monotonic, wall: crate::clock::now() }
    }
}
