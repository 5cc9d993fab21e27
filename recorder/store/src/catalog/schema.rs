//! The catalog's tables, and how an older one becomes a current one.
//!
//! ```text
//! recordings  one narrow row each: what is asked about. `recording` orders them by start (row.rs)
//! words       lists of recordings by word (words.rs). SQLite: an FTS5 table, ordered as recordings are.
//!             PostgreSQL: a column of recordings, an array, under a GIN index
//! documents   recording.json, kilobytes each: apart, so that a search reads little
//! calls       Call-IDs of the legs
//! labels, metadata, holds   what people say of recordings, by id. SQLite: in annotations.db, which is kept when
//!             catalog.db is made anew
//! ```
//!
//! SQLite's version 1 (`PRAGMA user_version`) had no words: what its documents say is entered anew. Since version 2
//! the steps are counted in `schema_steps`, as on PostgreSQL; the pragma keeps older programs away. The second step gives all recordings their words anew: since then these tell
//! of direction and beginning together, and on PostgreSQL of time.

use base::recording::Recording;
use rusqlite::Connection;

use super::{CatalogError, write};
use crate::database::{Database, Kind, Steps, Transaction};

/// Marks the file as ours: "SPRL".
pub(super) const APPLICATION_ID: i64 = 0x5350_524C;

const SQLITE: [&str; 2] = [
    "
    CREATE TABLE recordings (
        recording INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,            -- UUID, lower case, with hyphens
        start_time INTEGER NOT NULL,        -- microseconds since 1970
        duration INTEGER NOT NULL,          -- milliseconds
        complete INTEGER NOT NULL,
        gaps INTEGER NOT NULL,
        direction TEXT NOT NULL,
        mos REAL,                           -- of the worst stream
        node TEXT NOT NULL,
        caller TEXT NOT NULL,
        caller_address TEXT,                -- of the From header: user@host
        callee TEXT NOT NULL,
        callee_address TEXT                 -- of the To header
    ) STRICT;
    CREATE TABLE documents (recording INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;
    CREATE TABLE calls (
        call_id TEXT NOT NULL,
        recording INTEGER NOT NULL,
        PRIMARY KEY (call_id, recording)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX calls_of_recording ON calls (recording);
    CREATE VIRTUAL TABLE words USING fts5 (
        list, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
    );
    PRAGMA user_version = 2;
",
    OTHER_WORDS,
];

const POSTGRES: [&str; 2] = [
    "
    CREATE TABLE recordings (
        recording BIGINT PRIMARY KEY,
        id UUID NOT NULL UNIQUE,
        start_time BIGINT NOT NULL,
        duration BIGINT NOT NULL,
        complete BOOLEAN NOT NULL,
        gaps BOOLEAN NOT NULL,
        direction TEXT NOT NULL,
        mos DOUBLE PRECISION,
        node TEXT NOT NULL,
        caller TEXT NOT NULL,
        caller_address TEXT,
        callee TEXT NOT NULL,
        callee_address TEXT,
        words INTEGER[] NOT NULL
    );
    -- What comes is found at once, and a search need not read what has not been sorted in yet.
    CREATE INDEX recordings_by_words ON recordings USING gin (words) WITH (fastupdate = off);
    CREATE INDEX recordings_by_node ON recordings (node, id);
    CREATE TABLE documents (recording BIGINT PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE calls (
        call_id TEXT NOT NULL,
        recording BIGINT NOT NULL,
        PRIMARY KEY (call_id, recording)
    );
    CREATE INDEX calls_of_recording ON calls (recording);
",
    OTHER_WORDS,
];

/// The tables stay; what is in them is given its words anew ([`prepare`]).
const OTHER_WORDS: &str = "";
/// Steps after which words were others.
const HAS_OLD_WORDS: i64 = 1;

/// The same on both, but for what stands before names, and the type of an id.
const SAID: [&str; 1] = ["
    CREATE TABLE {schema}labels (
        id {id} NOT NULL, label TEXT NOT NULL, PRIMARY KEY (label, id)
    );
    CREATE INDEX {schema}labels_of_recording ON labels (id);
    CREATE TABLE {schema}metadata (
        id {id} NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (id, name)
    );
    CREATE TABLE {schema}holds (
        id {id} NOT NULL PRIMARY KEY,
        who TEXT NOT NULL,
        reason TEXT NOT NULL,
        since BIGINT NOT NULL               -- microseconds since 1970
    );
"];

/// Whether a file is ours.
pub(super) fn is_ours(connection: &Connection) -> rusqlite::Result<bool> {
    let found: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let has_tables = "SELECT count(*) > 0 FROM sqlite_schema";
    Ok(found == APPLICATION_ID || !connection.query_row(has_tables, [], |row| row.get(0))?)
}

/// Rows of an older version that are entered at once.
const BATCH: i64 = 500;

/// Whether the tables are there, in whatever version.
pub(super) fn exists(database: &Database) -> Result<bool, CatalogError> {
    let sql = match database.kind() {
        Kind::File => return Ok(true),
        Kind::Postgres => {
            "SELECT 1 FROM information_schema.tables WHERE table_name = 'recordings'
             AND table_schema = ANY (current_schemas(false))"
        }
    };
    Ok(!database.query(sql, &[])?.is_empty())
}

/// Brings the tables up to date, or says why this database cannot be used.
pub(super) fn prepare(database: &Database) -> Result<(), CatalogError> {
    let (steps, main, apart, id) = match database.kind() {
        Kind::File => (SQLITE, "main.", "attached.", "TEXT"),
        Kind::Postgres => (POSTGRES, "", "", "UUID"),
    };
    let said = SAID.map(|step| step.replace("{schema}", apart).replace("{id}", id));
    let said = said.each_ref().map(String::as_str);
    let catalog = Steps { schema: main, component: "catalog", steps: &steps };
    let annotations = Steps { schema: apart, component: "annotations", steps: &said };
    if catalog.are_done(database)? && annotations.are_done(database)? {
        return Ok(());
    }
    database.transaction(|transaction| {
        let older = database.kind() == Kind::File && is_version_one(transaction)?;
        if older {
            put_aside_version_one(transaction)?;
        }
        let found = catalog.apply(transaction)?;
        annotations.apply(transaction)?;
        if found == HAS_OLD_WORDS {
            write::index_all(transaction)?;
        }
        if older {
            enter_version_one(transaction)?;
        }
        Ok(())
    })
}

fn is_version_one(transaction: &mut Transaction<'_>) -> Result<bool, CatalogError> {
    let found = transaction.query("PRAGMA main.user_version", &[])?;
    Ok(found.first().is_some_and(|row| row.integer("user_version").is_ok_and(|found| found == 1)))
}

fn put_aside_version_one(transaction: &mut Transaction<'_>) -> Result<(), CatalogError> {
    for sql in [
        "DROP TABLE main.calls",
        "ALTER TABLE main.documents RENAME TO documents_1",
        // Dropped, it would take the documents, which refer to it, along.
        "ALTER TABLE main.recordings RENAME TO recordings_1",
    ] {
        transaction.execute(sql, &[])?;
    }
    Ok(())
}

fn enter_version_one(transaction: &mut Transaction<'_>) -> Result<(), CatalogError> {
    let mut last = i64::MIN;
    loop {
        let sql = "SELECT recording, json FROM documents_1 WHERE recording > $1 ORDER BY recording LIMIT $2";
        let rows = transaction.query(sql, &[last.into(), BATCH.into()])?;
        let Some(end) = rows.last() else { break };
        last = end.integer("recording")?;
        let mut recordings: Vec<Recording> = Vec::with_capacity(rows.len());
        for row in &rows {
            recordings.push(super::recording(transaction.name(), row.text("json")?)?);
        }
        write::put(transaction, &recordings)?;
    }
    transaction.execute("DROP TABLE documents_1", &[])?;
    transaction.execute("DROP TABLE recordings_1", &[])?;
    Ok(())
}
