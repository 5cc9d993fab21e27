//! The state of the recorder, now and as it changes.

use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use base::Timestamp;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use utoipa::ToSchema;

use super::nodes::{self, Node};
use super::{TELL_EVERY, WATCH_MAX};
use crate::app::{Act, App};
use crate::auth::{Caller, Right};
use crate::link::status::Status;
use crate::problem::Answer;

/// What the status page shows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body {
    /// What the recorder said last; null: it was never heard here. Without the right to see calls, the parties of
    /// those that lack something are left out.
    recorder: Option<Status>,
    /// Since when it says nothing. Then `recorder` is no longer known to be so. Null with no `recorder`: none runs here.
    #[schema(value_type = Option<String>, format = DateTime)]
    silent_since: Option<Timestamp>,
    /// All recorders that share the database, this one too.
    nodes: Vec<Node>,
}

/// The same as text, for those who may see parties and for those who may not.
#[derive(Clone, Debug, Default)]
struct Texts {
    whole: Arc<str>,
    without_parties: Arc<str>,
}

/// What is kept between questions.
pub(crate) struct Memory {
    nodes: RwLock<Vec<Node>>,
    texts: watch::Sender<Texts>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { nodes: RwLock::default(), texts: watch::Sender::new(Texts::default()) }
    }
}

impl Memory {
    /// Tells whoever watches how it is now. It is written down once, however many they are.
    pub(super) fn tell(&self, app: &App) {
        if self.texts.receiver_count() > 0 {
            self.texts.send_replace(texts(app));
        }
    }

    fn nodes(&self) -> Vec<Node> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads the rows of all nodes. If the database does not answer, they stay as they are, and get old.
pub(super) async fn read_nodes(app: &App) {
    let read = app.blocking(|app| Ok(nodes::read(app.database(), app.now())?)).await;
    if let Ok(nodes) = read {
        *app.live().nodes.write().unwrap_or_else(PoisonError::into_inner) = nodes;
    }
}

fn texts(app: &App) -> Texts {
    let latest = app.recorder().latest();
    // A recorder that was killed leaves its socket; one that was stopped, or never ran here, does not.
    let ran = latest.came.is_some() || app.recorder().has_socket();
    let mut nodes = app.live().nodes();
    // Of this node more is known than what it wrote some seconds ago.
    if let Some(own) = Node::of(&latest, app.settings(), app.now()) {
        nodes.retain(|node| !node.is_same(&own));
        nodes.push(own);
    }
    let mut body = Body {
        recorder: latest.status.as_deref().cloned(),
        silent_since: latest.silent_since.filter(|_| ran),
        nodes,
    };
    let text = |body: &Body| serde_json::to_string(body).unwrap_or_default().into();
    let whole = text(&body);
    for call in body.recorder.iter_mut().flat_map(|status| &mut status.incomplete) {
        (call.caller, call.callee) = (String::new(), String::new());
    }
    Texts { whole, without_parties: text(&body) }
}

/// Which of the texts a caller may see.
fn of_caller(caller: &Caller) -> fn(&Texts) -> Arc<str> {
    if caller.may(Right::SeeCalls) {
        |texts| Arc::clone(&texts.whole)
    } else {
        |texts| Arc::clone(&texts.without_parties)
    }
}

/// The state now.
#[utoipa::path(get, path = "/status", operation_id = "status", tag = "status",
    responses((status = 200, description = "The state", body = Body)))]
pub(super) async fn now(State(app): State<App>, caller: Caller) -> Answer<Response> {
    app.allow(&caller, Right::SeeStatus, Act::See, "status")?;
    let text = of_caller(&caller)(&texts(&app)).to_string();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The state as it changes: server-sent events `status`, one a second, each with what `GET /status` gives. They end
/// after some minutes, to be asked for again.
#[utoipa::path(get, path = "/status/events", operation_id = "watchStatus", tag = "status",
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(app): State<App>,
    caller: Caller,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    app.allow(&caller, Right::SeeStatus, Act::See, "status")?;
    let pick = of_caller(&caller);
    let first = tokio_stream::once(texts(&app));
    let later = WatchStream::from_changes(app.live().texts.subscribe());
    let texts = first.chain(later).take_until(tokio::time::sleep(WATCH_MAX));
    let events = texts.map(move |texts| Ok(Event::default().event("status").data(&*pick(&texts))));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(10 * TELL_EVERY)))
}
