//! Status, calls that are up, listening to one, history, nodes, metrics.
//!
//! In: what the recorder tells ([`crate::link`]). Out: the status page's data, and the same for other programs. What
//! the recorder said is never told as if it were so now once it is silent.
//!
//! ```text
//! status   the state, now and as it changes     history  per minute, for a day
//! nodes    all that share the database          calls    those that are up, and listening to one
//! metrics  for Prometheus
//! ```

mod calls;
mod history;
mod listen;
mod metrics;
mod nodes;
mod status;

use std::time::Duration;

use store::{Database, DatabaseError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::history::Minute;
pub(crate) use self::metrics::metrics;
pub(crate) use self::status::Memory;
use crate::app::App;

/// How often the state is told to who watches.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often this node writes its row, and reads the others'.
const NODES_EVERY: Duration = Duration::from_secs(5);
/// After so long whoever watches has to ask again: he may have logged out, or may it no longer.
const WATCH_MAX: Duration = Duration::from_secs(600);

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(status::now))
        .routes(routes!(status::events))
        .routes(routes!(history::history))
        .routes(routes!(calls::list))
        .routes(routes!(calls::events))
        .routes(routes!(listen::listen))
}

/// The tables of nodes and history.
///
/// # Errors
/// The database's.
pub(crate) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    database.migrate("live", &[nodes::TABLE, history::TABLE])
}

/// Keeps what is told up to date, as long as the server runs.
pub(crate) async fn keep(app: App) {
    let mut watch = app.recorder().watch();
    let mut tick = tokio::time::interval(TELL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut minute = Minute::default();
    let mut nodes_due = tokio::time::Instant::now();
    loop {
        let is_silent = app.recorder().latest().silent_since.is_some();
        tokio::select! {
            _ = tick.tick() => {}
            // Who falls silent, or is back, is told at once.
            changed = watch.wait_for(|latest| latest.silent_since.is_some() != is_silent) => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let latest = app.recorder().latest();
        if let Some(point) = minute.add(&latest, app.now()) {
            write(&app, move |app, node| history::write(app.database(), node, &point)).await;
        }
        if tokio::time::Instant::now() >= nodes_due {
            nodes_due += NODES_EVERY;
            let row = nodes::Node::of(&latest, app.settings(), app.now());
            write(&app, move |app, _| nodes::write(app.database(), row.as_ref(), app.now())).await;
            status::read_nodes(&app).await;
        }
        app.live().tell(&app);
    }
}

/// Writes into the database. That it cannot be written is told there by others, and it is tried again soon.
async fn write(
    app: &App,
    work: impl FnOnce(&App, &str) -> Result<(), DatabaseError> + Send + 'static,
) {
    let written = app.blocking(move |app| Ok(work(app, &app.settings().node)?)).await;
    if let Err(problem) = written {
        tracing::debug!("history and nodes are not up to date: {}", problem.detail);
    }
}
