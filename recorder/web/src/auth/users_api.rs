//! Managing users.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::caller::Caller;
use super::password::Password;
use super::users::{self, User};
use super::{Right, Role};
use crate::app::{Act, App, Json, Path};
use crate::problem::{Answer, Problem};

/// All users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Users {
    users: Vec<User>,
}

/// All users.
#[utoipa::path(get, path = "/users", operation_id = "listUsers", tag = "users",
    responses((status = 200, description = "All users, by name", body = Users)))]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Answer<Json<Users>> {
    app.blocking(move |app| {
        app.allow(&caller, Right::ManageUsers, Act::ManageUser, "")?;
        app.note(&caller, Act::ManageUser, "", json!({ "did": "list" }))?;
        Ok(Json(Users { users: users::all(app.database())? }))
    })
    .await
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// Letters, digits and `._@-`; kept in lower case.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
    name: String,
    roles: Vec<Role>,
    /// His first password, which he should change.
    password: Password,
}

/// Make a user.
#[utoipa::path(post, path = "/users", operation_id = "makeUser", tag = "users", request_body = NewUser,
    responses((status = 201, description = "Made", body = User),
              (status = 409, description = "There is one of that name", body = Problem)))]
pub(super) async fn make(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewUser>,
) -> Answer<(StatusCode, Json<User>)> {
    app.hashing(move |app| {
        app.allow(&caller, Right::ManageUsers, Act::ManageUser, &new.name)?;
        let name = users::name(&new.name)?;
        new.password.check(&name)?;
        let hash = new.password.hash()?;
        let user = User { name, roles: once(new.roles.clone()), made: app.now() };
        app.note(
            &caller,
            Act::ManageUser,
            &user.name,
            json!({ "did": "make", "roles": user.roles }),
        )?;
        app.database().transaction(|t| users::insert(t, &user, &hash))?;
        Ok((StatusCode::CREATED, Json(user)))
    })
    .await
}

/// What to change about a user; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    roles: Option<Vec<Role>>,
    /// His log-ins end.
    password: Option<Password>,
}

/// Change a user's roles, or set his password.
#[utoipa::path(patch, path = "/users/{name}", operation_id = "changeUser", tag = "users", request_body = Change,
    params(("name" = String, Path, description = "the user")),
    responses((status = 200, description = "Changed", body = User),
              (status = 404, description = "There is no such user", body = Problem),
              (status = 409, description = "Then nobody could manage users", body = Problem)))]
pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(change): Json<Change>,
) -> Answer<Json<User>> {
    app.hashing(move |app| {
        app.allow(&caller, Right::ManageUsers, Act::ManageUser, &name)?;
        let name = users::name(&name)?;
        let hash = match &change.password {
            Some(password) => {
                password.check(&name)?;
                Some(password.hash()?)
            }
            None => None,
        };
        let roles = change.roles.clone().map(once);
        let detail = json!({ "did": "change", "roles": roles, "password": hash.is_some() });
        app.note(&caller, Act::ManageUser, &name, detail)?;
        app.database().transaction(|t| {
            if let Some(roles) = &roles {
                users::set_roles(t, &name, roles)?;
            }
            hash.as_ref().map_or(Ok(()), |hash| users::set_password(t, &name, hash, None))
        })?;
        let found = users::with_password(app.database(), &name)?;
        let gone = || Problem::not_found(format!("there is no user {name}"));
        found.map(|(user, _)| Json(user)).ok_or_else(gone)
    })
    .await
}

/// Remove a user, his log-ins and his API tokens.
#[utoipa::path(delete, path = "/users/{name}", operation_id = "removeUser", tag = "users",
    params(("name" = String, Path, description = "the user")),
    responses((status = 204, description = "Removed"),
              (status = 404, description = "There is no such user", body = Problem),
              (status = 409, description = "Then nobody could manage users", body = Problem)))]
pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    app.blocking(move |app| {
        app.allow(&caller, Right::ManageUsers, Act::ManageUser, &name)?;
        let name = users::name(&name)?;
        app.note(&caller, Act::ManageUser, &name, json!({ "did": "remove" }))?;
        app.database().transaction(|t| users::delete(t, &name))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

fn once(mut roles: Vec<Role>) -> Vec<Role> {
    roles.sort_unstable();
    roles.dedup();
    roles
}
