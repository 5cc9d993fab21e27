//! For whoever keeps the server running: whether it lives, and whether it can answer.

use axum::extract::State;

use crate::app::App;
use crate::problem::Answer;

/// It lives.
pub(super) async fn live() -> &'static str {
    "live\n"
}

/// It can answer: the database does. Whether calls are being recorded is said by the status, not here.
pub(super) async fn ready(State(app): State<App>) -> Answer<&'static str> {
    app.blocking(|app| {
        app.database().query("SELECT 1 AS one", &[])?;
        Ok("ready\n")
    })
    .await
}
