//! The first user. There is no default password: the first start prints a link that makes one, once.

use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::CookieJar;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::caller::{Caller, Client};
use super::log_in::{self, Me};
use super::password::Password;
use super::users::{self, User};
use super::{Role, secret};
use crate::app::{Act, App, Json};
use crate::problem::{Answer, Problem};

/// What guesses of the link's token are counted under; no user has this name.
const GUESSED: &str = "/setup";

/// While there is no user: a new secret that makes the first one. An earlier one is worth nothing any more.
///
/// # Errors
/// If the database does not answer.
pub(crate) fn invite(app: &App) -> Answer<Option<String>> {
    app.database().transaction(|t| {
        if users::count(t)? > 0 {
            return Ok(None);
        }
        let secret = secret::new()?;
        t.execute("DELETE FROM web_set_up", &[])?;
        t.execute("INSERT INTO web_set_up (hash) VALUES ($1)", &[secret::hash(&secret).into()])?;
        Ok(Some(secret.to_string()))
    })
}

/// Whether there is no user yet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Needed {
    needed: bool,
}

/// Whether the first user is still to be made.
#[utoipa::path(get, path = "/setup", operation_id = "setUpNeeded", tag = "people", security(()),
    responses((status = 200, description = "Whether it is needed", body = Needed)))]
pub(super) async fn needed(State(app): State<App>) -> Answer<Json<Needed>> {
    app.blocking(|app| {
        let needed = app.database().transaction(users::count)? == 0;
        Ok(Json(Needed { needed }))
    })
    .await
}

/// The first user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    /// From the link that the first start printed.
    token: String,
    name: String,
    password: Password,
}

/// Make the first user, with all roles, and log in as him.
#[utoipa::path(post, path = "/setup", operation_id = "setUp", tag = "people", security(()), request_body = First,
    responses((status = 200, description = "Made, and logged in", body = Me,
               headers(("set-cookie" = String, description = "the log-in"))),
              (status = 403, description = "The token is wrong", body = Problem),
              (status = 409, description = "There are users already", body = Problem)))]
pub(super) async fn set_up(
    State(app): State<App>,
    client: Client,
    jar: CookieJar,
    Json(first): Json<First>,
) -> Answer<(CookieJar, Json<Me>)> {
    let (cookie, me) = app
        .hashing(move |app| {
            app.throttle().attempt(client, GUESSED, app.now())?;
            let user = make(app, client, &first)?;
            log_in::begin(app, &user, client)
        })
        .await?;
    Ok((jar.add(cookie), Json(me)))
}

fn make(app: &App, client: Client, first: &First) -> Answer<User> {
    let token = secret::hash(&first.token);
    let taken = || Problem::new(StatusCode::CONFLICT, "there are users already; log in");
    if app.database().transaction(users::count)? > 0 {
        return Err(taken());
    }
    let nobody = Caller::outsider("", client);
    let known = "SELECT hash FROM web_set_up WHERE hash = $1";
    if app.database().query(known, &[(&token).into()])?.is_empty() {
        app.throttle().failed(client, GUESSED, app.now());
        app.note_refusal(&nobody, Act::SetUp, "", json!({}))?;
        return Err(Problem::forbidden(
            "this link is not the one that the server printed last; restart the server for a new one",
        ));
    }
    let name = users::name(&first.name)?;
    first.password.check(&name)?;
    let hash = first.password.hash()?;
    let user = User { name, roles: Role::ALL.to_vec(), made: app.now() };
    app.note(&nobody, Act::SetUp, &user.name, json!({}))?;
    app.database().transaction(|t| {
        let spent = t.execute("DELETE FROM web_set_up WHERE hash = $1", &[(&token).into()])?;
        if spent == 0 || users::count(t)? > 0 {
            return Err(taken());
        }
        users::insert(t, &user, &hash)
    })?;
    Ok(user)
}
