//! The program's own log.

use std::sync::Arc;

use super::{Outlet, OutletError};
use crate::alarms::{Change, Event, Severity};

/// Alarms in the log, at a level that fits.
#[derive(Debug)]
pub(crate) struct LogOutlet;

impl Outlet for LogOutlet {
    fn name(&self) -> String {
        "log".into()
    }

    fn send(&mut self, events: &[Arc<Event>]) -> Result<(), OutletError> {
        for event in events {
            write(event);
        }
        Ok(())
    }
}

fn write(event: &Event) {
    let (id, severity) = (event.alarm.id.name(), event.alarm.id.severity());
    let detail = crate::alarms::text::printable(&event.alarm.detail);
    match (event.change, severity) {
        (Change::Cleared, _) => tracing::warn!(alarm = id, "alarm cleared: {detail}"),
        (Change::Raised, Severity::Critical | Severity::Major) => {
            tracing::error!(alarm = id, "{severity} alarm: {detail}; {}", event.alarm.id.action())
        }
        (Change::Raised, Severity::Minor | Severity::Warning) => {
            tracing::warn!(alarm = id, "{severity} alarm: {detail}; {}", event.alarm.id.action())
        }
    }
}
