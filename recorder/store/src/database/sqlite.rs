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

/// A file, and how it is opened.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// A second file, whose tables are seen as well.
    pub(super) attached: Option<PathBuf>,
    /// `PRAGMA application_id` of what is ours; another program's file is left alone.
    pub(super) mark: Option<i64>,
    pub(super) patience: Duration,
}

#[derive(Debug)]
pub(crate) struct Pool {
    file: File,
    name: String,
    /// What was there when it was opened.
    opened: Option<Identity>,
    idle: Mutex<Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    file: Option<Identity>,
}

impl Pool {
    /// Opens the file; `create` makes it if it is not there.
    pub(super) fn open(file: File, create: bool) -> Result<Self, DatabaseError> {
        let is_new = !file.path.exists();
        let name = file.path.display().to_string();
        if is_new && !create {
            return Err(DatabaseError::Missing(name));
        }
        let mut pool = Self { file, name, opened: None, idle: Mutex::default() };
        if is_new {
            // A log whose file is gone would be taken for the new one's.
            for log in ["-wal", "-shm"] {
                let mut path = pool.file.path.clone().into_os_string();
                path.push(log);
                let _ = std::fs::remove_file(path);
            }
        }
        let flags = if create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let first = pool.connect(flags)?;
        if is_new {
            flush_folder_of(&pool.file.path).map_err(|error| pool.not_writable(&error))?;
        }
        pool.opened = first.file;
        pool.put_back(first);
        Ok(pool)
    }

    pub(super) fn is_in_place(&self) -> bool {
        self.opened.is_some() && identity(&self.file.path) == self.opened
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
        let connection = self.of(Connection::open_with_flags(&self.file.path, flags))?;
        if let Some(mark) = self.file.mark
            && !self.of(is_ours(&connection, mark))?
        {
            return Err(DatabaseError::Foreign(self.name.clone()));
        }
        self.of(self.prepare(&connection))?;
        Ok(Open { connection, file: identity(&self.file.path) })
    }

    fn prepare(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(self.file.patience)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if let Some(attached) = &self.file.attached {
            if !attached.exists() {
                // What is attached is not made where the first file is not either.
                Connection::open(attached)?.pragma_update(None, "journal_mode", "wal")?;
            }
            let path = attached.to_string_lossy();
            connection.execute("ATTACH DATABASE ?1 AS attached", [path])?;
            connection.pragma_update(Some("attached"), "journal_mode", "wal")?;
            connection.pragma_update(Some("attached"), "synchronous", "full")?;
        }
        Ok(())
    }

    /// A connection to the file that is there now.
    fn take(&self) -> Result<Open, DatabaseError> {
        let file = identity(&self.file.path);
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
        let work = if open.file == identity(&self.file.path) { work.take() } else { None };
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

    pub(super) const fn name(&self) -> &str {
        self.name
    }

    pub(super) fn put_many(
        &self,
        table: &str,
        columns: &[&str],
        rows: &[Vec<Value>],
    ) -> Result<(), DatabaseError> {
        let places: Vec<_> = (1..=columns.len()).map(|number| format!("?{number}")).collect();
        let (names, places) = (columns.join(", "), places.join(", "));
        let sql = format!("INSERT INTO {table} ({names}) VALUES ({places})");
        let put = || -> rusqlite::Result<()> {
            let mut statement = self.begun.prepare_cached(&sql)?;
            rows.iter()
                .try_for_each(|row| statement.execute(rusqlite::params_from_iter(row)).map(drop))
        };
        self.of(put())
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

/// Whether it is ours: it has our mark, or nothing in it yet, and is given the mark.
fn is_ours(connection: &Connection, mark: i64) -> rusqlite::Result<bool> {
    let found: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found == mark {
        return Ok(true);
    }
    let has_tables = "SELECT count(*) > 0 FROM sqlite_schema";
    if connection.query_row(has_tables, [], |row| row.get(0))? {
        return Ok(false);
    }
    connection.pragma_update(None, "application_id", mark)?;
    Ok(true)
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Makes names in the file's folder durable.
fn flush_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
