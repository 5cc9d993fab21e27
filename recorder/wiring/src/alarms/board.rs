//! The board: who knows of a condition sets it here, and alarms rise and clear with hysteresis.
//!
//! Conditions are levels: [`Board::set`] says that one holds or does not, as often as one likes. [`Board::tick`],
//! called a few times a second with the time, turns them into alarms: one rises when its condition has held for
//! [`AlarmId::raise_after`], and clears when it has been gone for [`AlarmId::clear_after`]. So a condition that flaps
//! gives one alarm, with a count. The board reads no clock, and holds a bounded amount.
//!
//! It is locked for a moment: not for a capture core.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Timestamp;
use base::limits::{ALARM_CAUSES_MAX, ALARM_DETAIL_BYTES_MAX, ALARM_HISTORY_MAX};

use super::alarm::{Alarm, Change, Event};
use super::ids::AlarmId;

/// A moment on both clocks: holding times go by the one that is never stepped, what people read by the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: Timestamp,
}

/// A handle to the board; a clone is the same board.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<State>>);

impl Board {
    /// A board on which nothing is wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that a condition holds, and what exactly is wrong; or, with `None`, that it does not.
    pub fn set(&self, id: AlarmId, detail: Option<String>) {
        self.set_part(id, 0, detail);
    }

    /// The same for a condition that several parts of the program know of, each for itself: the number tells them
    /// apart (a core, a journal). The condition holds as long as it does for one of them.
    pub fn set_part(&self, id: AlarmId, part: u32, detail: Option<String>) {
        self.lock().conditions.entry(id).or_default().set(part, detail);
    }

    /// Says that something has happened: a condition that held for a moment.
    pub fn happened(&self, id: AlarmId, detail: String) {
        self.lock().conditions.entry(id).or_default().happened(detail);
    }

    /// Lets alarms rise and clear, and gives the news, in the order of the ids.
    pub fn tick(&self, now: Moment) -> Vec<Event> {
        let mut guard = self.lock();
        let State { conditions, history } = &mut *guard;
        let mut events = Vec::new();
        for (id, condition) in conditions.iter_mut() {
            let Some(event) = condition.tick(*id, now) else { continue };
            if event.change == Change::Cleared {
                history.push_back(event.alarm.clone());
                if history.len() > ALARM_HISTORY_MAX {
                    history.pop_front();
                }
            }
            events.push(event);
        }
        conditions.retain(|_, condition| !condition.is_over());
        events
    }

    /// What is wrong, if the condition holds now; whether its alarm is up already or not.
    pub(crate) fn holds(&self, id: AlarmId) -> Option<String> {
        let guard = self.lock();
        let condition = guard.conditions.get(&id).filter(|it| !it.causes.is_empty())?;
        Some(condition.detail.clone())
    }

    /// The same as one part of the program says it.
    pub(crate) fn holds_part(&self, id: AlarmId, part: u32) -> Option<String> {
        self.lock().conditions.get(&id)?.causes.get(&part).cloned()
    }

    /// What is wrong, if the alarm is up.
    pub(crate) fn raised_detail(&self, id: AlarmId) -> Option<String> {
        self.lock().conditions.get(&id)?.alarm.as_ref().map(|alarm| alarm.detail.clone())
    }

    /// The alarms that are up: the worst first, of those the newest.
    #[must_use]
    pub fn raised(&self) -> Vec<Alarm> {
        let guard = self.lock();
        let mut raised: Vec<_> =
            guard.conditions.values().filter_map(|it| it.alarm.clone()).collect();
        raised.sort_by_key(|it| (it.id.severity(), std::cmp::Reverse(it.raised), it.id));
        raised
    }

    /// The alarms that cleared lately, the newest first.
    #[must_use]
    pub fn history(&self) -> Vec<Alarm> {
        self.lock().history.iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    conditions: BTreeMap<AlarmId, Condition>,
    history: VecDeque<Alarm>,
}

/// What is known of one condition.
#[derive(Debug, Default)]
struct Condition {
    /// Who says that it holds, and why.
    causes: BTreeMap<u32, String>,
    /// It held since the last tick, and may be gone by now.
    pulsed: bool,
    /// As last said.
    detail: String,
    /// Since when it holds, as long as its alarm is not up.
    since: Option<Moment>,
    /// Since when it is gone, while its alarm is up.
    gone: Option<Moment>,
    alarm: Option<Alarm>,
}

impl Condition {
    fn set(&mut self, part: u32, detail: Option<String>) {
        match detail {
            Some(detail) => {
                if self.causes.contains_key(&part) || self.causes.len() < ALARM_CAUSES_MAX {
                    self.causes.insert(part, shortened(detail));
                }
                self.pulsed = true;
                self.describe();
            }
            None if self.causes.remove(&part).is_some() => self.describe(),
            None => {}
        }
    }

    fn happened(&mut self, detail: String) {
        self.pulsed = true;
        self.detail = shortened(detail);
    }

    /// Of what is gone, the last words are kept.
    fn describe(&mut self) {
        if !self.causes.is_empty() {
            let causes: Vec<_> = self.causes.values().map(String::as_str).collect();
            self.detail = shortened(causes.join("; "));
        }
    }

    fn tick(&mut self, id: AlarmId, now: Moment) -> Option<Event> {
        let holds = std::mem::take(&mut self.pulsed) || !self.causes.is_empty();
        match (&mut self.alarm, holds) {
            (None, true) => {
                let since = *self.since.get_or_insert(now);
                let long = held(since, now) >= id.raise_after();
                long.then(|| self.raise(id, since, now))
            }
            (None, false) => {
                self.since = None;
                None
            }
            (Some(alarm), true) => {
                alarm.count += u64::from(self.gone.take().is_some());
                alarm.detail.clone_from(&self.detail);
                None
            }
            (Some(_), false) => {
                let gone = *self.gone.get_or_insert(now);
                if held(gone, now) < id.clear_after() { None } else { self.clear(now) }
            }
        }
    }

    fn raise(&mut self, id: AlarmId, since: Moment, now: Moment) -> Event {
        let (since, raised) = (since.wall, now.wall);
        let detail = self.detail.clone();
        let alarm = Alarm { id, since, raised, cleared: None, detail, count: 1 };
        (self.since, self.gone) = (None, None);
        self.alarm = Some(alarm.clone());
        Event { change: Change::Raised, alarm }
    }

    fn clear(&mut self, now: Moment) -> Option<Event> {
        let mut alarm = self.alarm.take()?;
        alarm.cleared = Some(now.wall);
        self.gone = None;
        Some(Event { change: Change::Cleared, alarm })
    }

    fn is_over(&self) -> bool {
        let quiet = self.causes.is_empty() && !self.pulsed;
        quiet && self.alarm.is_none() && self.since.is_none()
    }
}

fn held(since: Moment, now: Moment) -> Duration {
    now.monotonic.saturating_sub(since.monotonic)
}

fn shortened(mut detail: String) -> String {
    let end = detail.floor_char_boundary(ALARM_DETAIL_BYTES_MAX);
    detail.truncate(end);
    detail
}
