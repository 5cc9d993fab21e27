//! Alarms: what is wrong, how bad, since when, what to do.
//!
//! In: conditions, set by whoever knows of them on the [`Board`]. Out: alarms that rise and clear with hysteresis.
//! [`AlarmId`] is the one table: id, severity, meaning, what to do.

mod alarm;
mod board;
mod ids;

pub use self::alarm::{Alarm, Change, Event};
pub use self::board::{Board, Moment};
pub use self::ids::{AlarmId, Severity};
