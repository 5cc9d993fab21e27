//! Recordings: search, what is known of one, and what people say of it (labels, free metadata, non-deletion).
//!
//! Names are those of `recording.json`, which follow Genesys Interaction Recording where that has them; of its
//! operations there are those that its clients need first ([`gir`]).
//!
//! ```text
//! query      what may be asked for, and the catalog's filter for it
//! shape      what is answered: a line of the list, a recording, what people said of it
//! list       a page of the list, its count
//! export     the whole list as CSV or JSON, page by page
//! one        one recording
//! annotate   labels, free metadata, non-deletion
//! searches   saved searches, each person's own
//! opened     the catalog, whatever happens to its file
//! gir        the same in the words of Genesys' Interaction Recording Web Services
//! ```
//!
//! Every search is in the audit log with its filter, every look at a recording and every change with its id.

mod annotate;
mod export;
mod gir;
mod list;
mod one;
mod opened;
mod query;
mod searches;
mod shape;
mod words;

use store::{CatalogError, Database, DatabaseError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::Problem;

pub(crate) use opened::Opened;

/// Steps of [`Database::migrate`].
const STEPS: &[&str] = &["
    CREATE TABLE web_searches (
        id TEXT PRIMARY KEY,            -- UUID
        owner TEXT NOT NULL,            -- a user's name, or token:NAME
        name TEXT NOT NULL,
        query TEXT NOT NULL,            -- a query string
        shown TEXT NOT NULL,            -- the columns, a JSON array
        created BIGINT NOT NULL         -- microseconds since 1970
    );
    CREATE INDEX web_searches_of_owner ON web_searches (owner, created);
    CREATE TABLE web_label_definitions (
        name TEXT PRIMARY KEY,
        shown TEXT NOT NULL,            -- how it is shown
        description TEXT NOT NULL
    );
"];

/// Makes the tables of this folder.
pub(crate) fn migrate(database: &Database) -> Result<(), DatabaseError> {
    database.migrate("recordings", STEPS)
}

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::count))
        .routes(routes!(export::export))
        .routes(routes!(one::one, gir::operate))
        .routes(routes!(annotate::set_label, annotate::take_label_off))
        .routes(routes!(gir::add_label))
        .routes(routes!(annotate::labels))
        .routes(routes!(annotate::set_metadata))
        .routes(routes!(annotate::hold, annotate::release))
        .routes(routes!(gir::definitions, gir::define))
        .routes(routes!(searches::list, searches::save))
        .routes(routes!(searches::delete))
}

/// What the catalog's trouble is to a client.
fn problem(error: CatalogError) -> Problem {
    match error {
        CatalogError::NotFound(id) => Problem::not_found(format!("there is no recording {id}")),
        CatalogError::Asked(what) => Problem::bad_request(what),
        error => Problem::unavailable("the catalog does not answer; try again later", &error),
    }
}
