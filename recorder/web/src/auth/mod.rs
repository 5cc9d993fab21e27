//! Who calls, and what he may.

mod caller;
mod rights;

use utoipa_axum::router::OpenApiRouter;

pub(crate) use caller::identify;
pub use caller::{Caller, Client};
pub use rights::{Right, Role};

use crate::app::App;

/// Below `/api/v2`.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
