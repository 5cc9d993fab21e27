//! Making and revoking API tokens.

use axum::extract::State;
use axum::http::StatusCode;
use base::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::caller::Caller;
use super::tokens::{self, Token};
use super::{Right, users};
use crate::app::{Act, App, Json, Path};
use crate::problem::{Answer, Problem};

/// API tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
}

/// One's own API tokens; everybody's for those who manage users.
#[utoipa::path(get, path = "/tokens", operation_id = "listTokens", tag = "users",
    responses((status = 200, description = "Tokens, by name", body = Tokens)))]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Answer<Json<Tokens>> {
    app.blocking(move |app| {
        app.note(&caller, Act::ManageToken, "", json!({ "did": "list" }))?;
        Ok(Json(Tokens { tokens: tokens::all(app.database(), owner(&caller))? }))
    })
    .await
}

/// A new API token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What it is for: letters, digits and `._@-`; no two have the same.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
    name: String,
    /// What it may do: nothing that its maker may not.
    rights: Vec<Right>,
    /// When it ends; null: with its maker.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

/// A token that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    #[serde(flatten)]
    about: Token,
    /// The token itself, `spr_...`. It is shown this once.
    token: String,
}

/// Make an API token.
#[utoipa::path(post, path = "/tokens", operation_id = "makeToken", tag = "users", request_body = NewToken,
    responses((status = 201, description = "Made", body = Made),
              (status = 409, description = "There is one of that name, or there are too many", body = Problem)))]
pub(super) async fn make(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Answer<(StatusCode, Json<Made>)> {
    app.blocking(move |app| {
        let name = users::name(&new.name)?;
        // A token that makes tokens would outlive its own end.
        let (person, _) = caller.person(app, Act::ManageToken)?;
        for right in &new.rights {
            app.allow(&caller, *right, Act::ManageToken, &name)?;
        }
        if new.expires.is_some_and(|expires| expires <= app.now()) {
            return Err(Problem::bad_request("expires: that is past"));
        }
        let detail = json!({ "did": "make", "rights": new.rights, "expires": new.expires });
        app.note(&caller, Act::ManageToken, &name, detail)?;
        let mut rights = new.rights.clone();
        rights.sort_unstable();
        rights.dedup();
        let (about, token) = app
            .database()
            .transaction(|t| tokens::insert(t, name, person, rights, new.expires, app.now()))?;
        Ok((StatusCode::CREATED, Json(Made { about, token })))
    })
    .await
}

/// Revoke an API token: one's own; anybody's for those who manage users.
#[utoipa::path(delete, path = "/tokens/{id}", operation_id = "revokeToken", tag = "users",
    params(("id" = String, Path, description = "the token's id")),
    responses((status = 204, description = "Revoked"),
              (status = 404, description = "There is no such token, or it is another's", body = Problem)))]
pub(super) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    app.blocking(move |app| {
        app.note(&caller, Act::ManageToken, &id, json!({ "did": "revoke" }))?;
        tokens::delete(app.database(), &id, owner(&caller))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Whose tokens the caller may see: his own, or all (`None`).
fn owner(caller: &Caller) -> Option<&str> {
    (!caller.may(Right::ManageUsers)).then_some(&caller.user)
}
