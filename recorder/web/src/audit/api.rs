//! The log for those who may see it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::past::{self, Wanted};
use super::{Act, Entry};
use crate::app::{App, Json, Query};
use crate::auth::{Caller, Right};
use crate::problem::{Answer, Problem};

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which entries.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// At most so many.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: u32,
    /// Where an earlier answer ended: its `next`.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
    /// Of this user, token (`token:NAME`) or link (`share:ID`).
    #[param(min_length = 1)]
    who: Option<String>,
    /// Of this kind.
    act: Option<Act>,
}

fn usual() -> u32 {
    100
}

/// Part of the log.
#[derive(Debug, Serialize, ToSchema)]
struct Entries {
    /// The newest first. There may be fewer than asked for although there are more: `next` says so.
    entries: Vec<Entry>,
    /// Goes on from here; null: that was all.
    next: Option<String>,
}

/// Who did what, the newest first.
#[utoipa::path(get, path = "/audit", operation_id = "listAudit", tag = "audit", params(Filter),
    responses((status = 200, description = "Entries", body = Entries)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Answer<Json<Entries>> {
    app.blocking(move |app| {
        app.allow(&caller, Right::SeeAudit, Act::SeeAudit, "")?;
        let wanted = wanted(&filter)?;
        app.note(&caller, Act::SeeAudit, "", json!(filter))?;
        let (entries, next) = past::find(app.audit().folder(), &wanted)
            .map_err(|error| Problem::unavailable("the audit log cannot be read", &error))?;
        Ok(Json(Entries { entries, next: next.map(|number| number.to_string()) }))
    })
    .await
}

fn wanted(filter: &Filter) -> Answer<Wanted> {
    if !(1..=1000).contains(&filter.limit) {
        return Err(Problem::bad_request("limit: 1 to 1000"));
    }
    let number = |cursor: &String| match cursor.parse() {
        Ok(number) if cursor.len() <= 18 => Ok(number),
        _ => Err(Problem::bad_request("cursor: give the `next` of an earlier answer")),
    };
    let before = filter.cursor.as_ref().map(number).transpose()?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    Ok(Wanted { before, who: filter.who.clone(), act: filter.act, limit })
}
