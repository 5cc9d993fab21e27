//! What is asked of the catalog, and the SQL for it. Values are always bound, never written into it.

use base::recording::Direction;
use base::{Timestamp, limits};

use super::{CatalogError, party};
use crate::database::Value;

/// Which recordings. Everything that is set must hold; the default lets all pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Started at this time or later.
    pub from: Option<Timestamp>,
    /// Started before this time.
    pub to: Option<Timestamp>,
    /// The number or address (`user@host`) of the caller or the callee, in any case; `*` stands for anything.
    pub party: Option<String>,
    /// The Call-ID of one of the legs.
    pub call_id: Option<String>,
    /// At least so long, milliseconds.
    pub duration_min: Option<u64>,
    /// At most so long, milliseconds.
    pub duration_max: Option<u64>,
    /// Which way the call went; what an older release recorded went an unknown way.
    pub direction: Option<Direction>,
    /// The MOS of one of the streams is at most this.
    pub mos_max: Option<f64>,
    /// Only those that something is missing from.
    pub incomplete: bool,
    /// Only those that have gaps.
    pub gaps: bool,
    /// Only those that are held, or only those that are not.
    pub held: Option<bool>,
    /// All of these labels.
    pub labels: Vec<String>,
    /// All of these: a key of the free metadata, and its value.
    pub metadata: Vec<(String, String)>,
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

impl Filter {
    /// Whether it asks for no more than can be asked.
    ///
    /// # Errors
    /// What is too long, or too many.
    pub fn check(&self) -> Result<(), CatalogError> {
        let too =
            |what: &str, max: usize| Err(CatalogError::Asked(format!("{what}; at most {max}")));
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        if text(&self.party).max(text(&self.call_id)) > limits::SEARCH_TEXT_BYTES_MAX {
            return too(
                "the party or Call-ID is too long, in bytes",
                limits::SEARCH_TEXT_BYTES_MAX,
            );
        }
        if self.labels.len().max(self.metadata.len()) > limits::SEARCH_LABELS_MAX {
            return too("too many labels or metadata are asked for", limits::SEARCH_LABELS_MAX);
        }
        Ok(())
    }
}

/// Conditions on `recordings r`, and the values bound to them, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    all: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Binds `value`; how a condition refers to it.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    pub(super) fn and(&mut self, condition: String) {
        self.all.push(condition);
    }

    fn compare(&mut self, column_and_operator: &str, value: u64) {
        let value = self.bind(i64::try_from(value).unwrap_or(i64::MAX));
        self.and(format!("{column_and_operator} {value}"));
    }

    /// Everything that the filter says.
    pub(super) fn of(filter: &Filter) -> Self {
        let mut all = Self::default();
        // The next whole microsecond: what started within the one before did so earlier.
        if let Some(from) = filter.from {
            all.compare("r.start_time >=", from.as_nanos().div_ceil(1_000));
        }
        if let Some(to) = filter.to {
            all.compare("r.start_time <", to.as_nanos().div_ceil(1_000));
        }
        if let Some(duration) = filter.duration_min {
            all.compare("r.duration >=", duration);
        }
        if let Some(duration) = filter.duration_max {
            all.compare("r.duration <=", duration);
        }
        if let Some(party) = &filter.party {
            let pattern = all.bind(party::like(&party::wanted(party)));
            let columns = ["caller", "caller_address", "callee", "callee_address"];
            let any = columns.map(|column| format!("r.{column} LIKE {pattern} ESCAPE '\\'"));
            all.and(format!("({})", any.join(" OR ")));
        }
        if let Some(call_id) = &filter.call_id {
            let call_id = all.bind(call_id);
            all.and(format!(
                "r.recording IN (SELECT recording FROM calls WHERE call_id = {call_id})"
            ));
        }
        if let Some(direction) = filter.direction {
            let direction = all.bind(direction.name());
            all.and(format!("r.direction = {direction}"));
        }
        if let Some(mos) = filter.mos_max {
            let mos = all.bind(mos);
            all.and(format!("r.mos <= {mos}"));
        }
        if filter.incomplete {
            all.and("NOT r.complete".to_owned());
        }
        if filter.gaps {
            all.and("r.gaps".to_owned());
        }
        all.said(filter);
        all
    }

    /// What people say of it.
    fn said(&mut self, filter: &Filter) {
        for label in &filter.labels {
            let label = self.bind(label);
            self.and(format!(
                "EXISTS (SELECT 1 FROM labels l WHERE l.id = r.id AND l.label = {label})"
            ));
        }
        for (key, value) in &filter.metadata {
            let (key, value) = (self.bind(key), self.bind(value));
            self.and(format!(
                "EXISTS (SELECT 1 FROM metadata m WHERE m.id = r.id AND m.name = {key} AND m.value = {value})"
            ));
        }
        let held = "EXISTS (SELECT 1 FROM holds h WHERE h.id = r.id)";
        match filter.held {
            Some(true) => self.and(held.to_owned()),
            Some(false) => self.and(format!("NOT {held}")),
            None => {}
        }
    }

    /// One condition of all of them.
    pub(super) fn sql(&self) -> String {
        if self.all.is_empty() { "1 = 1".to_owned() } else { self.all.join(" AND ") }
    }
}
