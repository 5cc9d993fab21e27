//! How common words are, by a sample of the rows: which of a search's words lead to few recordings.

use std::collections::HashMap;

use super::row::Columns;
use super::words::{self, Clause, Word};
use super::{Catalog, CatalogError};

/// Rows from so many places, evenly over time.
const PLACES: i64 = 12;
/// Rows from each place.
const ROWS: i64 = 80;
/// How common a word is that no row of the sample has.
const RARE: f64 = 0.000_5;
/// Searches until another sample is taken.
pub(super) const RENEWED_AFTER: u32 = 1_000;

/// What the sample says.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    shares: HashMap<Word, f64>,
}

impl Statistics {
    pub(super) fn sample(catalog: &Catalog) -> Result<Self, CatalogError> {
        let database = catalog.database();
        // Two questions: SQLite finds one end of an index at once, but not both.
        let end = |which: &str| -> Result<Option<i64>, CatalogError> {
            let sql = format!("SELECT {which}(recording) AS recording FROM recordings");
            let rows = database.query(&sql, &[])?;
            Ok(rows.first().map(|row| row.optional_integer("recording")).transpose()?.flatten())
        };
        let (Some(first), Some(last)) = (end("min")?, end("max")?) else {
            return Ok(Self::default());
        };
        let (mut counts, mut rows) = (HashMap::<Word, u32>::new(), 0_u32);
        let sql = "SELECT * FROM recordings WHERE recording >= $1 ORDER BY recording LIMIT $2";
        for place in 0..PLACES {
            let from = first + (last - first) / PLACES * place;
            for row in database.query(sql, &[from.into(), ROWS.into()])? {
                rows += 1;
                for word in words::of(&Columns::read(&row)?, &words::Said::default()) {
                    *counts.entry(word).or_default() += 1;
                }
            }
        }
        let share = |count| f64::from(count) / f64::from(rows.max(1));
        let shares = counts.into_iter().map(|(word, count)| (word, share(count))).collect();
        Ok(Self { shares })
    }

    /// The share of recordings that may fulfil a clause.
    pub(super) fn share(&self, clause: &Clause) -> f64 {
        let known = clause.words.iter().filter_map(|word| self.shares.get(word));
        known.sum::<f64>().clamp(RARE, 1.0)
    }
}
