//! Alarms as people and other programs read them.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Alarm, Event};

/// An event as one JSON object without line breaks: `event`, `node`, `time`, `alarm`.
pub(super) fn json(event: &Event, node: &str) -> String {
    #[derive(Serialize)]
    struct Shape<'a> {
        event: &'static str,
        node: &'a str,
        time: base::Timestamp,
        alarm: &'a Alarm,
    }
    let (time, alarm) = (event.time(), &event.alarm);
    let shape = Shape { event: event.change.name(), node, time, alarm };
    // Of strings, numbers and times: there is nothing in it that cannot be written.
    serde_json::to_string(&shape).unwrap_or_default()
}

/// Alarms for a terminal; a line that says so if there are none.
pub(crate) fn table(alarms: &[Alarm]) -> String {
    if alarms.is_empty() {
        return "no alarms".to_owned();
    }
    let mut table = String::new();
    for (index, alarm) in alarms.iter().enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        // Writing to a string does not fail.
        let _ = write!(table, "{separator}{}", entry(alarm));
    }
    table
}

fn entry(alarm: &Alarm) -> String {
    let mut entry = format!(
        "{:<8}  {}  since {}",
        alarm.id.severity().name().to_uppercase(),
        alarm.id,
        alarm.since
    );
    if let Some(cleared) = alarm.cleared {
        let _ = write!(entry, ", cleared {cleared}");
    }
    if alarm.count > 1 {
        let _ = write!(entry, ", {} times", alarm.count);
    }
    if !alarm.detail.is_empty() {
        let _ = write!(entry, "\n          {}", printable(&alarm.detail));
    }
    let _ = write!(entry, "\n          {}", alarm.id.meaning());
    if alarm.cleared.is_none() {
        let _ = write!(entry, "\n          -> {}", alarm.id.action());
    }
    entry
}

/// Without control characters: a detail may name what came off the wire.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
