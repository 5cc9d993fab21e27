//! Users, as they are kept.

use axum::http::StatusCode;
use base::Timestamp;
use base::limits::{NAME_BYTES_MAX, USERS_MAX};
use serde::Serialize;
use store::database::{Database, DatabaseError, Row, Transaction};
use utoipa::ToSchema;

use super::words::{items, list, nanos, time};
use super::{Right, Role};
use crate::problem::{Answer, Problem};

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct User {
    /// Name; lower case.
    pub(crate) name: String,
    /// What he is.
    pub(crate) roles: Vec<Role>,
    /// When he was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) made: Timestamp,
}

impl User {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let name = row.text("name")?.to_owned();
        Ok(Self { name, roles: items(row.text("roles")?), made: time(row, "made")? })
    }

    /// What his roles allow, each right once.
    pub(super) fn rights(&self) -> Vec<Right> {
        rights_of(&self.roles)
    }
}

/// What roles allow, each right once.
pub(super) fn rights_of(roles: &[Role]) -> Vec<Right> {
    let mut rights: Vec<Right> = roles.iter().flat_map(|role| role.rights()).copied().collect();
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// A name as it is kept: lower case, so that nobody is taken for `Anna` who is not `anna`. Letters, digits and `._@-`.
///
/// # Errors
/// 400 if it is no name.
pub(super) fn name(text: &str) -> Answer<String> {
    let name = text.to_ascii_lowercase();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(good) {
        return Ok(name);
    }
    Err(Problem::bad_request(format!(
        "name: 1 to {NAME_BYTES_MAX} letters (a to z), digits and ._@-, a letter or digit first"
    )))
}

/// All, by name.
pub(super) fn all(database: &Database) -> Answer<Vec<User>> {
    let rows = database.query("SELECT name, roles, made FROM web_users ORDER BY name", &[])?;
    Ok(rows.iter().map(User::from_row).collect::<Result<_, _>>()?)
}

/// How many there are.
pub(super) fn count(transaction: &mut Transaction<'_>) -> Answer<i64> {
    let rows = transaction.query("SELECT count(*) AS users FROM web_users", &[])?;
    Ok(rows.first().map_or(Ok(0), |row| row.integer("users"))?)
}

/// One, and what is kept of his password.
pub(super) fn with_password(database: &Database, name: &str) -> Answer<Option<(User, String)>> {
    let sql = "SELECT name, roles, made, password FROM web_users WHERE name = $1";
    let rows = database.query(sql, &[name.into()])?;
    let found =
        rows.first().map(|row| Ok((User::from_row(row)?, row.text("password")?.to_owned())));
    Ok(found.transpose().map_err(|error: DatabaseError| error)?)
}

/// Makes one.
///
/// # Errors
/// 409 if there is one of that name, or too many.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    user: &User,
    password_hash: &str,
) -> Answer<()> {
    if count(transaction)? >= USERS_MAX {
        return Err(Problem::new(StatusCode::CONFLICT, format!("there are {USERS_MAX} users")));
    }
    let sql = "INSERT INTO web_users (name, roles, password, made) VALUES ($1, $2, $3, $4)
               ON CONFLICT (name) DO NOTHING";
    let values = [
        (&user.name).into(),
        list(&user.roles).into(),
        password_hash.into(),
        nanos(user.made).into(),
    ];
    if transaction.execute(sql, &values)? == 0 {
        let detail = format!("there is a user {} already", user.name);
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok(())
}

/// Changes roles.
///
/// # Errors
/// 404 if there is no such user; 409 if nobody could manage users then.
pub(super) fn set_roles(
    transaction: &mut Transaction<'_>,
    name: &str,
    roles: &[Role],
) -> Answer<()> {
    let sql = "UPDATE web_users SET roles = $1 WHERE name = $2";
    let changed = transaction.execute(sql, &[list(roles).into(), name.into()])?;
    found(changed, name)?;
    somebody_manages(transaction)
}

/// Changes a password, and ends the user's log-ins but `kept` (a hash).
///
/// # Errors
/// 404 if there is no such user.
pub(super) fn set_password(
    transaction: &mut Transaction<'_>,
    name: &str,
    password_hash: &str,
    kept: Option<&str>,
) -> Answer<()> {
    let sql = "UPDATE web_users SET password = $1 WHERE name = $2";
    let changed = transaction.execute(sql, &[password_hash.into(), name.into()])?;
    found(changed, name)?;
    let sql = "DELETE FROM web_log_ins WHERE name = $1 AND hash <> $2";
    transaction.execute(sql, &[name.into(), kept.unwrap_or_default().into()])?;
    Ok(())
}

/// Removes one, with log-ins and tokens.
///
/// # Errors
/// As [`set_roles`].
pub(super) fn delete(transaction: &mut Transaction<'_>, name: &str) -> Answer<()> {
    let changed = transaction.execute("DELETE FROM web_users WHERE name = $1", &[name.into()])?;
    found(changed, name)?;
    transaction.execute("DELETE FROM web_log_ins WHERE name = $1", &[name.into()])?;
    transaction.execute("DELETE FROM web_tokens WHERE owner = $1", &[name.into()])?;
    somebody_manages(transaction)
}

fn found(changed: u64, name: &str) -> Answer<()> {
    if changed > 0 { Ok(()) } else { Err(Problem::not_found(format!("there is no user {name}"))) }
}

fn somebody_manages(transaction: &mut Transaction<'_>) -> Answer<()> {
    let rows = transaction.query("SELECT roles FROM web_users", &[])?;
    for row in &rows {
        if items::<Role>(row.text("roles")?).contains(&Role::Administrator) {
            return Ok(());
        }
    }
    Err(Problem::new(StatusCode::CONFLICT, "then there would be no administrator any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_in_one_case() {
        assert_eq!(name("Anna.B@example.com").unwrap(), "anna.b@example.com");
        for bad in ["", ".anna", "an na", "token:x", "a/b", "änna", "a\r\nb", &"a".repeat(65)] {
            assert_eq!(name(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn each_right_comes_once() {
        let rights = rights_of(&Role::ALL);
        let mut once = rights.clone();
        once.dedup();
        assert_eq!(rights, once);
        assert!(rights.contains(&Right::ManageUsers) && rights.contains(&Right::ListenLive));
        assert_eq!(rights_of(&[]), []);
    }
}
