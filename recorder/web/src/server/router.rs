//! All routes, and the description of them.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::describe;
use crate::app::App;
use crate::problem::Problem;
use crate::{audit, auth, live, media, recordings};

/// Where the API is.
const API: &str = "/api/v2";

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Spanreel",
    description = "Recordings, calls, status: all that the pages show, for other programs."
))]
struct Description;

/// Every module's routes below [`API`], and their description.
fn api() -> OpenApiRouter<App> {
    let modules = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(audit::routes())
        .merge(live::routes())
        .merge(media::routes())
        .merge(recordings::routes())
        .fallback(no_such_path);
    OpenApiRouter::with_openapi(Description::openapi()).nest(API, modules)
}

/// Everything that is served.
pub fn router(app: &App) -> Router {
    let (api, description) = api().split_for_parts();
    let description = describe::document(description);
    let json = [(CONTENT_TYPE, "application/json")];
    api.route(&format!("{API}/openapi.json"), get(async move || (json, description.clone())))
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), auth::identify))
        .with_state(app.clone())
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} cannot be asked for {method}", uri.path()),
    )
}
