//! The catalog's tables, and how an older file becomes a current one.
//!
//! `PRAGMA user_version` counts the migrations that were applied. A migration, once released, is never
//! changed: a new one is added behind it, and a fixture of the version before it to the tests.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{CatalogError, In as _};

/// Marks the file as ours: "SPRL".
const APPLICATION_ID: i64 = 0x5350_524C;

/// What is asked about is in narrow rows; the metadata, kilobytes each, stands apart, so that a search
/// reads little.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE recordings (
        recording INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,            -- UUID, lower case, with hyphens
        start_time INTEGER NOT NULL,        -- microseconds since 1970
        duration INTEGER NOT NULL,          -- milliseconds
        complete INTEGER NOT NULL,
        caller TEXT NOT NULL,
        caller_address TEXT,                -- of the From header: user@host
        callee TEXT NOT NULL,
        callee_address TEXT                 -- of the To header
    ) STRICT;
    CREATE INDEX recordings_by_time ON recordings (start_time, id);
    CREATE TABLE documents (
        recording INTEGER PRIMARY KEY REFERENCES recordings ON DELETE CASCADE,
        json TEXT NOT NULL                  -- recording.json
    ) STRICT;
    CREATE TABLE calls (
        call_id TEXT NOT NULL,
        recording INTEGER NOT NULL REFERENCES recordings ON DELETE CASCADE,
        PRIMARY KEY (call_id, recording)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX calls_of_recording ON calls (recording);
"];

pub(super) const INSERT_RECORDING: &str = "
    INSERT INTO recordings (id, start_time, duration, complete, caller, caller_address, callee, callee_address)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Brings the schema up to date, or says why this file cannot be used.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), CatalogError> {
    connection.pragma_update(None, "foreign_keys", true).of(path)?;
    let known = MIGRATIONS.len() as i64;
    if is_foreign(connection).of(path)? {
        return Err(CatalogError::Foreign(path.to_path_buf()));
    }
    let found = version(connection).of(path)?;
    if found > known {
        return Err(CatalogError::Newer { path: path.to_path_buf(), found, known });
    }
    if found == known {
        return Ok(());
    }
    // Two processes may come here at once: the version is read again inside.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).of(path)?;
    let found = version(&transaction).of(path)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration).of(path)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).of(path)?;
    transaction.pragma_update(None, "user_version", known).of(path)?;
    transaction.commit().of(path)
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Whether another program made it: it has something in it, and not our mark.
pub(super) fn is_foreign(connection: &Connection) -> rusqlite::Result<bool> {
    let application_id: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let has_tables = "SELECT count(*) > 0 FROM sqlite_schema";
    Ok(application_id != APPLICATION_ID
        && connection.query_row(has_tables, [], |row| row.get(0))?)
}
