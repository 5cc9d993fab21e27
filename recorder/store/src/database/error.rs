//! Why a database does not do what it is asked, and what to do about it.

use std::error::Error as _;

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

/// Why a database does not do what it is asked. `place` is a file, or a server and its database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such file, or the tables are not there.
    #[error("there is no database {0}: check the path or the name")]
    Missing(String),
    /// Damaged, or no database at all.
    #[error(
        "the database {place} is damaged ({reason}): check its disk, and put back a copy of it"
    )]
    Damaged {
        /// Which.
        place: String,
        /// What was found.
        reason: String,
    },
    /// Another program's tables.
    #[error("{0} is a database of another program: choose another")]
    Foreign(String),
    /// Written by a later version of this program.
    #[error(
        "{component} in {place} has version {found}, this program knows up to {known}: use a newer program"
    )]
    Newer {
        /// Which.
        place: String,
        /// Whose tables.
        component: String,
        /// Their version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// Another's transaction holds it, or it is too slow.
    #[error(
        "the database {place} is in use by another process or too slow ({reason}): try again when that is done"
    )]
    InUse {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// No space, or not writable.
    #[error(
        "cannot write the database {place}: {reason}; free some space or make it writable for this user"
    )]
    NotWritable {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// The server does not answer.
    #[error(
        "the database {place} cannot be reached: {reason}; check that the server runs and that the network leads to it"
    )]
    Unreachable {
        /// Which.
        place: String,
        /// What happened.
        reason: String,
    },
    /// The server answers, but not to us: password, certificate, database, rights.
    #[error(
        "the database {place} refuses us: {reason}; check user, password file, certificates and rights"
    )]
    Refused {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// What is asked for contradicts what is there, or what another writer puts there at this moment: a key that
    /// exists, a reference that does not, rows that two writers want in another order.
    #[error(
        "the database {place} has something else there, or another writer puts it there: {reason}"
    )]
    Conflict {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// A statement is wrong: a fault of this program.
    #[error("the database {place} does not understand us: {reason}; please report this")]
    Statement {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// How to reach it was said wrongly.
    #[error("{0}")]
    Settings(String),
    /// A row does not hold what it must: a fault of this program, or someone changed the tables.
    #[error(
        "a row of the database has no {wanted} in {column:?}; if nobody changed the tables, please report this"
    )]
    Column {
        /// Which column.
        column: String,
        /// What it must hold.
        wanted: &'static str,
    },
}

impl DatabaseError {
    pub(crate) fn of_file(place: &str, error: &rusqlite::Error) -> Self {
        let (place, reason) = (place.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { place, reason }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::InUse { place, reason }
            }
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure
                | ErrorCode::PermissionDenied,
            ) => Self::NotWritable { place, reason },
            Some(ErrorCode::ConstraintViolation) => Self::Conflict { place, reason },
            _ => Self::Statement { place, reason },
        }
    }

    pub(super) fn of_server(place: &str, error: &tokio_postgres::Error) -> Self {
        let place = place.to_owned();
        let Some(told) = error.as_db_error() else {
            let reason = chain(error);
            // What cannot be encoded or decoded is between us and our statement; all else is the way there.
            return match reason.contains("serializing") || reason.contains("parameters") {
                true => Self::Statement { place, reason },
                false => Self::Unreachable { place, reason },
            };
        };
        let (code, reason) = (told.code(), told.message().to_owned());
        if [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE].contains(code) {
            return Self::InUse { place, reason };
        }
        // The classes of SQLSTATE (PostgreSQL, appendix A).
        match code.code().get(..2).unwrap_or_default() {
            // A constraint; and what another writer did at the same time, so that ours was undone.
            "23" | "40" => Self::Conflict { place, reason },
            "28" | "3D" => Self::Refused { place, reason },
            "42" if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Refused { place, reason },
            "42" if *code == SqlState::UNDEFINED_TABLE => Self::Missing(place),
            "25" if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                Self::NotWritable { place, reason }
            }
            "53" if *code == SqlState::DISK_FULL => Self::NotWritable { place, reason },
            "08" | "53" | "57" | "58" => Self::Unreachable { place, reason },
            _ => Self::Statement { place, reason },
        }
    }
}

/// With what lies behind it: `error connecting to server` alone helps nobody.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
