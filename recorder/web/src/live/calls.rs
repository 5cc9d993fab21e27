//! The calls that are up, and those that begin and end.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use base::limits::LIVE_CALLS_LISTED_MAX;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_stream::wrappers::BroadcastStream;
use utoipa::{IntoParams, ToSchema};

use super::WATCH_MAX;
use crate::app::{Act, App, Json, Query};
use crate::auth::{Caller, Right};
use crate::link::LinkError;
use crate::link::status::LiveCall;
use crate::problem::{Answer, Problem};

/// Letters of a party that is looked for.
const PARTY_BYTES_MAX: usize = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only those of which caller, callee or Call-ID contains this, whatever the case of its letters.
    #[param(min_length = 1, max_length = 256)]
    party: Option<String>,
    /// At most this many.
    #[serde(default = "most")]
    #[param(default = 200, minimum = 1, maximum = 200)]
    limit: u32,
}

const fn most() -> u32 {
    LIVE_CALLS_LISTED_MAX as u32
}

/// Calls that are up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Calls {
    /// The newest first.
    calls: Vec<LiveCall>,
    /// How many there are in all.
    total: u64,
}

/// The calls that are up, the newest first. Those without signalling are not among them.
#[utoipa::path(get, path = "/calls", operation_id = "listCalls", tag = "calls", params(Asked),
    responses((status = 200, description = "Calls", body = Calls)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(Asked { party, limit }): Query<Asked>,
) -> Answer<Json<Calls>> {
    app.allow(&caller, Right::SeeCalls, Act::See, "calls")?;
    if !(1..=most()).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: from 1 to {}", most())));
    }
    if party.as_ref().is_some_and(|party| party.len() > PARTY_BYTES_MAX) {
        return Err(Problem::bad_request(format!("party: at most {PARTY_BYTES_MAX} bytes")));
    }
    app.note(&caller, Act::See, "calls", json!({ "party": party }))?;
    let page = app.recorder().calls(party, limit).await.map_err(unheard)?;
    Ok(Json(Calls { calls: page.calls, total: page.total }))
}

/// Calls as they begin, change and end: server-sent events `began`, `changed`, `ended`, each with a call as `GET /calls`
/// has it; `lost` if some were left out, so that the list is to be asked for again. They end after some minutes, to
/// be asked for again.
#[utoipa::path(get, path = "/calls/events", operation_id = "watchCalls", tag = "calls",
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    app.allow(&caller, Right::SeeCalls, Act::See, "calls")?;
    app.note(&caller, Act::See, "calls", json!({ "did": "watch" }))?;
    let news = BroadcastStream::new(app.recorder().news());
    let news = news.take_until(tokio::time::sleep(WATCH_MAX));
    let events = news.map(|news| {
        let event = Event::default();
        // Text and numbers: there is nothing in a call that JSON could not say.
        let told = news.ok().and_then(|news| {
            Some(Event::default().event(&news.what).data(serde_json::to_string(&news.call).ok()?))
        });
        Ok(told.unwrap_or_else(|| event.event("lost").data("{}")))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The recorder gave no answer.
pub(super) fn unheard(error: LinkError) -> Problem {
    Problem::unavailable("no recorder runs here, or it does not answer", &error)
}
