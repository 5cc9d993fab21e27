//! Sound of a recording, bundles, evidence, sharing.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
