//! What is asked of the catalog, and the SQL for it. Values are always bound, never written into it.

use base::Timestamp;
use base::recording::Recording;
use rusqlite::types::Value;

use super::party;

/// Which recordings. Everything that is set must hold; the default lets all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Started at this time or later.
    pub from: Option<Timestamp>,
    /// Started before this time.
    pub to: Option<Timestamp>,
    /// The number or address (`user@host`) of the caller or the callee, in any case; `*` stands for
    /// anything.
    pub party: Option<String>,
    /// The Call-ID of one of the legs.
    pub call_id: Option<String>,
    /// At least so long, milliseconds.
    pub duration_min: Option<u64>,
    /// At most so long, milliseconds.
    pub duration_max: Option<u64>,
    /// Only those that something is missing from.
    pub incomplete: bool,
}

/// By start time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Latest first.
    #[default]
    Latest,
    /// Earliest first.
    Earliest,
}

/// A place in the order: behind one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    start_time: i64,
    id: String,
}

impl Cursor {
    /// The place behind `recording`.
    #[must_use]
    pub fn behind(recording: &Recording) -> Self {
        Self { start_time: microseconds(recording.start_time), id: recording.id.to_string() }
    }
}

/// As in the catalog: `recording.json` has no finer times.
pub(super) fn microseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// A beginning of an id as the catalog writes ids; `None` if no id begins so.
pub(super) fn id_beginning(prefix: &str) -> Option<String> {
    let digits: String = prefix.trim().chars().filter(|c| *c != '-').collect();
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut beginning = String::with_capacity(36);
    for (place, digit) in digits.to_ascii_lowercase().chars().enumerate() {
        if [8, 12, 16, 20].contains(&place) {
            beginning.push('-');
        }
        beginning.push(digit);
    }
    Some(beginning)
}

/// Conditions and the values bound to them, in order.
#[derive(Default)]
struct Where {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Where {
    /// Binds `value`; how a condition refers to it.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn and(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn compare(&mut self, column_and_operator: &str, value: u64) {
        let value = self.bind(i64::try_from(value).unwrap_or(i64::MAX));
        self.and(format!("{column_and_operator} {value}"));
    }

    fn of(filter: &Filter) -> Self {
        let mut all = Self::default();
        // The next whole microsecond: what started within the one before did so earlier.
        if let Some(from) = filter.from {
            all.compare("start_time >=", from.as_nanos().div_ceil(1_000));
        }
        if let Some(to) = filter.to {
            all.compare("start_time <", to.as_nanos().div_ceil(1_000));
        }
        if let Some(duration) = filter.duration_min {
            all.compare("duration >=", duration);
        }
        if let Some(duration) = filter.duration_max {
            all.compare("duration <=", duration);
        }
        if let Some(party) = &filter.party {
            let pattern = all.bind(party::like(party));
            let columns = ["caller", "caller_address", "callee", "callee_address"];
            let any = columns.map(|column| format!("{column} LIKE {pattern} ESCAPE '\\'"));
            all.and(format!("({})", any.join(" OR ")));
        }
        if let Some(call_id) = &filter.call_id {
            let call_id = all.bind(call_id.clone());
            all.and(format!(
                "recording IN (SELECT recording FROM calls WHERE call_id = {call_id})"
            ));
        }
        if filter.incomplete {
            all.and("NOT complete".to_owned());
        }
        all
    }

    fn sql(&self) -> String {
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!("WHERE {}", self.conditions.join(" AND ")),
        }
    }
}

/// The statement whose first column is the metadata, and its values.
pub(super) fn select(
    filter: &Filter,
    order: Order,
    after: Option<&Cursor>,
) -> (String, Vec<Value>) {
    let (direction, beyond) = match order {
        Order::Earliest => ("ASC", ">"),
        Order::Latest => ("DESC", "<"),
    };
    let mut all = Where::of(filter);
    if let Some(Cursor { start_time, id }) = after {
        let (start_time, id) = (all.bind(*start_time), all.bind(id.clone()));
        all.and(format!("(start_time, id) {beyond} ({start_time}, {id})"));
    }
    let sql = format!(
        "SELECT json FROM recordings JOIN documents USING (recording) {} \
         ORDER BY start_time {direction}, id {direction}",
        all.sql()
    );
    (sql, all.values)
}

pub(super) fn count(filter: &Filter) -> (String, Vec<Value>) {
    let all = Where::of(filter);
    (format!("SELECT count(*) FROM recordings {}", all.sql()), all.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ids_are_spelt_as_stored() {
        let whole = "01900000-AbCd-7000-8000-000000000001";
        assert_eq!(id_beginning(whole).as_deref(), Some(whole.to_lowercase().as_str()));
        assert_eq!(id_beginning("01900000").as_deref(), Some("01900000"));
        assert_eq!(id_beginning("01900000a").as_deref(), Some("01900000-a"));
        assert_eq!(id_beginning("01900000-").as_deref(), Some("01900000"));
        for bad in ["", "-", "xyz", "0190%", &"0".repeat(33)] {
            assert_eq!(id_beginning(bad), None, "{bad}");
        }
    }
}
