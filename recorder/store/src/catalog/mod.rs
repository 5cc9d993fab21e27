//! The catalog: which recordings there are, and what is asked about them. In SQLite (a file), or in PostgreSQL, where
//! several nodes share one.
//!
//! It is an index: whatever is in it comes from a `recording.json`, and [`rebuild`] makes it anew from the folders. But
//! what people say of recordings ([`Annotations`]) is nowhere else: it is kept apart, and stays.
//!
//! Commits are flushed: once a recording is in the catalog, the journal that it was made from may be deleted, and after
//! a power cut nothing would tell that a row is missing. The flush is per transaction, so that [`Catalog::insert`] of
//! many recordings pays it once.
//!
//! A damaged SQLite file is set aside under another name, whole with its log, and a new one made: [`set_aside`].

mod annotations;
mod aside;
mod cursor;
mod error;
mod filter;
mod party;
mod rebuild;
mod row;
mod schema;
mod search;
mod statistics;
mod words;
mod write;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::recording::Recording;
use base::{RecordingId, Timestamp};

pub use annotations::{Annotations, Hold};
pub use aside::set_aside;
pub use cursor::{BadCursor, Cursor};
pub use error::CatalogError;
pub use filter::{Filter, Order};
pub use rebuild::{RebuildProblem, Rebuilt, rebuild};
pub use search::Count;

use self::search::{Keys, Search};
use self::statistics::Statistics;
use crate::database::{Database, DatabaseError, DatabasePlace, PATIENCE, Value};

/// What people say of recordings, beside an SQLite catalog.
const ANNOTATIONS_NAME: &str = "annotations.db";
/// Recordings read at once, where all are.
const PAGE: usize = 200;
/// How often recordings are entered until another node does not come in between.
const TRIES: u32 = 5;

/// An open catalog; clones share it.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    statistics: Mutex<Option<Arc<Statistics>>>,
    searches: AtomicU32,
}

impl Catalog {
    /// Opens the catalog at `place`; makes an empty one if there is none.
    ///
    /// # Errors
    /// If it is damaged, foreign, of a later version, cannot be reached or cannot be written.
    pub fn open(place: &DatabasePlace) -> Result<Self, CatalogError> {
        Self::connect(place, true, PATIENCE)
    }

    /// Opens the catalog at `place`, which is there.
    ///
    /// # Errors
    /// As [`Catalog::open`], and if there is none.
    pub fn open_existing(place: &DatabasePlace) -> Result<Self, CatalogError> {
        Self::open_existing_within(place, PATIENCE)
    }

    /// The same, but a statement, then and later, waits at most `patience` for others, or for the server.
    ///
    /// # Errors
    /// As [`Catalog::open_existing`].
    pub fn open_existing_within(
        place: &DatabasePlace,
        patience: Duration,
    ) -> Result<Self, CatalogError> {
        Self::connect(place, false, patience)
    }

    fn connect(
        place: &DatabasePlace,
        create: bool,
        patience: Duration,
    ) -> Result<Self, CatalogError> {
        let database = match place {
            DatabasePlace::File(path) => {
                let attached = path.with_file_name(ANNOTATIONS_NAME);
                let mark = schema::APPLICATION_ID;
                Database::open_marked(path, &attached, mark, create, patience)?
            }
            DatabasePlace::Postgres(_) => Database::open_within(place, patience)?,
        };
        if !create && !schema::exists(&database)? {
            return Err(CatalogError::Missing(database.name().to_owned()));
        }
        schema::prepare(&database)?;
        let (statistics, searches) = (Mutex::default(), AtomicU32::default());
        Ok(Self(Arc::new(Inner { database, statistics, searches })))
    }

    /// The database that it is in.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.0.database
    }

    /// Whether the path of an SQLite catalog still leads to the file that was opened.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.database().is_in_place()
    }

    /// Puts `recordings` in, all or none; one whose id is there is replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn insert<'a>(
        &self,
        recordings: impl IntoIterator<Item = &'a Recording>,
    ) -> Result<(), CatalogError> {
        let recordings: Vec<&Recording> = recordings.into_iter().collect();
        let mut tries = 1..TRIES;
        loop {
            let put = self.database().transaction(|t| write::put(t, recordings.iter().copied()));
            match put {
                // Another node took the same key, or entered the same, at the same time.
                Err(CatalogError::Database(DatabaseError::Conflict { .. }))
                    if tries.next().is_some() => {}
                done => return done,
            }
        }
    }

    /// The recordings that pass `filter`, in `order`, at most `limit`, after the one that `after` stands on. A page's
    /// last recording gives the [`Cursor`] for the next page; a page with fewer than `limit` is the last.
    ///
    /// # Errors
    /// If the filter asks too much, or the catalog does not answer.
    pub fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Recording>, CatalogError> {
        let mut found = Vec::new();
        self.pages(filter, order, after, limit, |recording| {
            found.push(recording);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Hands the recordings that pass `filter` to `each`, in `order`, read a page at a time, until it breaks.
    ///
    /// # Errors
    /// As [`Catalog::find`].
    pub fn each(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Cursor>,
        each: impl FnMut(Recording) -> ControlFlow<()>,
    ) -> Result<(), CatalogError> {
        self.pages(filter, order, after, usize::MAX, each)
    }

    fn pages(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Cursor>,
        mut limit: usize,
        mut each: impl FnMut(Recording) -> ControlFlow<()>,
    ) -> Result<(), CatalogError> {
        filter.check()?;
        let statistics = self.statistics()?;
        let search = Search::new(self, filter, &statistics);
        let mut keys = Keys::of(filter);
        if let Some(after) = after {
            keys = keys.behind(self.key_of(after)?, order);
        }
        while limit > 0 {
            let wanted = limit.min(PAGE);
            let page = search.find(keys, order, wanted)?;
            for recording in self.documents(&page)? {
                limit -= 1;
                if each(recording).is_break() {
                    return Ok(());
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == wanted) else { break };
            // One that was taken out meanwhile makes room for another: who gets less than asked for has seen all.
            keys = keys.behind(*last, order);
        }
        Ok(())
    }

    /// How many recordings pass `filter`, as far as they can be counted at once.
    ///
    /// # Errors
    /// As [`Catalog::find`].
    pub fn count(&self, filter: &Filter) -> Result<Count, CatalogError> {
        filter.check()?;
        let statistics = self.statistics()?;
        Search::new(self, filter, &statistics).count(Keys::of(filter))
    }

    /// The recording `id`.
    ///
    /// # Errors
    /// If it is not there, or the catalog does not answer.
    pub fn get(&self, id: RecordingId) -> Result<Recording, CatalogError> {
        let sql = "SELECT json FROM recordings r JOIN documents d ON d.recording = r.recording WHERE r.id = $1";
        let rows = self.database().query(sql, &[id.to_string().into()])?;
        let row = rows.first().ok_or_else(|| CatalogError::NotFound(id.to_string()))?;
        recording(self.database().name(), row.text("json")?)
    }

    /// The id that `prefix` is, or is the beginning of; hyphens and case do not matter.
    ///
    /// # Errors
    /// If none or several begin with it.
    pub fn resolve(&self, prefix: &str) -> Result<RecordingId, CatalogError> {
        let not_found = || CatalogError::NotFound(prefix.to_owned());
        let (least, most) = ids_that_begin(prefix).ok_or_else(not_found)?;
        let sql = "SELECT id FROM recordings WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 3";
        let rows = self.database().query(sql, &[least.into(), most.into()])?;
        let mut examples: Vec<RecordingId> = Vec::new();
        for row in &rows {
            examples.push(row.text("id")?.parse().map_err(|_| not_found())?);
        }
        match *examples.as_slice() {
            [] => Err(not_found()),
            [id] => Ok(id),
            _ => Err(CatalogError::Ambiguous { prefix: prefix.to_owned(), examples }),
        }
    }

    /// Takes the recording `id` out, and what people say of it; whether it was there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn delete(&self, id: RecordingId) -> Result<bool, CatalogError> {
        self.database().transaction(|transaction| {
            for table in ["labels", "metadata", "holds"] {
                let sql = format!("DELETE FROM {table} WHERE id = $1");
                transaction.execute(&sql, &[id.to_string().into()])?;
            }
            Ok(write::remove(transaction, &[id])? > 0)
        })
    }

    /// Where a page goes on: at the key of the recording, or, if that is gone, where it was.
    fn key_of(&self, cursor: &Cursor) -> Result<i64, CatalogError> {
        let sql = "SELECT recording FROM recordings WHERE id = $1";
        let rows = self.database().query(sql, &[cursor.id.to_string().into()])?;
        match rows.first() {
            Some(row) => Ok(row.integer("recording")?),
            None => Ok(row::key(cursor.start_time, cursor.id)),
        }
    }

    /// The recordings with these keys, in their order.
    fn documents(&self, keys: &[i64]) -> Result<Vec<Recording>, CatalogError> {
        let mut found = std::collections::HashMap::new();
        for (list, values) in write::lists(keys.iter().map(|key| Value::from(*key)).collect()) {
            let sql = format!("SELECT recording, json FROM documents WHERE recording {list}");
            for row in self.database().query(&sql, &values)? {
                let recording = recording(self.database().name(), row.text("json")?)?;
                found.insert(row.integer("recording")?, recording);
            }
        }
        // One that was taken out meanwhile is left out.
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }

    /// How common words are; looked at anew now and then.
    fn statistics(&self) -> Result<Arc<Statistics>, CatalogError> {
        let searches = self.0.searches.fetch_add(1, Ordering::Relaxed);
        let renew = searches.is_multiple_of(statistics::RENEWED_AFTER);
        let known = self.0.statistics.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|_| !renew) {
            return Ok(known);
        }
        let sampled = Arc::new(Statistics::sample(self)?);
        let mut known = self.0.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&sampled));
        Ok(sampled)
    }
}

/// What a document says.
fn recording(place: &str, json: &str) -> Result<Recording, CatalogError> {
    serde_json::from_str(json).map_err(|error| CatalogError::Damaged {
        place: place.to_owned(),
        reason: error.to_string(),
    })
}

/// The next whole microsecond.
fn microseconds_up(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// The first and the last id that begin so; `None` if no id does.
fn ids_that_begin(prefix: &str) -> Option<(String, String)> {
    let digits = prefix.trim().to_ascii_lowercase().replace('-', "");
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: char| {
        let whole = digits.chars().chain(std::iter::repeat(with)).take(32);
        let mut id = String::with_capacity(36);
        for (place, digit) in whole.enumerate() {
            if [8, 12, 16, 20].contains(&place) {
                id.push('-');
            }
            id.push(digit);
        }
        id
    };
    Some((filled('0'), filled('f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ids_are_ranges_of_them() {
        let whole = "01900000-AbCd-7000-8000-000000000001";
        let lower = whole.to_lowercase();
        assert_eq!(ids_that_begin(whole), Some((lower.clone(), lower)));
        let (least, most) = ids_that_begin("01900000-a").unwrap();
        assert_eq!(least, "01900000-a000-0000-0000-000000000000");
        assert_eq!(most, "01900000-afff-ffff-ffff-ffffffffffff");
        for bad in ["", "-", "xyz", "0190%", &"0".repeat(33)] {
            assert_eq!(ids_that_begin(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_that_is_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let place = DatabasePlace::from(path.as_path());
        let catalog = Catalog::open(&place).unwrap();
        assert!(catalog.is_in_place());
        std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        assert!(!catalog.is_in_place());
        assert!(matches!(catalog.count(&Filter::default()), Err(CatalogError::Missing(_))));
        let other = Catalog::open(&place).unwrap();
        assert!(!catalog.is_in_place() && other.is_in_place());
        assert_eq!(
            catalog.count(&Filter::default()).unwrap().count,
            0,
            "the one that is there now"
        );
    }
}
