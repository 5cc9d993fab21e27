//! How recordings are found: by the words that lead to few of them, or, where there are none such, one after the
//! other in the order of time.
//!
//! Everything works within a window of keys, and keys are ordered by start; so a page begins where the one before it
//! ended, however far down that is.
//!
//! - SQLite's list of a word is in the order of keys and read as far as needed: one question, whose work grows with
//!   what it passes over.
//! - PostgreSQL's (GIN) is a set: a window that is small first, and grows eightfold until it has given enough, bounds
//!   what is read for nothing. Whether rows of a window are found by their words or by their keys is its planner's.

use super::filter::{Conditions, Filter, Order};
use super::row::first_key;
use super::statistics::Statistics;
use super::words::{self, Clause};
use super::{Catalog, CatalogError, microseconds_up, write};
use crate::database::{Kind, Value};

/// A clause that more recordings fulfil does not lead anywhere.
const COMMON: f64 = 0.2;
/// Clauses that are looked up; the others are compared.
const CLAUSES_MAX: usize = 6;
/// Keys of a microsecond may go beyond it, if thousands of calls began within it: by at most this, microseconds.
const BEYOND: i64 = 1_000;
/// Rows that a first window has at least, and at most as far as is measured.
const WINDOW_ROWS: (f64, f64) = (500.0, 2_000.0);
const GROWTH: i64 = 8;
/// Rows that are looked at to count.
const COUNTED_MAX: i64 = 20_000;
/// Found recordings that are counted exactly.
const COUNT_MAX: i64 = 10_000;

/// How many recordings pass a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many do.
    pub count: u64,
    /// Whether that is all; else there are more. Up to some 10,000 are counted.
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
    /// Of the rarest.
    rarest: f64,
    statistics: &'a Statistics,
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
    pub(super) fn new(catalog: &'a Catalog, filter: &Filter, statistics: &'a Statistics) -> Self {
        let mut clauses: Vec<(f64, Clause)> = words::must_have(filter)
            .into_iter()
            .map(|clause| (statistics.share(&clause), clause))
            .collect();
        clauses
            .sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.len().cmp(&other.1.len())));
        let none = clauses.iter().any(|(_, clause)| clause.is_empty());
        let rarest = clauses.first().map_or(1.0, |(share, _)| *share);
        let common = clauses.iter().take_while(|(share, _)| *share <= COMMON).count();
        // All are common: together they may still be rare.
        clauses.truncate(if common > 0 { common.min(CLAUSES_MAX) } else { CLAUSES_MAX });
        let share = clauses.iter().map(|(share, _)| *share).product();
        Self {
            catalog,
            conditions: Conditions::of(filter),
            clauses: clauses.into_iter().map(|(_, clause)| clause).collect(),
            share,
            rarest,
            statistics,
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
            _ if self.few => self.ask(&self.in_order(false), keys, order, limit),
            Kind::File => self.ask(&self.in_order(self.rarest <= COMMON), keys, order, limit),
            Kind::Postgres => self.by_windows(keys, order, limit),
        }
    }

    /// Rows in the order of keys, read as far as needed.
    fn in_order(&self, by_words: bool) -> String {
        match by_words {
            true => format!(
                "words w CROSS JOIN recordings r ON r.recording = w.rowid WHERE {}",
                self.matches()
            ),
            false => "recordings r WHERE 1 = 1".to_owned(),
        }
    }

    /// The condition that a row has the words.
    fn matches(&self) -> String {
        let all = self.clauses.iter();
        match self.catalog.database().kind() {
            Kind::File => {
                let any = |clause: &Clause| {
                    let tokens: Vec<_> =
                        clause.iter().map(|word| format!("\"{}\"", write::token(*word))).collect();
                    format!("({})", tokens.join(" OR "))
                };
                let all: Vec<_> = all.map(any).collect();
                format!("w.words MATCH '{}'", all.join(" AND "))
            }
            Kind::Postgres => {
                let any = |clause: &Clause| {
                    let numbers: Vec<_> = clause.iter().map(i32::to_string).collect();
                    let operator = if numbers.len() == 1 { "@>" } else { "&&" };
                    format!("r.words {operator} '{{{}}}'", numbers.join(","))
                };
                let all: Vec<_> = all.map(any).collect();
                all.join(" AND ")
            }
        }
    }

    fn ask(
        &self,
        rows: &str,
        Keys(from, to): Keys,
        order: Order,
        limit: usize,
    ) -> Result<Vec<i64>, CatalogError> {
        let mut all = self.conditions.clone();
        // SQLite reads a list of a word from a row's number on, but not from another table's number.
        let key = if rows.starts_with("words") { "w.rowid" } else { "r.recording" };
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
        let keys = Keys(keys.0.max(self.statistics.first), keys.1);
        let (mut found, mut rest) = (Vec::new(), keys);
        let mut width = self.first_width(keys, order, limit)?;
        while !rest.is_empty() && found.len() < limit {
            let window = match order {
                Order::Latest => Keys(rest.0.max(rest.1.saturating_sub(width)), rest.1),
                Order::Earliest => Keys(rest.0, rest.1.min(rest.0.saturating_add(width))),
            };
            found.extend(self.window(window, order, limit - found.len())?);
            rest = match order {
                Order::Latest => Keys(rest.0, window.0),
                Order::Earliest => Keys(window.1, rest.1),
            };
            width = width.saturating_mul(GROWTH);
        }
        Ok(found)
    }

    /// How wide a window is that should hold enough, by how close recordings are at its beginning.
    fn first_width(
        &self,
        Keys(from, to): Keys,
        order: Order,
        limit: usize,
    ) -> Result<i64, CatalogError> {
        let rows = (limit as f64 * 2.0 / self.share).max(WINDOW_ROWS.0);
        let measured = rows.min(WINDOW_ROWS.1) as i64;
        let mut all = Conditions::default();
        let (least, most) = (all.bind(from), all.bind(to));
        let skipped = all.bind(measured);
        let sql = format!(
            "SELECT recording FROM recordings WHERE recording >= {least} AND recording < {most} \
             ORDER BY recording {} OFFSET {skipped} LIMIT 1",
            direction(order)
        );
        let Some(edge) = self.keys(&sql, &all.values)?.pop() else {
            return Ok(i64::MAX);
        };
        let span = match order {
            Order::Latest => to.min(self.statistics.last.max(edge)).saturating_sub(edge),
            Order::Earliest => edge.saturating_sub(from),
        };
        // What is beyond the last recording is part of the first window, too.
        let beyond =
            if order == Order::Latest { to.saturating_sub(edge).saturating_sub(span) } else { 0 };
        Ok(((span as f64 * (rows / measured as f64)) as i64).max(1).saturating_add(beyond))
    }

    fn window(
        &self,
        Keys(from, to): Keys,
        order: Order,
        limit: usize,
    ) -> Result<Vec<i64>, CatalogError> {
        let mut all = self.conditions.clone();
        if !self.clauses.is_empty() {
            all.and(self.matches());
        }
        let (from, to) = (all.bind(from), all.bind(to));
        let limit = all.bind(i64::try_from(limit).unwrap_or(i64::MAX));
        // Apart, so that the planner finds all of a window in the best way, and does not hope to meet enough of them
        // soon by going through all in order.
        let sql = format!(
            "WITH hits AS MATERIALIZED (SELECT r.recording FROM recordings r \
             WHERE r.recording >= {from} AND r.recording < {to} AND {}) \
             SELECT recording FROM hits ORDER BY recording {} LIMIT {limit}",
            all.sql(),
            direction(order)
        );
        self.keys(&sql, &all.values)
    }

    /// How many there are within `keys`.
    pub(super) fn count(&self, Keys(from, to): Keys) -> Result<Count, CatalogError> {
        if self.none {
            return Ok(Count { count: 0, exact: true });
        }
        let mut all = self.conditions.clone();
        let is_file = self.catalog.database().kind() == Kind::File;
        let by_words = !self.few && self.rarest <= COMMON;
        let (from, to) = (all.bind(from), all.bind(to));
        let (max, conditions) = (all.bind(COUNTED_MAX), all.sql());
        let rows = match (by_words, is_file) {
            (true, true) => {
                format!("{} AND w.rowid >= {from} AND w.rowid < {to}", self.in_order(true))
            }
            (true, false) => format!(
                "recordings r WHERE {} AND r.recording >= {from} AND r.recording < {to}",
                self.matches()
            ),
            (false, _) if self.few => format!(
                "recordings r WHERE r.recording >= {from} AND r.recording < {to} AND {conditions}"
            ),
            (false, _) => {
                format!("recordings r WHERE r.recording >= {from} AND r.recording < {to}")
            }
        };
        let sql = format!(
            "SELECT count(*) AS seen, CAST(coalesce(sum(CASE WHEN passes THEN 1 ELSE 0 END), 0) AS BIGINT) \
             AS passed FROM (SELECT ({conditions}) AS passes FROM {rows} LIMIT {max}) AS looked_at"
        );
        let rows = self.catalog.database().query(&sql, &all.values)?;
        let number = |name| rows.first().map_or(Ok(0), |row| row.integer(name));
        let (seen, passed) = (number("seen")?, number("passed")?);
        let exact = seen < COUNTED_MAX && passed <= COUNT_MAX;
        Ok(Count { count: passed.min(COUNT_MAX).unsigned_abs(), exact })
    }
}
