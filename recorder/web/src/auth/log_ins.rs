//! Log-ins, as they are kept: who is known by which cookie, and how long.

use std::time::Duration;

use base::Timestamp;
use base::limits::{LOG_IN_IDLE_SECONDS_MAX, LOG_IN_SECONDS_MAX, LOG_INS_PER_USER_MAX};
use store::database::{Database, Transaction, Value};
use zeroize::Zeroizing;

use super::secret;
use super::users::User;
use super::words::{items, nanos, time};
use crate::problem::Answer;

/// That a log-in was used is written down so often at most.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Starts one; gives its secret. The oldest of a user's many gives way.
pub(super) fn start(
    transaction: &mut Transaction<'_>,
    name: &str,
    now: Timestamp,
) -> Answer<Zeroizing<String>> {
    let secret = secret::new()?;
    transaction.execute("DELETE FROM web_log_ins WHERE made < $1 OR seen < $2", &ends(now))?;
    let sql = "DELETE FROM web_log_ins WHERE hash IN (SELECT hash FROM web_log_ins
               WHERE name = $1 ORDER BY made DESC LIMIT 1000 OFFSET $2)";
    transaction.execute(sql, &[name.into(), (LOG_INS_PER_USER_MAX - 1).into()])?;
    let sql = "INSERT INTO web_log_ins (hash, name, made, seen) VALUES ($1, $2, $3, $3)";
    transaction.execute(sql, &[secret::hash(&secret).into(), name.into(), nanos(now).into()])?;
    Ok(secret)
}

/// The user who logged in so, if it still holds.
pub(super) fn find(database: &Database, hash: &str, now: Timestamp) -> Answer<Option<User>> {
    let sql = "SELECT u.name AS name, u.roles AS roles, u.made AS made, l.seen AS seen
               FROM web_log_ins l JOIN web_users u ON u.name = l.name
               WHERE l.hash = $1 AND l.made >= $2 AND l.seen >= $3";
    let [made, seen] = ends(now);
    let rows = database.query(sql, &[hash.into(), made, seen])?;
    let Some(row) = rows.first() else { return Ok(None) };
    if now.since(time(row, "seen")?) >= SEEN_EVERY {
        let sql = "UPDATE web_log_ins SET seen = $1 WHERE hash = $2";
        database.execute(sql, &[nanos(now).into(), hash.into()])?;
    }
    let roles = items(row.text("roles")?);
    Ok(Some(User { name: row.text("name")?.to_owned(), roles, made: time(row, "made")? }))
}

/// Ends one.
pub(super) fn end(database: &Database, hash: &str) -> Answer<()> {
    database.execute("DELETE FROM web_log_ins WHERE hash = $1", &[hash.into()])?;
    Ok(())
}

/// Log-ins that were made before the first, or not used since the second, hold no more.
fn ends(now: Timestamp) -> [Value; 2] {
    let before = |seconds| nanos(now.minus(Duration::from_secs(seconds))).into();
    [before(LOG_IN_SECONDS_MAX), before(LOG_IN_IDLE_SECONDS_MAX)]
}
