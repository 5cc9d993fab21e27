//! SQLite: a file, and connections to it.
//!
//! Readers share the file with a writer (write-ahead log). Commits are flushed (`synchronous=FULL`).
//!
//! A file may be replaced while connections to it are open: the catalog is, when it is made anew. Each connection
//! knows which file it has open and is not used for another's; a transaction makes sure of it once nobody else can
//! write any more.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{DatabaseError, Row, Value};

/// Connections kept for the next call; more are open while more calls are under way.
const IDLE_MAX: usize = 8;
/// Statements that a connection keeps ready.
const STATEMENTS: usize = 64;

/// Device and inode.
type Identity = (u64, u64);

#[derive(Debug)]
pub(crate) struct Pool {
    path: PathBuf,
    name: String,
    patience: Duration,
    /// A second file, whose tables are seen as well.
    attached: Option<PathBuf>,
    idle: Mutex<Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    file: Option<Identity>,
}

impl Pool {
    /// Opens the file, or makes it.
    pub(super) fn create(
        path: &Path,
        attached: Option<&Path>,
        patience: Duration,
    ) -> Result<Self, DatabaseError> {
        let pool = Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            patience,
            attached: attached.map(Path::to_owned),
            idle: Mutex::default(),
        };
        let is_new = !path.exists();
        let first = pool.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
        if is_new {
            flush_folder_of(path).map_err(|error| pool.not_writable(&error))?;
        }
        pool.put_back(first);
        Ok(pool)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn of<T>(&self, result: rusqlite::Result<T>) -> Result<T, DatabaseError> {
        result.map_err(|error| DatabaseError::of_file(&self.name, &error))
    }

    fn not_writable(&self, error: &std::io::Error) -> DatabaseError {
        DatabaseError::NotWritable { place: self.name.clone(), reason: error.to_string() }
    }

    fn connect(&self, create: OpenFlags) -> Result<Open, DatabaseError> {
        let flags = create | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = self.of(Connection::open_with_flags(&self.path, flags))?;
        self.of(self.prepare(&connection))?;
        Ok(Open { connection, file: identity(&self.path) })
    }

    fn prepare(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(self.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if let Some(attached) = &self.attached {
            let path = attached.to_string_lossy();
            connection.execute("ATTACH DATABASE ?1 AS attached", [path])?;
            connection.pragma_update(Some("attached"), "journal_mode", "wal")?;
            connection.pragma_update(Some("attached"), "synchronous", "full")?;
        }
        Ok(())
    }

    /// A connection to the file that is there now.
    fn take(&self) -> Result<Open, DatabaseError> {
        let file = identity(&self.path);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|open| open.file == file);
        let open = idle.pop();
        drop(idle);
        match (open, file) {
            (_, None) => Err(DatabaseError::Missing(self.name.clone())),
            (Some(open), Some(_)) => Ok(open),
            (None, Some(_)) => self.connect(OpenFlags::empty()),
        }
    }

    fn put_back(&self, open: Open) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(open);
        }
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.transaction(|transaction| transaction.execute(sql, values))
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let open = self.take()?;
        let rows = self.of(query(&open.connection, sql, values))?;
        self.put_back(open);
        Ok(rows)
    }

    pub(super) fn transaction<T, E: From<DatabaseError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut work = Some(work);
        loop {
            let mut open = self.take()?;
            if let Some(done) = self.within(&mut open, &mut work)? {
                self.put_back(open);
                return Ok(done);
            }
        }
    }

    /// None if the file was replaced while this waited for the writer before it.
    fn within<T, E: From<DatabaseError>>(
        &self,
        open: &mut Open,
        work: &mut Option<impl FnOnce(&Transaction<'_>) -> Result<T, E>>,
    ) -> Result<Option<T>, E> {
        let behavior = TransactionBehavior::Immediate;
        let begun = self.of(open.connection.transaction_with_behavior(behavior))?;
        let work = if open.file == identity(&self.path) { work.take() } else { None };
        let Some(work) = work else { return Ok(None) };
        let transaction = Transaction { begun, name: &self.name };
        let done = work(&transaction)?;
        self.of(transaction.begun.commit())?;
        Ok(Some(done))
    }
}

#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    begun: rusqlite::Transaction<'a>,
    name: &'a str,
}

impl Transaction<'_> {
    fn of<T>(&self, result: rusqlite::Result<T>) -> Result<T, DatabaseError> {
        result.map_err(|error| DatabaseError::of_file(self.name, &error))
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        self.of(execute(&self.begun, sql, values))
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        self.of(query(&self.begun, sql, values))
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        self.of(self.begun.execute_batch(sql))
    }
}

/// `$1` is a name to SQLite: it is given its value by that, not by where it comes first.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for (number, value) in (1..).zip(values) {
        if let Some(index) = statement.parameter_index(&format!("${number}"))? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    if statement.column_count() == 0 {
        return statement.raw_execute().map(|changed| changed as u64);
    }
    // With RETURNING.
    let (mut rows, mut changed) = (statement.raw_query(), 0);
    while rows.next()?.is_some() {
        changed += 1;
    }
    Ok(changed)
}

fn query(connection: &Connection, sql: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let (mut rows, mut all) = (statement.raw_query(), Vec::new());
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
        all.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(all)
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Makes names in the file's folder durable.
fn flush_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
