//! How recordings are found: by the words that lead to few of them, or, where there are none such, one after the
//! other in the order of time.
//!
//! Everything works within a window of keys, and keys are ordered by start; so a page begins where the one before it
//! ended, however far down that is.
//!
//! - SQLite's list of a word is in the order of keys and read as far as needed: one question, whose work grows with
//!   what it passes over.
//! - PostgreSQL's (GIN) is a set: a window that is small first, and grows up to eightfold until it has given enough,
//!   bounds what is read for nothing. A window of few rows is compared row by row; the times of others are words, too.

use super::filter::{Conditions, Filter, Order};
use super::row::first_key;
use super::statistics::Statistics;
use super::words::{self, Clause};
use super::{Catalog, CatalogError, microseconds_up, write};
use crate::database::{Kind, Value};

/// Clauses that are looked up; the others are compared.
const CLAUSES_MAX: usize = 6;
/// A clause that nearly all recordings fulfil is not worth being looked up.
const NEARLY_ALL: f64 = 0.97;
/// A clause that fewer recordings fulfil is looked up in any case,
const COMMON: f64 = 0.2;
/// and another if the clauses before it leave so much of it: looking an entry up takes some hundredth of the time that
/// comparing a row does.
const WORTH: f64 = 50.0;
/// A clause of more words than this takes long to look up: only if so few recordings fulfil it.
const WIDE: (usize, f64) = (64, 0.01);
/// Keys of a microsecond may go beyond it, if thousands of calls began within it: by at most this, microseconds.
const BEYOND: i64 = 1_000;
/// Rows that a first window has at least, and at most as far as is measured.
const WINDOW_ROWS: (f64, f64) = (500.0, 2_000.0);
/// Rows that are compared one after the other rather than found by their words.
const COMPARED_MAX: f64 = 20_000.0;
/// How much wider the next window is at most.
const GROWTH: i64 = 8;
/// Rows that are looked at to count.
const COUNTED_MAX: i64 = 2_000;
/// PostgreSQL: if more recordings than this have the words, they are counted in the latest of so many times the rows.
const COUNTED_OF_ALL: f64 = 0.005;
const COUNTED_WITHIN: f64 = 1.2;

/// How many recordings pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many do.
    pub count: u64,
    /// Whether that is all; else there are at least so many: 2,000 recordings are looked at.
    pub exact: bool,
}

/// Keys from the first up to, not including, the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys(i64, i64);

impl Keys {
    pub(super) fn of(filter: &Filter) -> Self {
        let from = filter.from.map_or(0, |from| first_key(microseconds_up(from)));
        let to =
            filter.to.map_or(i64::MAX, |to| first_key(microseconds_up(to).saturating_add(BEYOND)));
        Self(from, to)
    }

    /// What comes behind a key.
    pub(super) fn behind(self, key: i64, order: Order) -> Self {
        match order {
            Order::Latest => Self(self.0, self.1.min(key)),
            Order::Earliest => Self(self.0.max(key.saturating_add(1)), self.1),
        }
    }

    fn is_empty(self) -> bool {
        self.0 >= self.1
    }
}

/// A question, and how it is to be answered.
pub(super) struct Search<'a> {
    catalog: &'a Catalog,
    conditions: Conditions,
    /// The clauses that are looked up, rarest first.
    clauses: Vec<Clause>,
    /// The share of recordings that fulfil them, if they have nothing to do with each other.
    share: f64,
    /// There are a few at most, and they are found by what is asked.
    few: bool,
    /// What is asked contradicts itself.
    none: bool,
}

const fn direction(order: Order) -> &'static str {
    match order {
        Order::Earliest => "ASC",
        Order::Latest => "DESC",
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(catalog: &'a Catalog, filter: &Filter, statistics: &Statistics) -> Self {
        let mut clauses: Vec<(f64, Clause)> = words::must_have(filter)
            .into_iter()
            .map(|clause| (statistics.share(&clause), clause))
            .collect();
        let none = clauses.iter().any(|(_, clause)| clause.words.is_empty());
        clauses.retain(|(share, clause)| clause.words.len() <= WIDE.0 || *share <= WIDE.1);
        clauses.sort_by(|one, other| {
            one.0.total_cmp(&other.0).then(one.1.words.len().cmp(&other.1.words.len()))
        });
        let (mut together, mut chosen): (f64, Vec<Clause>) = (1.0, Vec::new());
        for (share, clause) in clauses {
            let is_worth_it = share <= COMMON || share <= together * WORTH;
            if chosen.len() < CLAUSES_MAX && share < NEARLY_ALL && is_worth_it {
                // The rarest stretch of a party comes first, and says most of what the others do.
                if !(clause.of_party && chosen.iter().any(|other| other.of_party)) {
                    together *= share;
                }
                chosen.push(clause);
            }
        }
        Self {
            catalog,
            conditions: Conditions::of(filter),
            clauses: chosen,
            share: together,
            few: filter.call_id.is_some(),
            none,
        }
    }

    /// At most `limit` keys within `keys`, in `order`.
    pub(super) fn find(
        &self,
        keys: Keys,
        order: Order,
        limit: usize,
    ) -> Result<Vec<i64>, CatalogError> {
        if self.none || keys.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        match self.catalog.database().kind() {
            Kind::Postgres if !self.few => self.by_windows(keys, order, limit),
            _ => self.ask(keys, order, limit),
        }
    }

    /// SQLite: rows in the order of keys, read as far as needed, and what their key is called: a list of a word is read
    /// from its own number of a row on, but not from another table's.
    fn in_order(&self) -> (String, &'static str) {
        if self.few || self.clauses.is_empty() {
            return ("recordings r WHERE 1 = 1".to_owned(), "r.recording");
        }
        let any = |clause: &Clause| {
            let tokens = clause.words.iter().map(|word| format!("\"{}\"", write::token(*word)));
            format!("({})", tokens.collect::<Vec<_>>().join(" OR "))
        };
        let all: Vec<_> = self.clauses.iter().map(any).collect();
        let rows = format!(
            "words w CROSS JOIN recordings r ON r.recording = w.rowid WHERE w.words MATCH '{}'",
            all.join(" AND ")
        );
        (rows, "w.rowid")
    }

    /// Everything that there is, in order.
    fn ask(
        &self,
        Keys(from, to): Keys,
        order: Order,
        limit: usize,
    ) -> Result<Vec<i64>, CatalogError> {
        let mut all = self.conditions.clone();
        let (rows, key) = self.in_order();
        let (from, to) = (all.bind(from), all.bind(to));
        let limit = all.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let sql = format!(
            "SELECT r.recording AS recording FROM {rows} AND {key} >= {from} AND {key} < {to} AND {} \
             ORDER BY {key} {} LIMIT {limit}",
            all.sql(),
            direction(order),
        );
        self.keys(&sql, &all.values)
    }

    fn keys(&self, sql: &str, values: &[Value]) -> Result<Vec<i64>, CatalogError> {
        let rows = self.catalog.database().query(sql, values)?;
        rows.iter().map(|row| Ok(row.integer("recording")?)).collect()
    }

    fn by_windows(&self, keys: Keys, order: Order, limit: usize) -> Result<Vec<i64>, CatalogError> {
        let rows = (limit as f64 * 2.0 / self.share).max(WINDOW_ROWS.0);
        let Some((mut rest, mut width)) = self.first_window(keys, order, rows)? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut by_words = rows > COMPARED_MAX;
        while !rest.is_empty() && found.len() < limit {
            let window = match order {
                Order::Latest => Keys(rest.0.max(rest.1.saturating_sub(width)), rest.1),
                Order::Earliest => Keys(rest.0, rest.1.min(rest.0.saturating_add(width))),
            };
            let more = self.window(window, order, limit - found.len(), by_words)?;
            width = width.saturating_mul(growth(more.len(), limit - found.len()));
            found.extend(more);
            // The words have more to do with each other than was thought.
            by_words = true;
            rest = match order {
                Order::Latest => Keys(rest.0, window.0),
                Order::Earliest => Keys(window.1, rest.1),
            };
        }
        Ok(found)
    }

    /// What there is of these keys, and how wide a window is that holds so many rows, by how close they are at the
    /// beginning. None if there are no recordings.
    fn first_window(
        &self,
        Keys(from, to): Keys,
        order: Order,
        rows: f64,
    ) -> Result<Option<(Keys, i64)>, CatalogError> {
        let measured = rows.min(WINDOW_ROWS.1);
        let other = match order {
            Order::Latest => Order::Earliest,
            Order::Earliest => Order::Latest,
        };
        let mut all = Conditions::default();
        let (least, most) = (all.bind(from), all.bind(to));
        let skipped = all.bind(measured as i64);
        let row = |order| {
            let order = direction(order);
            format!(
                "SELECT recording FROM recordings WHERE recording >= {least} AND recording < {most} \
                 ORDER BY recording {order}"
            )
        };
        let (begins, ends) = (row(order), row(other));
        let sql = format!(
            "SELECT ({begins} LIMIT 1) AS begins, ({ends} LIMIT 1) AS ends, \
             ({begins} OFFSET {skipped} LIMIT 1) AS edge"
        );
        let rows_found = self.catalog.database().query(&sql, &all.values)?;
        let end = |name| match rows_found.first() {
            Some(row) => row.optional_integer(name),
            None => Ok(None),
        };
        let (Some(begin), Some(last)) = (end("begins")?, end("ends")?) else { return Ok(None) };
        let keys = Keys(begin.min(last), begin.max(last).saturating_add(1));
        // There are fewer than that: one window holds them all.
        let Some(edge) = end("edge")? else { return Ok(Some((keys, i64::MAX))) };
        let span = begin.abs_diff(edge) as f64 * (rows / measured);
        Ok(Some((keys, (span as i64).max(1))))
    }

    fn window(
        &self,
        Keys(from, to): Keys,
        order: Order,
        limit: usize,
        by_words: bool,
    ) -> Result<Vec<i64>, CatalogError> {
        let mut all = self.conditions.clone();
        let by_words = by_words && !self.clauses.is_empty();
        let rows = self.within(Keys(from, to), by_words, &mut all);
        let limit = all.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        // Apart, so that the planner finds all of a window in the best way, and does not hope to meet enough of them
        // soon by going through all in order.
        let sql = format!(
            "WITH hits AS MATERIALIZED (SELECT r.recording FROM {rows} AND {}) \
             SELECT recording FROM hits ORDER BY recording {} LIMIT {limit}",
            all.sql(),
            direction(order)
        );
        self.keys(&sql, &all.values)
    }

    /// PostgreSQL: the rows of a window, by their words alone, or by their keys.
    fn within(&self, Keys(from, to): Keys, by_words: bool, all: &mut Conditions) -> String {
        let within = words::within(from, to.saturating_sub(1));
        let (from, to) = (all.bind(from), all.bind(to));
        if !by_words {
            return format!("recordings r WHERE r.recording >= {from} AND r.recording < {to}");
        }
        let clauses = self.clauses.iter().chain(&within).map(|clause| any_of(clause, all));
        let clauses: Vec<_> = clauses.collect();
        // The sum is no column: so the planner does not take the list of all keys of a window for the better one.
        format!(
            "recordings r WHERE {} AND r.recording + 0 >= {from} AND r.recording + 0 < {to}",
            clauses.join(" AND ")
        )
    }

    /// How many there are within `keys`.
    pub(super) fn count(&self, keys: Keys) -> Result<Count, CatalogError> {
        let window = if self.none { None } else { self.counted(keys)? };
        let Some((keys, is_all)) = window else { return Ok(Count { count: 0, exact: true }) };
        let mut all = self.conditions.clone();
        let conditions = all.sql();
        let rows = match self.catalog.database().kind() {
            Kind::File if !self.few => {
                let (from, to) = (all.bind(keys.0), all.bind(keys.1));
                let (rows, key) = self.in_order();
                format!("{rows} AND {key} >= {from} AND {key} < {to}")
            }
            _ => {
                let rows = self.within(keys, !self.few && !self.clauses.is_empty(), &mut all);
                // Otherwise each would count as looked at.
                if self.few { format!("{rows} AND {conditions}") } else { rows }
            }
        };
        let max = all.bind(COUNTED_MAX + 1);
        let sql = format!(
            "SELECT count(*) AS seen, CAST(coalesce(sum(CASE WHEN passes THEN 1 ELSE 0 END), 0) AS BIGINT) \
             AS passed FROM (SELECT ({conditions}) AS passes FROM {rows} LIMIT {max}) AS looked_at"
        );
        let rows = self.catalog.database().query(&sql, &all.values)?;
        let number = |name| rows.first().map_or(Ok(0), |row| row.integer(name));
        let (seen, passed) = (number("seen")?, number("passed")?);
        let exact = is_all && seen <= COUNTED_MAX;
        Ok(Count { count: passed.min(COUNTED_MAX).unsigned_abs(), exact })
    }

    /// Of which keys are counted, and whether that is all of them. None if there are no recordings.
    fn counted(&self, keys: Keys) -> Result<Option<(Keys, bool)>, CatalogError> {
        let is_server = self.catalog.database().kind() == Kind::Postgres;
        if !is_server || self.few || self.clauses.is_empty() || self.share <= COUNTED_OF_ALL {
            return Ok(Some((keys, true)));
        }
        let rows = COUNTED_MAX as f64 * COUNTED_WITHIN / self.share;
        let window = self.first_window(keys, Order::Latest, rows)?;
        Ok(window.map(|(all, width)| {
            let least = all.0.max(all.1.saturating_sub(width));
            (Keys(least, all.1), least == all.0)
        }))
    }
}

/// How many times as wide the next window is, if one gave `given` of `wanted`: twice what the rest should need.
fn growth(given: usize, wanted: usize) -> i64 {
    let rest = wanted.saturating_sub(given) as i64;
    (rest * 2).checked_div(given as i64).unwrap_or(GROWTH).clamp(1, GROWTH)
}

/// PostgreSQL: the condition that a row has one of these words. Bound, so that there are few different statements: a
/// connection keeps each that it was given.
fn any_of(clause: &Clause, all: &mut Conditions) -> String {
    let operator = if clause.words.len() == 1 { "@>" } else { "&&" };
    format!("r.words {operator} {}", all.bind(Value::Numbers(clause.words.clone())))
}
