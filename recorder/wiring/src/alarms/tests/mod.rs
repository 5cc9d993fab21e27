//! Alarms from their causes to their receivers.

mod board;
mod checks;
mod documentation;
mod outlets;
mod receivers;
mod service;
mod watch;

use std::time::Duration;

use base::Timestamp;

use super::*;

/// So many milliseconds after the start, on both clocks.
fn at(millis: u64) -> Moment {
    let monotonic = Duration::from_millis(millis);
    let start = Timestamp::from_nanos(1_780_000_000_000_000_000);
    Moment { monotonic, wall: start.plus(monotonic) }
}

/// The names of alarms that are up.
fn up(board: &Board) -> Vec<&'static str> {
    board.raised().iter().map(|alarm| alarm.id.name()).collect()
}

fn event(change: Change, detail: &str) -> Event {
    let (since, raised) = (at(0).wall, at(10_000).wall);
    let cleared = (change == Change::Cleared).then(|| at(70_000).wall);
    let (id, detail) = (AlarmId::NoPackets, detail.to_owned());
    Event { change, alarm: Alarm { id, since, raised, cleared, detail, count: 2 } }
}
