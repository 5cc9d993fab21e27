//! Sound of a recording, bundles, evidence, sharing.
//!
//! ```text
//! audio    GET /recordings/{id}/audio: one file of all parts, any bytes of it
//! files    packets, single media files, the sealed files as they lie there      tar  their envelope
//! evidence whether a recording is as it was signed, now
//! shares/  links to one recording
//!
//! player   what all players share: opened files, what is known of their frames, threads
//! errand   who asks for what              source   one recording's files, checked                 content  bytes that can be asked for in any order
//! range    RFC 9110, 14                                    send     content as an answer, or as a body of unknown length
//! gate     so many bytes at once    shelf  so many bytes, so long    streams  so many bodies    sittings  one entry each
//! ```
//!
//! Nothing is played or given in the clear that is not what was signed: [`store::Checked`] reads, and says why not.
//! What is opened is kept for a while, since who plays asks for a few bytes at a time. It is found again by its
//! SHA-256, so it can never be another recording's; it is wiped when it is dropped.

mod audio;
mod content;
mod errand;
mod evidence;
mod files;
mod gate;
mod player;
mod range;
mod send;
mod shares;
mod shelf;
mod sittings;
mod source;
mod streams;
mod tar;
mod trouble;

use store::{Database, DatabaseError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use player::Player;

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(audio::audio))
        .routes(routes!(files::media_file))
        .routes(routes!(files::packets))
        .routes(routes!(files::bundle))
        .routes(routes!(evidence::evidence))
        .merge(shares::routes())
}

/// Makes the tables.
pub(crate) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    shares::migrate(database)
}
