//! Logging in and out, and what one's own log-in says.
//!
//! Whatever proves who somebody is ends in [`begin`]: a password today. OpenID Connect's callback would come in beside
//! [`log_in`], and call it with the user that the provider's claims name.

use axum::extract::State;
use axum::http::StatusCode;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::caller::{Caller, Client, Means};
use super::identify::COOKIE;
use super::password::Password;
use super::users::{self, User};
use super::{Right, Role, log_ins, secret};
use crate::app::{Act, App, Json};
use crate::problem::{Answer, Problem};

/// Who wants to log in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogIn {
    name: String,
    password: Password,
}

/// Who is logged in, and what he may.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    name: String,
    /// Empty for an API token.
    roles: Vec<Role>,
    rights: Vec<Right>,
    /// Goes into the header `x-csrf-token` of every request that changes something; null for an API token, which needs
    /// none.
    csrf: Option<String>,
}

impl Me {
    fn of(caller: &Caller) -> Self {
        let (roles, csrf) = match &caller.means {
            Means::LogIn { csrf, roles, .. } => (roles.clone(), Some(csrf.clone())),
            _ => (Vec::new(), None),
        };
        Self { name: caller.name.clone(), roles, rights: caller.rights.clone(), csrf }
    }
}

/// Starts a log-in of `user`, who has proved who he is; always a new one, so that one that was planted in a browser
/// becomes nobody's.
pub(super) fn begin(app: &App, user: &User, client: Client) -> Answer<(Cookie<'static>, Me)> {
    let mut caller = Caller::outsider(user.name.as_str(), client);
    app.note(&caller, Act::LogIn, &user.name, json!({}))?;
    let secret = app.database().transaction(|t| log_ins::start(t, &user.name, app.now()))?;
    caller.rights = user.rights();
    let (csrf, roles) = (secret::csrf_of(&secret), user.roles.clone());
    caller.means = Means::LogIn { hash: secret::hash(&secret), csrf, roles };
    Ok((cookie(secret.to_string()), Me::of(&caller)))
}

/// The cookie, until the browser is closed: how long the log-in holds is known here.
fn cookie(value: String) -> Cookie<'static> {
    let cookie = Cookie::build((COOKIE, value)).path("/").secure(true).http_only(true);
    cookie.same_site(SameSite::Strict).build()
}

/// Log in with name and password; the answer's cookie is the log-in.
#[utoipa::path(post, path = "/login", operation_id = "logIn", tag = "people", security(()), request_body = LogIn,
    responses((status = 200, description = "Logged in", body = Me,
               headers(("set-cookie" = String, description = "the log-in"))),
              (status = 401, description = "Name or password is wrong", body = Problem)))]
pub(super) async fn log_in(
    State(app): State<App>,
    client: Client,
    jar: CookieJar,
    Json(wanted): Json<LogIn>,
) -> Answer<(CookieJar, Json<Me>)> {
    let (cookie, me) = app.hashing(move |app| prove(app, client, &wanted)).await?;
    Ok((jar.add(cookie), Json(me)))
}

fn prove(app: &App, client: Client, wanted: &LogIn) -> Answer<(Cookie<'static>, Me)> {
    let refused = |status: u16| {
        let detail = json!({ "status": status });
        app.note_refusal(&Caller::outsider("", client), Act::LogInRefused, &wanted.name, detail)
    };
    if let Err(problem) = app.throttle().attempt(client, &wanted.name, app.now()) {
        refused(problem.status)?;
        return Err(problem);
    }
    // What is no name is nobody's; it takes as long to say.
    let found = match users::name(&wanted.name) {
        Ok(name) => users::with_password(app.database(), &name)?,
        Err(_) => None,
    };
    let hash = found.as_ref().map(|(_, hash)| hash.as_str());
    match (wanted.password.is(hash), &found) {
        (true, Some((user, _))) => {
            app.throttle().succeeded(client, &wanted.name);
            begin(app, user, client)
        }
        _ => {
            app.throttle().failed(client, &wanted.name, app.now());
            refused(StatusCode::UNAUTHORIZED.as_u16())?;
            Err(Problem::new(StatusCode::UNAUTHORIZED, "name or password is wrong"))
        }
    }
}

/// Log out: the cookie is worth nothing any more.
#[utoipa::path(post, path = "/logout", operation_id = "logOut", tag = "people",
    responses((status = 204, description = "Logged out")))]
pub(super) async fn log_out(
    State(app): State<App>,
    caller: Caller,
    jar: CookieJar,
) -> Answer<(CookieJar, StatusCode)> {
    app.blocking(move |app| {
        let (name, hash) = caller.person(app, Act::LogOut)?;
        app.note(&caller, Act::LogOut, name, json!({}))?;
        log_ins::end(app.database(), hash)
    })
    .await?;
    let mut gone = cookie(String::new());
    gone.make_removal();
    Ok((jar.add(gone), StatusCode::NO_CONTENT))
}

/// Who is logged in, and what he may.
#[utoipa::path(get, path = "/me", operation_id = "me", tag = "people",
    responses((status = 200, description = "Who calls", body = Me)))]
pub(super) async fn me(caller: Caller) -> Json<Me> {
    Json(Me::of(&caller))
}

/// A change of one's own password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    old: Password,
    new: Password,
}

/// Change one's own password. All other log-ins of this user end.
#[utoipa::path(post, path = "/me/password", operation_id = "changePassword", tag = "people", request_body = NewPassword,
    responses((status = 204, description = "Changed")))]
pub(super) async fn change_password(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<NewPassword>,
) -> Answer<StatusCode> {
    app.hashing(move |app| {
        let (name, kept) = caller.person(app, Act::ChangePassword)?;
        let client = Client(caller.address);
        app.throttle().attempt(client, name, app.now())?;
        let found = users::with_password(app.database(), name)?;
        if !wanted.old.is(found.as_ref().map(|(_, hash)| hash.as_str())) {
            app.throttle().failed(client, name, app.now());
            app.note_refusal(&caller, Act::ChangePassword, name, json!({}))?;
            return Err(Problem::bad_request("old: that is not the password"));
        }
        wanted.new.check(name)?;
        let hash = wanted.new.hash()?;
        app.note(&caller, Act::ChangePassword, name, json!({}))?;
        app.database().transaction(|t| users::set_password(t, name, &hash, Some(kept)))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
