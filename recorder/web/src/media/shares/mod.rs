//! Links to one recording, for those who have no log-in.
//!
//! ```text
//! api      making, listing and revoking links     open     POST /shared/{token}: who has a link opens it
//! share    a link, and whether it opens           shown    what its page shows of the recording
//! kept     links and openings in the database     play     GET /shared/{token}/audio
//! ```
//!
//! A link is 256 random bits; what is kept of it is their SHA-256. It ends after a time, after a number of openings,
//! after too many wrong passcodes, and when somebody revokes it. An opening gives a key for a few hours: with it the
//! sound is heard, as often and in whichever pieces a player asks for it, until the link ends; then what is being
//! played ends too. Whoever has a link learns nothing of any other recording, nor of other links.

mod api;
mod kept;
mod open;
mod play;
mod share;
mod shown;

use store::{Database, DatabaseError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// Below `/api/v2`.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::of_recording, api::make))
        .routes(routes!(api::list))
        .routes(routes!(api::revoke))
        .routes(routes!(open::open))
        .routes(routes!(play::play))
}

/// Makes the tables.
pub(super) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    kept::migrate(database)
}
