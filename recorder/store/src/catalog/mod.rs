//! The catalog: which recordings there are, and what is asked about them. One SQLite file.
//!
//! It is an index: whatever is in it comes from a `recording.json`, and [`rebuild`] makes it anew from
//! the folders. Reading and writing processes share it (write-ahead log).
//!
//! Commits are flushed (`synchronous=FULL`): once a recording is in the catalog, the journal that it was
//! made from may be deleted, and after a power cut nothing would tell that a row is missing. The flush is
//! per transaction, so that [`Catalog::insert`] of many recordings pays it once. (`NORMAL` would leave the
//! last rows to the next checkpoint: they could only be found again by comparing every folder with every row
//! after each start.)
//!
//! A damaged catalog is set aside under another name, whole with its log, and a new one made: [`set_aside`].

mod aside;
mod filter;
mod party;
mod rebuild;
mod schema;

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{RecordingId, recording::Recording};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};

pub use aside::set_aside;
pub use filter::{Cursor, Filter, Order};
pub use rebuild::{RebuildProblem, Rebuilt, rebuild};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(10);

/// Why the catalog does not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such file.
    #[error("there is no catalog {}: give the data folder that `spanreel replay --out` made, or make the catalog with `spanreel list --rebuild`", .0.display())]
    Missing(PathBuf),
    /// Damaged, or no SQLite file.
    #[error("the catalog {} is damaged ({reason}): make it anew from the recordings with `spanreel list --rebuild`", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Another program's SQLite file.
    #[error("{} is a database of another program: choose another folder", .0.display())]
    Foreign(PathBuf),
    /// Written by a later version of this program.
    #[error("the catalog {} has version {found}, this program knows up to {known}: use a newer program", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// Another process holds it.
    #[error("the catalog {} is in use by another process: try again when that is done", .0.display())]
    InUse(PathBuf),
    /// No space, or not writable.
    #[error("cannot write the catalog {}: {reason}; free some space or make it writable for this user", .path.display())]
    NotWritable {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The folder of recordings cannot be listed.
    #[error("cannot read the recordings in {}: {reason}; give a data folder that holds recordings", .path.display())]
    NoRecordings {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// No recording has this id, or begins with it.
    #[error("no recording has an id that is or begins with {0:?}")]
    NotFound(String),
    /// Several begin with it.
    #[error("{prefix:?} is the beginning of several recordings' ids, e.g. {}: give more of it", .examples.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Some of them.
        examples: Vec<RecordingId>,
    },
    /// Anything else.
    #[error("the catalog {}: {source}", .path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl CatalogError {
    /// Whether only a new catalog helps: this one is damaged, or gone.
    #[must_use]
    pub const fn needs_rebuild(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing(_))
    }

    fn new(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let reason = source.to_string();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, reason }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse(path),
            Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::NotWritable { path, reason }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Adds the file to what SQLite says.
trait In<T> {
    fn of(self, path: &Path) -> Result<T, CatalogError>;
}

impl<T> In<T> for rusqlite::Result<T> {
    fn of(self, path: &Path) -> Result<T, CatalogError> {
        self.map_err(|error| CatalogError::new(path, error))
    }
}

/// An open catalog.
#[derive(Debug)]
pub struct Catalog {
    path: PathBuf,
    connection: Connection,
    /// Device and inode of the file when it was opened.
    identity: Option<(u64, u64)>,
}

impl Catalog {
    /// Opens the catalog at `path`; makes an empty one if there is none.
    ///
    /// # Errors
    /// If it is damaged, foreign, of a later version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_CREATE, BUSY)
    }

    /// Opens the catalog at `path`, which is there.
    ///
    /// # Errors
    /// As [`Catalog::open`], and if there is none.
    pub fn open_existing(path: &Path) -> Result<Self, CatalogError> {
        Self::open_existing_within(path, BUSY)
    }

    /// The same, but a statement, then and later, waits at most `patience` for another process's transaction.
    ///
    /// # Errors
    /// As [`Catalog::open_existing`].
    pub fn open_existing_within(path: &Path, patience: Duration) -> Result<Self, CatalogError> {
        match path.exists() {
            true => Self::connect(path, OpenFlags::empty(), patience),
            false => Err(CatalogError::Missing(path.to_path_buf())),
        }
    }

    fn connect(path: &Path, flags: OpenFlags, patience: Duration) -> Result<Self, CatalogError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let is_new = !path.exists();
        let mut connection = Connection::open_with_flags(path, flags).of(path)?;
        connection.busy_timeout(patience).of(path)?;
        schema::prepare(&mut connection, path)?;
        connection.pragma_update(None, "journal_mode", "wal").of(path)?;
        connection.pragma_update(None, "synchronous", "full").of(path)?;
        if is_new {
            aside::flush_folder_of(path).map_err(|error| rebuild::not_writable(path, &error))?;
        }
        Ok(Self { path: path.to_path_buf(), connection, identity: identity(path) })
    }

    /// Whether the path still leads to the file that is open. SQLite would go on writing into a file that was
    /// removed or replaced, and nobody would find what is in it.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.identity.is_some() && identity(&self.path) == self.identity
    }

    /// Puts `recordings` in, all or none; one whose id is there is replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn insert<'a>(
        &mut self,
        recordings: impl IntoIterator<Item = &'a Recording>,
    ) -> Result<(), CatalogError> {
        let Self { path, connection, .. } = self;
        insert(connection, recordings).of(path)
    }

    /// The recordings that pass `filter`, in `order`, at most `limit`, after the one that `after` stands
    /// on. A page's last recording gives the [`Cursor`] for the next page.
    ///
    /// # Errors
    /// If the catalog is damaged.
    pub fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<Recording>, CatalogError> {
        let mut found = Vec::new();
        self.each(filter, order, after, |recording| {
            if found.len() < limit {
                found.push(recording);
            }
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// Hands the recordings that pass `filter` to `each`, in `order`, one at a time from the disk, until
    /// it breaks.
    ///
    /// # Errors
    /// If the catalog is damaged.
    pub fn each(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<&Cursor>,
        mut each: impl FnMut(Recording) -> ControlFlow<()>,
    ) -> Result<(), CatalogError> {
        let (sql, values) = filter::select(filter, order, after);
        let mut statement = self.connection.prepare_cached(&sql).of(&self.path)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values)).of(&self.path)?;
        while let Some(row) = rows.next().of(&self.path)? {
            let recording =
                self.recording(row.get_ref(0).and_then(|json| Ok(json.as_str()?)).of(&self.path)?)?;
            if each(recording).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// How many recordings pass `filter`.
    ///
    /// # Errors
    /// If the catalog is damaged.
    pub fn count(&self, filter: &Filter) -> Result<u64, CatalogError> {
        let (sql, values) = filter::count(filter);
        let count: i64 = self
            .connection
            .query_row(&sql, rusqlite::params_from_iter(values), |row| row.get(0))
            .of(&self.path)?;
        Ok(count.unsigned_abs())
    }

    /// The recording `id`.
    ///
    /// # Errors
    /// If it is not there, or the catalog is damaged.
    pub fn get(&self, id: RecordingId) -> Result<Recording, CatalogError> {
        let sql = "SELECT json FROM recordings JOIN documents USING (recording) WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql).of(&self.path)?;
        let json: Option<String> =
            statement.query_row([id.to_string()], |row| row.get(0)).optional().of(&self.path)?;
        self.recording(&json.ok_or_else(|| CatalogError::NotFound(id.to_string()))?)
    }

    /// The id that `prefix` is, or is the beginning of; hyphens and case do not matter.
    ///
    /// # Errors
    /// If none or several begin with it.
    pub fn resolve(&self, prefix: &str) -> Result<RecordingId, CatalogError> {
        let not_found = || CatalogError::NotFound(prefix.to_owned());
        let beginning = filter::id_beginning(prefix).ok_or_else(not_found)?;
        // 'g' comes after every digit that an id can go on with.
        let sql = "SELECT id FROM recordings WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 3";
        let mut statement = self.connection.prepare_cached(sql).of(&self.path)?;
        let ids = statement.query_map([&beginning], |row| row.get::<_, String>(0)).of(&self.path)?;
        let mut examples = Vec::new();
        for id in ids {
            let id = id.of(&self.path)?;
            examples.push(id.parse().map_err(|_| self.damaged(&format!("{id:?} is no id")))?);
        }
        match *examples.as_slice() {
            [] => Err(not_found()),
            [id] => Ok(id),
            _ => Err(CatalogError::Ambiguous { prefix: prefix.to_owned(), examples }),
        }
    }

    /// Takes the recording `id` out; whether it was there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn delete(&mut self, id: RecordingId) -> Result<bool, CatalogError> {
        let sql = "DELETE FROM recordings WHERE id = ?1";
        Ok(self.connection.execute(sql, [id.to_string()]).of(&self.path)? > 0)
    }

    fn recording(&self, json: &str) -> Result<Recording, CatalogError> {
        serde_json::from_str(json).map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, reason: &str) -> CatalogError {
        CatalogError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// In one transaction.
fn insert<'a>(
    connection: &mut Connection,
    recordings: impl IntoIterator<Item = &'a Recording>,
) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        // Deleting takes its documents and Call-IDs along.
        let mut delete = transaction.prepare_cached("DELETE FROM recordings WHERE id = ?1")?;
        let mut row = transaction.prepare_cached(schema::INSERT_RECORDING)?;
        let mut document = transaction
            .prepare_cached("INSERT INTO documents (recording, json) VALUES (?1, ?2)")?;
        let mut call = transaction
            .prepare_cached("INSERT OR IGNORE INTO calls (call_id, recording) VALUES (?1, ?2)")?;
        for recording in recordings {
            let json = serde_json::to_string(recording)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            let id = recording.id.to_string();
            delete.execute([&id])?;
            row.execute(params![
                id,
                filter::microseconds(recording.start_time),
                i64::try_from(recording.duration).unwrap_or(i64::MAX),
                recording.complete,
                recording.caller_phone_number,
                recording.from.as_deref().map(party::address),
                recording.dialed_phone_number,
                recording.to.as_deref().map(party::address),
            ])?;
            let number = transaction.last_insert_rowid();
            document.execute(params![number, json])?;
            let of_legs = recording.legs.iter().map(|leg| &leg.call_id);
            for call_id in recording.call_id.iter().chain(of_legs) {
                call.execute(params![call_id, number])?;
            }
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Catalog`] promises about power cuts hangs on these.
    #[test]
    fn every_connection_flushes_its_commits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        for _ in 0..2 {
            let catalog = Catalog::open(&path).unwrap();
            let text = |name| {
                catalog.connection.pragma_query_value(None, name, |row| row.get::<_, String>(0))
            };
            let number = |name| {
                catalog.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            };
            assert_eq!(text("journal_mode").unwrap(), "wal");
            assert_eq!(number("synchronous").unwrap(), 2, "FULL");
            assert_eq!(number("foreign_keys").unwrap(), 1);
            assert_eq!(number("busy_timeout").unwrap(), BUSY.as_millis() as i64);
        }
    }

    #[test]
    fn a_file_that_is_removed_or_replaced_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("catalog.db");
        let catalog = Catalog::open(&path).unwrap();
        assert!(catalog.is_in_place());
        std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        assert!(!catalog.is_in_place());
        let other = Catalog::open(&path).unwrap();
        assert!(!catalog.is_in_place() && other.is_in_place());
    }
}
