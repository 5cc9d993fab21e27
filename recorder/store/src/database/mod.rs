//! One face for the two databases that tables are kept in: SQLite (a file) and PostgreSQL (a server).
//!
//! In: SQL that both understand, with `$1`, `$2`, ... for [`Value`]s. Out: [`Row`]s, or a [`DatabaseError`] of a kind
//! that says what to do. Calls block, also those to PostgreSQL, whose connections live on a runtime of their own; so
//! they can be made from any thread, and from another runtime's blocking threads, but not from its tasks.
//!
//! What both understand, as far as we need it:
//! - Column types `BIGINT` (never `INTEGER`: 32 bits in PostgreSQL), `TEXT`, `BOOLEAN`, `DOUBLE PRECISION`, `BYTEA`;
//!   keys that are texts or numbers of ours (nothing counts up by itself); `ON CONFLICT`, `RETURNING`.
//! - `LIKE` tells cases apart in PostgreSQL only: compare `lower(...)`. `sum` and `avg` want `CAST(... AS BIGINT)`.
//! - `NULL`s and texts sort differently; `ORDER BY` what has neither.
//!
//! A commit is on the disk when it returns (SQLite: `synchronous=FULL`; PostgreSQL: `synchronous_commit`).

mod error;
mod migrate;
mod postgres;
mod sqlite;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use error::DatabaseError;
pub(crate) use migrate::Steps;
pub use postgres::PostgresSettings;
pub use value::{Row, Value};

/// How long a statement waits, for another's transaction or for a server that is slow, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabasePlace {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL server, or what speaks its protocol.
    Postgres(PostgresSettings),
}

impl From<&Path> for DatabasePlace {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl DatabasePlace {
    /// Where tables beside these belong: another file in the same folder, or the same server and database.
    #[must_use]
    pub fn beside(&self, file_name: &str) -> Self {
        match self {
            Self::File(path) => Self::File(path.with_file_name(file_name)),
            Self::Postgres(settings) => Self::Postgres(settings.clone()),
        }
    }
}

impl fmt::Display for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(settings) => settings.fmt(f),
        }
    }
}

/// An open database: connections to it, shared by all clones.
#[derive(Clone, Debug)]
pub struct Database(Arc<Pool>);

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Postgres,
}

#[derive(Debug)]
enum Pool {
    File(sqlite::Pool),
    Postgres(postgres::Pool),
}

impl Database {
    /// Opens the database; makes an empty file if there is none.
    ///
    /// # Errors
    /// A file that is damaged or cannot be written; a server that does not answer or refuses us.
    pub fn open(place: &DatabasePlace) -> Result<Self, DatabaseError> {
        Self::open_within(place, PATIENCE)
    }

    /// The same; every statement, then and later, waits at most `patience`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_within(place: &DatabasePlace, patience: Duration) -> Result<Self, DatabaseError> {
        let pool = match place {
            DatabasePlace::File(path) => {
                let file =
                    sqlite::File { path: path.clone(), attached: None, mark: None, patience };
                Pool::File(sqlite::Pool::open(file, true)?)
            }
            DatabasePlace::Postgres(settings) => {
                Pool::Postgres(postgres::Pool::open(settings, patience)?)
            }
        };
        Ok(Self(Arc::new(pool)))
    }

    /// An SQLite file that holds our `mark` (`PRAGMA application_id`) or nothing yet, and sees the tables of a second
    /// one, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Database::open`]; if another program's tables are in it; and if it is not there and not to be made.
    pub(crate) fn open_marked(
        path: &Path,
        attached: &Path,
        mark: i64,
        create: bool,
        patience: Duration,
    ) -> Result<Self, DatabaseError> {
        let (path, attached) = (path.to_owned(), Some(attached.to_owned()));
        let file = sqlite::File { path, attached, mark: Some(mark), patience };
        Ok(Self(Arc::new(Pool::File(sqlite::Pool::open(file, create)?))))
    }

    /// Which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        match &*self.0 {
            Pool::File(_) => Kind::File,
            Pool::Postgres(_) => Kind::Postgres,
        }
    }

    /// Whether the path still leads to the file that was opened; a server is where it is.
    pub(crate) fn is_in_place(&self) -> bool {
        match &*self.0 {
            Pool::File(pool) => pool.is_in_place(),
            Pool::Postgres(_) => true,
        }
    }

    /// Applies the `steps` of `component` that were not applied before, in order, all or none; each may hold several
    /// statements. A step, once released, is never changed: a new one is added behind it.
    ///
    /// # Errors
    /// If a later version of this program has been here, or a step fails.
    pub fn migrate(&self, component: &str, steps: &[&str]) -> Result<(), DatabaseError> {
        migrate::migrate(self, component, steps)
    }

    /// Executes a statement; how many rows it changed. `$1` is the first of `values`.
    ///
    /// # Errors
    /// As its kinds say; [`DatabaseError::Conflict`] if a constraint forbids it.
    pub fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        match &*self.0 {
            Pool::File(pool) => pool.execute(sql, values),
            Pool::Postgres(pool) => pool.execute(sql, values),
        }
    }

    /// The rows that a statement gives.
    ///
    /// # Errors
    /// As its kinds say.
    pub fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match &*self.0 {
            Pool::File(pool) => pool.query(sql, values),
            Pool::Postgres(pool) => pool.query(sql, values),
        }
    }

    /// Does what `work` does, all or none: it is undone if `work` fails. Other writers of an SQLite file wait
    /// meanwhile; so do not tarry in it.
    ///
    /// # Errors
    /// What `work` gives, or if it cannot be begun or committed. When a server goes away while it commits, it may
    /// have done so: what is written has to bear being written again.
    pub fn transaction<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match &*self.0 {
            Pool::File(pool) => pool.transaction(|t| work(&mut Transaction(Begun::File(t)))),
            Pool::Postgres(pool) => {
                pool.transaction(|t| work(&mut Transaction(Begun::Postgres(t))))
            }
        }
    }

    /// What messages call it: the path of a file, or server and database; never a password.
    #[must_use]
    pub fn name(&self) -> &str {
        match &*self.0 {
            Pool::File(pool) => pool.name(),
            Pool::Postgres(pool) => pool.name(),
        }
    }
}

/// What is done together.
#[derive(Debug)]
pub struct Transaction<'a>(Begun<'a>);

#[derive(Debug)]
enum Begun<'a> {
    File(&'a sqlite::Transaction<'a>),
    Postgres(&'a postgres::Transaction<'a>),
}

impl Transaction<'_> {
    /// As [`Database::execute`].
    ///
    /// # Errors
    /// As there; a PostgreSQL transaction does nothing more after an error.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        match &self.0 {
            Begun::File(transaction) => transaction.execute(sql, values),
            Begun::Postgres(transaction) => transaction.execute(sql, values),
        }
    }

    /// As [`Database::query`].
    ///
    /// # Errors
    /// As there.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        match &self.0 {
            Begun::File(transaction) => transaction.query(sql, values),
            Begun::Postgres(transaction) => transaction.query(sql, values),
        }
    }

    /// Puts many rows into a table, each with values for these columns; PostgreSQL is given them in one go (`COPY`).
    pub(crate) fn put_many(
        &mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
    ) -> Result<(), DatabaseError> {
        match &self.0 {
            _ if rows.is_empty() => Ok(()),
            Begun::File(transaction) => transaction.put_many(table, columns, &rows),
            Begun::Postgres(transaction) => transaction.put_many(table, columns, &rows),
        }
    }

    /// Which kind it is.
    pub(crate) fn kind(&self) -> Kind {
        match &self.0 {
            Begun::File(_) => Kind::File,
            Begun::Postgres(_) => Kind::Postgres,
        }
    }

    /// As [`Database::name`].
    pub(crate) fn name(&self) -> &str {
        match &self.0 {
            Begun::File(transaction) => transaction.name(),
            Begun::Postgres(transaction) => transaction.name(),
        }
    }

    /// Several statements without values.
    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match &self.0 {
            Begun::File(transaction) => transaction.batch(sql),
            Begun::Postgres(transaction) => transaction.batch(sql),
        }
    }
}
