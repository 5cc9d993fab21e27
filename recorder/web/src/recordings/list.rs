//! A page of the list, and how long the whole is.

use axum::extract::State;
use store::catalog::Cursor;
use store::{Filter, Order};

use super::problem;
use super::query::{CountQuery, ListQuery};
use super::shape::{Count, Page, Summary};
use crate::app::{Act, App, Json, Query};
use crate::auth::{Caller, Right};
use crate::problem::Answer;

/// Recordings that pass a filter, a page at a time. What is recorded meanwhile moves nothing: a page begins behind the
/// last recording of the page before.
#[utoipa::path(
    get,
    path = "/recordings",
    tag = "recordings",
    operation_id = "listRecordings",
    params(ListQuery),
    responses(
        (status = 200, body = Page),
    )
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Answer<Json<Page>> {
    let (filter, order) = (query.filter()?, query.order());
    let (limit, after) = (query.limit()?, query.after()?);
    app.allow(&caller, Right::SeeRecordings, Act::Search, "recordings")?;
    app.note(&caller, Act::Search, "recordings", query.detail())?;
    let found = app.blocking(move |app| find(app, &filter, order, after.as_ref(), limit)).await?;
    let next = found.next.map(|cursor| cursor.to_string());
    Ok(Json(Page { recordings: found.summaries, next }))
}

/// How many recordings pass a filter.
#[utoipa::path(
    get,
    path = "/recordings/count",
    tag = "recordings",
    operation_id = "countRecordings",
    params(CountQuery),
    responses(
        (status = 200, body = Count),
    )
)]
pub(super) async fn count(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<CountQuery>,
) -> Answer<Json<Count>> {
    let filter = query.filter()?;
    app.allow(&caller, Right::SeeRecordings, Act::Search, "recordings/count")?;
    app.note(&caller, Act::Search, "recordings/count", query.detail())?;
    let counted = app.blocking(move |app| app.catalog()?.count(&filter).map_err(problem)).await?;
    Ok(Json(Count { count: counted.count, exact: counted.exact }))
}

/// A page as it was found.
pub(super) struct Found {
    pub(super) summaries: Vec<Summary>,
    /// Behind its last recording, if more follow.
    pub(super) next: Option<Cursor>,
}

/// At most `limit` recordings that pass `filter`, behind `after`.
pub(super) fn find(
    app: &App,
    filter: &Filter,
    order: Order,
    after: Option<&Cursor>,
    limit: usize,
) -> Answer<Found> {
    let catalog = app.catalog()?;
    // One more than is wanted tells whether that is all.
    let mut found = catalog.find(filter, order, after, limit + 1).map_err(problem)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(Cursor::behind);
    let ids: Vec<_> = found.iter().map(|recording| recording.id).collect();
    let mut said = catalog.annotations(&ids).map_err(problem)?;
    let summaries = found
        .into_iter()
        .map(|recording| {
            let of_it = said.remove(&recording.id).unwrap_or_default();
            Summary::new(recording, of_it)
        })
        .collect();
    Ok(Found { summaries, next })
}
