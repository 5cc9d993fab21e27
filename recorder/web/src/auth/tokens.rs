//! API tokens, as they are kept.

use axum::http::StatusCode;
use base::Timestamp;
use base::limits::TOKENS_PER_USER_MAX;
use serde::Serialize;
use store::database::{Database, DatabaseError, Row, Transaction};
use utoipa::ToSchema;

use super::words::{items, list, nanos, optional_time, time};
use super::{Right, secret, users};
use crate::problem::{Answer, Problem};

/// What every token begins with, so that one that leaks is known for what it is.
pub(super) const PREFIX: &str = "spr_";

/// An API token; not its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Token {
    /// Names it for `DELETE`.
    pub(crate) id: String,
    /// What it is for; no two have the same.
    pub(crate) name: String,
    /// The user who made it. It ends with him, and may never do what he may not.
    pub(crate) owner: String,
    /// What it may do.
    pub(crate) rights: Vec<Right>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) made: Timestamp,
    /// When it ends; null: with its owner.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) expires: Option<Timestamp>,
    /// When it was last used, to the hour.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) used: Option<Timestamp>,
}

const COLUMNS: &str = "t.id AS id, t.name AS name, t.owner AS owner, t.rights AS rights,
                       t.made AS made, t.expires AS expires, t.used AS used";

/// That a token was used is written down so often at most.
const USED_EVERY: std::time::Duration = std::time::Duration::from_secs(3600);

impl Token {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.text("id")?.to_owned(),
            name: row.text("name")?.to_owned(),
            owner: row.text("owner")?.to_owned(),
            rights: items(row.text("rights")?),
            made: time(row, "made")?,
            expires: optional_time(row, "expires")?,
            used: optional_time(row, "used")?,
        })
    }
}

/// All of `owner`, or all there are; by name.
pub(super) fn all(database: &Database, owner: Option<&str>) -> Answer<Vec<Token>> {
    let sql =
        format!("SELECT {COLUMNS} FROM web_tokens t WHERE t.owner = $1 OR $2 ORDER BY t.name");
    let rows = database.query(&sql, &[owner.unwrap_or_default().into(), owner.is_none().into()])?;
    Ok(rows.iter().map(Token::from_row).collect::<Result<_, _>>()?)
}

/// Makes one; gives it and what is shown once.
///
/// # Errors
/// 409 if there is one of that name, or its owner has too many.
pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    name: String,
    owner: &str,
    rights: Vec<Right>,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Answer<(Token, String)> {
    let sql = "SELECT count(*) AS tokens FROM web_tokens WHERE owner = $1";
    let rows = transaction.query(sql, &[owner.into()])?;
    if rows.first().map_or(Ok(0), |row| row.integer("tokens"))? >= TOKENS_PER_USER_MAX {
        let detail = format!("you have {TOKENS_PER_USER_MAX} tokens; revoke one first");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let text = format!("{PREFIX}{}", *secret::new()?);
    let id = secret::id()?;
    let sql = "INSERT INTO web_tokens (id, name, owner, hash, rights, made, expires)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
    let values = [
        (&id).into(),
        (&name).into(),
        owner.into(),
        secret::hash(&text).into(),
        list(&rights).into(),
        nanos(now).into(),
        expires.map(nanos).into(),
    ];
    if transaction.execute(sql, &values)? == 0 {
        let detail = format!("there is a token {name} already");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let owner = owner.to_owned();
    Ok((Token { id, name, owner, rights, made: now, expires, used: None }, text))
}

/// The token of whose secret `hash` was kept, if it holds, with the rights that its owner still has.
pub(super) fn find(database: &Database, hash: &str, now: Timestamp) -> Answer<Option<Token>> {
    let sql = format!(
        "SELECT {COLUMNS}, u.roles AS roles FROM web_tokens t JOIN web_users u ON u.name = t.owner
         WHERE t.hash = $1 AND (t.expires IS NULL OR t.expires > $2)"
    );
    let rows = database.query(&sql, &[hash.into(), nanos(now).into()])?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut token = Token::from_row(row)?;
    let owners = users::rights_of(&items(row.text("roles")?));
    token.rights.retain(|right| owners.contains(right));
    if token.used.is_none_or(|used| now.since(used) >= USED_EVERY) {
        let sql = "UPDATE web_tokens SET used = $1 WHERE id = $2";
        database.execute(sql, &[nanos(now).into(), (&token.id).into()])?;
    }
    Ok(Some(token))
}

/// Revokes one of `owner`, or anybody's; gives its name.
///
/// # Errors
/// 404 if there is no such token, or it is another's.
pub(super) fn delete(database: &Database, id: &str, owner: Option<&str>) -> Answer<()> {
    let sql = "DELETE FROM web_tokens WHERE id = $1 AND (owner = $2 OR $3)";
    let values = [id.into(), owner.unwrap_or_default().into(), owner.is_none().into()];
    if database.execute(sql, &values)? == 0 {
        return Err(Problem::not_found(format!("there is no token {id}")));
    }
    Ok(())
}
