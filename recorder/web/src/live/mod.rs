//! Status, calls that are up, listening to one, history, nodes, metrics.

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
