//! Links and openings, as they are kept.
//!
//! Times are nanoseconds since the Unix epoch; of secrets (links, keys) there is the SHA-256, of passcodes argon2id.

use std::time::Duration;

use base::limits::{
    SHARE_KEPT_SECONDS_MAX, SHARE_OPENINGS_MAX, SHARE_WRONG_PASSCODES_MAX, SHARES_LISTED_MAX,
    SHARES_PER_RECORDING_MAX,
};
use base::{RecordingId, Timestamp};
use store::database::{Database, DatabaseError, Row, Transaction};

use super::share::Share;
use crate::auth::words::{nanos, optional_time, time};
use crate::problem::{Answer, Problem};

/// Applied in order, each once.
const STEPS: &[&str] = &["
CREATE TABLE web_shares (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    recording TEXT NOT NULL,
    owner TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    uses BIGINT,
    used BIGINT NOT NULL,
    passcode TEXT,
    wrong BIGINT NOT NULL,
    note TEXT,
    revoked BIGINT
);
CREATE INDEX web_shares_recording ON web_shares (recording);
CREATE INDEX web_shares_created ON web_shares (created);
CREATE TABLE web_share_openings (
    hash TEXT PRIMARY KEY,
    share TEXT NOT NULL,
    opened BIGINT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX web_share_openings_share ON web_share_openings (share, opened);
"];

const COLUMNS: &str =
    "s.id AS id, s.recording AS recording, s.owner AS owner, s.created AS created,
    s.expires AS expires, s.uses AS uses, s.used AS used, s.passcode AS passcode, s.wrong AS wrong,
    s.note AS note, s.revoked AS revoked";

pub(super) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    database.migrate("shares", STEPS)
}

/// A link, and the hash of its passcode.
pub(super) struct Found {
    pub(super) share: Share,
    pub(super) passcode: Option<String>,
}

impl Found {
    fn from_row(row: &Row) -> Answer<Self> {
        let recording = row.text("recording")?.parse::<RecordingId>();
        let recording = recording
            .map_err(|error| Problem::unavailable("the table of links is damaged", &error))?;
        let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let passcode = row.optional_text("passcode")?.map(str::to_owned);
        let share = Share {
            id: row.text("id")?.to_owned(),
            recording,
            owner: row.text("owner")?.to_owned(),
            created: time(row, "created")?,
            expires: time(row, "expires")?,
            uses: row.optional_integer("uses")?.map(count),
            used: count(row.integer("used")?),
            passcode: passcode.is_some(),
            locked: row.integer("wrong")? >= i64::from(SHARE_WRONG_PASSCODES_MAX),
            note: row.optional_text("note")?.map(str::to_owned),
            revoked: optional_time(row, "revoked")?,
        };
        Ok(Self { share, passcode })
    }
}

/// Keeps a new link.
///
/// # Errors
/// 409 if there are too many to this recording.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    share: &Share,
    hash: &str,
    passcode: Option<String>,
) -> Answer<()> {
    let long_ago = nanos(share.created.minus(Duration::from_secs(SHARE_KEPT_SECONDS_MAX)));
    transaction.execute("DELETE FROM web_shares WHERE expires < $1", &[long_ago.into()])?;
    let recording = share.recording.to_string();
    let sql = "SELECT count(*) AS links FROM web_shares WHERE recording = $1";
    let rows = transaction.query(sql, &[(&recording).into()])?;
    if rows.first().map_or(Ok(0), |row| row.integer("links"))?
        >= i64::from(SHARES_PER_RECORDING_MAX)
    {
        let detail = format!(
            "there are {SHARES_PER_RECORDING_MAX} links to this recording, and no more can be made"
        );
        return Err(Problem::conflict(detail));
    }
    let sql = "INSERT INTO web_shares
                   (id, hash, recording, owner, created, expires, uses, used, passcode, wrong, note)
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0, $9)";
    let values = [
        (&share.id).into(),
        hash.into(),
        recording.into(),
        (&share.owner).into(),
        nanos(share.created).into(),
        nanos(share.expires).into(),
        share.uses.into(),
        passcode.into(),
        share.note.clone().into(),
    ];
    transaction.execute(sql, &values)?;
    Ok(())
}

/// Links of `owner` or of all, to one recording or to all; the newest first.
pub(super) fn list(
    database: &Database,
    recording: Option<RecordingId>,
    owner: Option<&str>,
) -> Answer<Vec<Share>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM web_shares s WHERE (s.recording = $1 OR $2) AND (s.owner = $3 OR $4)
         ORDER BY s.created DESC, s.id LIMIT {SHARES_LISTED_MAX}"
    );
    let values = [
        recording.map_or_else(String::new, |id| id.to_string()).into(),
        recording.is_none().into(),
        owner.unwrap_or_default().into(),
        owner.is_none().into(),
    ];
    let rows = database.query(&sql, &values)?;
    rows.iter().map(|row| Found::from_row(row).map(|found| found.share)).collect()
}

/// The link with this id.
pub(super) fn by_id(database: &Database, id: &str) -> Answer<Option<Share>> {
    let sql = format!("SELECT {COLUMNS} FROM web_shares s WHERE s.id = $1");
    let rows = database.query(&sql, &[id.into()])?;
    rows.first().map(|row| Found::from_row(row).map(|found| found.share)).transpose()
}

/// The link with this secret.
pub(super) fn by_hash(database: &Database, hash: &str) -> Answer<Option<Found>> {
    let sql = format!("SELECT {COLUMNS} FROM web_shares s WHERE s.hash = $1");
    let rows = database.query(&sql, &[hash.into()])?;
    rows.first().map(Found::from_row).transpose()
}

/// Revokes a link, and all that was opened with it.
pub(super) fn revoke(database: &Database, id: &str, now: Timestamp) -> Answer<()> {
    database.transaction(|t| {
        let sql = "UPDATE web_shares SET revoked = $1 WHERE id = $2 AND revoked IS NULL";
        t.execute(sql, &[nanos(now).into(), id.into()])?;
        t.execute("DELETE FROM web_share_openings WHERE share = $1", &[id.into()])?;
        Ok(())
    })
}

/// Counts a passcode as wrong before it is looked at, so that no number of tries at once gets more than there are.
/// False if there are none left.
pub(super) fn begin_try(database: &Database, id: &str) -> Answer<bool> {
    let sql = "UPDATE web_shares SET wrong = wrong + 1 WHERE id = $1 AND wrong < $2";
    let max = i64::from(SHARE_WRONG_PASSCODES_MAX);
    Ok(database.execute(sql, &[id.into(), max.into()])? > 0)
}

/// It was right.
pub(super) fn was_right(database: &Database, id: &str) -> Answer<()> {
    let sql = "UPDATE web_shares SET wrong = wrong - 1 WHERE id = $1 AND wrong > 0";
    database.execute(sql, &[id.into()])?;
    Ok(())
}

/// Counts an opening and keeps its key. False if the link opens no more.
pub(super) fn open(
    database: &Database,
    id: &str,
    key_hash: &str,
    now: Timestamp,
    until: Timestamp,
) -> Answer<bool> {
    database.transaction(|t| {
        let sql = "UPDATE web_shares SET used = used + 1
                   WHERE id = $1 AND revoked IS NULL AND expires > $2 AND (uses IS NULL OR used < uses)";
        let time = nanos(now);
        if t.execute(sql, &[id.into(), time.into()])? == 0 {
            return Ok(false);
        }
        t.execute("DELETE FROM web_share_openings WHERE until <= $1", &[time.into()])?;
        let sql = format!(
            "DELETE FROM web_share_openings WHERE share = $1 AND hash NOT IN
                 (SELECT hash FROM web_share_openings WHERE share = $1 ORDER BY opened DESC LIMIT {})",
            SHARE_OPENINGS_MAX - 1
        );
        t.execute(&sql, &[id.into()])?;
        let sql = "INSERT INTO web_share_openings (hash, share, opened, until) VALUES ($1, $2, $3, $4)";
        t.execute(sql, &[key_hash.into(), id.into(), time.into(), nanos(until).into()])?;
        Ok(true)
    })
}

/// The link that was opened with this key, if the key still holds.
pub(super) fn by_key(
    database: &Database,
    hash: &str,
    key_hash: &str,
    now: Timestamp,
) -> Answer<Option<Share>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM web_shares s JOIN web_share_openings o ON o.share = s.id
         WHERE s.hash = $1 AND o.hash = $2 AND o.until > $3"
    );
    let rows = database.query(&sql, &[hash.into(), key_hash.into(), nanos(now).into()])?;
    rows.first().map(|row| Found::from_row(row).map(|found| found.share)).transpose()
}
