//! What the tables have of a recording.

use base::recording::{Direction, Recording};
use base::{RecordingId, Timestamp};

use super::party;
use crate::database::{DatabaseError, Row, Value};

/// Low bits of a key, which tell apart what started within the same microsecond.
pub(super) const APART_BITS: u32 = 11;
/// Until the year 2112, in microseconds: what starts later has the keys of then.
const MICROSECONDS_MAX: i64 = (1 << (63 - APART_BITS)) - 1;

/// Everything that is asked about, and what a recording's words are made of. Texts of parties are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) id: String,
    /// Microseconds since 1970.
    pub(super) start_time: i64,
    /// Milliseconds.
    pub(super) duration: i64,
    pub(super) complete: bool,
    pub(super) gaps: bool,
    pub(super) direction: String,
    /// Of the worst stream.
    pub(super) mos: Option<f64>,
    pub(super) node: String,
    pub(super) caller: String,
    pub(super) caller_address: Option<String>,
    pub(super) callee: String,
    pub(super) callee_address: Option<String>,
}

/// Their names, in that order.
pub(super) const NAMES: [&str; 12] = [
    "id",
    "start_time",
    "duration",
    "complete",
    "gaps",
    "direction",
    "mos",
    "node",
    "caller",
    "caller_address",
    "callee",
    "callee_address",
];

impl Columns {
    pub(super) fn of(recording: &Recording) -> Self {
        let address = |header: &Option<String>| {
            header.as_deref().map(|header| party::address(header).to_lowercase())
        };
        let mos = recording.streams.iter().filter_map(|stream| stream.mos);
        Self {
            id: recording.id.to_string(),
            start_time: microseconds(recording.start_time),
            duration: i64::try_from(recording.duration).unwrap_or(i64::MAX),
            complete: recording.complete,
            gaps: !recording.gaps.is_empty(),
            direction: recording.direction.unwrap_or(Direction::Unknown).name().to_owned(),
            mos: mos.min_by(f64::total_cmp).filter(|mos| mos.is_finite()),
            node: recording.node.clone(),
            caller: recording.caller_phone_number.to_lowercase(),
            caller_address: address(&recording.from),
            callee: recording.dialed_phone_number.to_lowercase(),
            callee_address: address(&recording.to),
        }
    }

    pub(super) fn read(row: &Row) -> Result<Self, DatabaseError> {
        let optional = |name| Ok::<_, DatabaseError>(row.optional_text(name)?.map(str::to_owned));
        Ok(Self {
            id: row.text("id")?.to_owned(),
            start_time: row.integer("start_time")?,
            duration: row.integer("duration")?,
            complete: row.bool("complete")?,
            gaps: row.bool("gaps")?,
            direction: row.text("direction")?.to_owned(),
            mos: row.optional_real("mos")?,
            node: row.text("node")?.to_owned(),
            caller: row.text("caller")?.to_owned(),
            caller_address: optional("caller_address")?,
            callee: row.text("callee")?.to_owned(),
            callee_address: optional("callee_address")?,
        })
    }

    pub(super) fn parties(&self) -> [Option<&str>; 4] {
        [
            Some(&self.caller),
            self.caller_address.as_deref(),
            Some(&self.callee),
            self.callee_address.as_deref(),
        ]
    }

    /// In the order of [`NAMES`].
    pub(super) fn values(self) -> [Value; 12] {
        [
            self.id.into(),
            self.start_time.into(),
            self.duration.into(),
            self.complete.into(),
            self.gaps.into(),
            self.direction.into(),
            self.mos.into(),
            self.node.into(),
            self.caller.into(),
            self.caller_address.into(),
            self.callee.into(),
            self.callee_address.into(),
        ]
    }
}

/// As in the catalog: `recording.json` has no finer times.
pub(super) fn microseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// The first key of what starts at this microsecond. Keys are ordered by start.
pub(super) fn first_key(start_time: i64) -> i64 {
    start_time.clamp(0, MICROSECONDS_MAX) << APART_BITS
}

/// The key that a recording has unless another has it already; then it has the next that is free.
pub(super) fn key(start_time: i64, id: RecordingId) -> i64 {
    // Behind the time (48 bits) and the version (4 bits) of a UUIDv7 comes what differs by call.
    let text = id.to_string();
    let differs = text.get(15..18).and_then(|digits| i64::from_str_radix(digits, 16).ok());
    first_key(start_time) | (differs.unwrap_or(0) >> (12 - APART_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_start_and_then_of_ids() {
        let id = |text: &str| text.parse::<RecordingId>().unwrap();
        let (low, high) = (
            id("01900000-0000-7001-8000-000000000000"),
            id("01900000-0000-7fff-8000-000000000000"),
        );
        assert_eq!(key(5, low), first_key(5));
        assert!(key(5, low) < key(5, high) && key(5, high) < key(6, low));
        assert!(key(i64::MAX, high) > 0 && key(-1, low) == 0);
    }
}
