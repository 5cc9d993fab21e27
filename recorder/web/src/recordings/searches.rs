//! Saved searches. They are their owner's own: nobody else finds, sees or deletes them.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use base::limits::{
    SAVED_COLUMNS_MAX, SAVED_QUERY_BYTES_MAX, SAVED_SEARCH_NAME_CHARACTERS_MAX,
    SAVED_SEARCHES_PER_USER_MAX,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::DatabaseError;
use store::database::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::query::ListQuery;
use super::words;
use crate::app::{Act, App, Json, Path};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// What is saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSearch {
    /// For people.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    name: String,
    /// The query string of `GET /recordings`, without the question mark.
    #[schema(max_length = 2048, example = "party=%2B4930*&incomplete=true")]
    query: String,
    /// Columns to show, in order, by the names that the client has for them.
    #[serde(default)]
    #[schema(max_items = 32)]
    columns: Vec<ColumnName>,
}

/// A column: 1 to 32 letters and digits.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(pattern = r"^[A-Za-z0-9]{1,32}$")]
pub(super) struct ColumnName(String);

impl ColumnName {
    fn check(&self) -> Answer<()> {
        let fits = (1..=32).contains(&self.0.len());
        match fits && self.0.bytes().all(|b| b.is_ascii_alphanumeric()) {
            true => Ok(()),
            false => Err(Problem::bad_request("columns: a name has 1 to 32 letters and digits")),
        }
    }
}

/// A saved search.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Search {
    /// Names it.
    #[schema(value_type = String, format = Uuid)]
    id: String,
    /// For people.
    name: String,
    /// The query string of `GET /recordings`.
    query: String,
    /// Columns to show, in order.
    columns: Vec<ColumnName>,
}

/// One's saved searches.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Searches {
    /// The oldest first.
    searches: Vec<Search>,
}

/// One's saved searches.
#[utoipa::path(
    get,
    path = "/searches",
    tag = "searches",
    operation_id = "listSearches",
    responses(
        (status = 200, body = Searches),
    )
)]
pub(super) async fn list(State(app): State<App>, caller: Caller) -> Answer<Json<Searches>> {
    app.allow(&caller, Right::SeeRecordings, Act::Search, "searches")?;
    let sql =
        "SELECT id, name, query, shown FROM web_searches WHERE owner = $1 ORDER BY created, id";
    let searches = app
        .blocking(move |app| {
            let rows = app.database().query(sql, &[caller.name.into()])?;
            Ok(rows.iter().map(Search::of).collect::<Result<_, _>>()?)
        })
        .await?;
    Ok(Json(Searches { searches }))
}

/// Saves a search.
#[utoipa::path(
    post,
    path = "/searches",
    tag = "searches",
    operation_id = "saveSearch",
    request_body = NewSearch,
    responses(
        (status = 201, body = Search),
        (status = 409, description = "There are too many.", body = Problem),
    )
)]
pub(super) async fn save(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewSearch>,
) -> Answer<(StatusCode, Json<Search>)> {
    new.check()?;
    let search = app.blocking(move |app| insert(app, &caller, new)).await?;
    Ok((StatusCode::CREATED, Json(search)))
}

fn insert(app: &App, caller: &Caller, new: NewSearch) -> Answer<Search> {
    app.allow(caller, Right::SeeRecordings, Act::SaveSearch, &new.name)?;
    let count = "SELECT count(*) AS count FROM web_searches WHERE owner = $1";
    let rows = app.database().query(count, &[caller.name.clone().into()])?;
    let count = rows.first().map_or(Ok(0), |row| row.integer("count"))?;
    if count >= SAVED_SEARCHES_PER_USER_MAX {
        let reason = format!("there are {SAVED_SEARCHES_PER_USER_MAX} already: delete one first");
        return Err(Problem::conflict(reason));
    }
    app.note(caller, Act::SaveSearch, &new.name, json!({ "query": new.query }))?;
    let NewSearch { name, query, columns } = new;
    let search = Search { id: new_id()?, name, query, columns };
    let created = i64::try_from(app.now().as_nanos() / 1_000).unwrap_or(i64::MAX);
    let sql = "INSERT INTO web_searches (id, owner, name, query, shown, created) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        search.id.clone().into(),
        caller.name.clone().into(),
        search.name.clone().into(),
        search.query.clone().into(),
        json!(search.columns).to_string().into(),
        created.into(),
    ];
    app.database().execute(sql, &values)?;
    Ok(search)
}

/// Deletes one of one's saved searches.
#[utoipa::path(
    delete,
    path = "/searches/{id}",
    tag = "searches",
    operation_id = "deleteSearch",
    params(("id" = Uuid, Path)),
    responses(
        (status = 204),
        (status = 404, description = "There is none, or it is somebody else's.", body = Problem),
    )
)]
pub(super) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer<StatusCode> {
    app.blocking(move |app| {
        app.allow(&caller, Right::SeeRecordings, Act::SaveSearch, &id.to_string())?;
        app.note(&caller, Act::SaveSearch, &id.to_string(), json!({ "deleted": true }))?;
        let sql = "DELETE FROM web_searches WHERE id = $1 AND owner = $2";
        let values = [id.to_string().into(), caller.name.into()];
        match app.database().execute(sql, &values)? {
            0 => Err(Problem::not_found("there is no such saved search")),
            _ => Ok(StatusCode::NO_CONTENT),
        }
    })
    .await
}

/// A UUID, version 4.
fn new_id() -> Answer<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Problem::unavailable("the system gives no random numbers", &error))?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid().to_string())
}

impl NewSearch {
    fn check(&self) -> Answer<()> {
        words::check_name("name", &self.name, SAVED_SEARCH_NAME_CHARACTERS_MAX)?;
        if self.query.len() > SAVED_QUERY_BYTES_MAX {
            let reason = format!("query: it has more than {SAVED_QUERY_BYTES_MAX} bytes");
            return Err(Problem::bad_request(reason));
        }
        if self.columns.len() > SAVED_COLUMNS_MAX {
            let reason = format!("columns: there are more than {SAVED_COLUMNS_MAX}");
            return Err(Problem::bad_request(reason));
        }
        self.columns.iter().try_for_each(ColumnName::check)?;
        let wrong = |error: &dyn std::fmt::Display| Problem::bad_request(format!("query: {error}"));
        let uri: Uri = format!("/?{}", self.query).parse().map_err(|error| wrong(&error))?;
        let parsed = axum_extra::extract::Query::<ListQuery>::try_from_uri(&uri);
        parsed.map_err(|error| wrong(&error))?.0.filter().map(drop)
    }
}

impl Search {
    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: row.text("id")?.to_owned(),
            name: row.text("name")?.to_owned(),
            query: row.text("query")?.to_owned(),
            columns: serde_json::from_str(row.text("shown")?).unwrap_or_default(),
        })
    }
}
