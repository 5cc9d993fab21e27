//! The tables of users, log-ins and API tokens.
//!
//! Times are nanoseconds since the Unix epoch. A secret (log-in, token, set-up link) is kept as its SHA-256 only, in
//! hexadecimal; roles and rights are lists with commas, in the words of the API.

use store::{Database, DatabaseError};

/// Applied in order, each once.
const STEPS: &[&str] = &["
CREATE TABLE web_users (
    name TEXT PRIMARY KEY,
    roles TEXT NOT NULL,
    password TEXT NOT NULL,
    made BIGINT NOT NULL
);
CREATE TABLE web_log_ins (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    made BIGINT NOT NULL,
    seen BIGINT NOT NULL
);
CREATE INDEX web_log_ins_name ON web_log_ins (name);
CREATE TABLE web_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    rights TEXT NOT NULL,
    made BIGINT NOT NULL,
    expires BIGINT,
    used BIGINT
);
CREATE INDEX web_tokens_owner ON web_tokens (owner);
CREATE TABLE web_set_up (hash TEXT PRIMARY KEY);
"];

/// Makes them.
pub(crate) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    database.migrate("auth", STEPS)
}
