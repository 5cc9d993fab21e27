//! Search, metadata, labels, non-deletion, saved searches, export of the list.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
