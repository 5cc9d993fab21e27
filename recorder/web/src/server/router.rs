//! All routes, and the description of them.

use axum::Router;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use super::query_keys::{QueryKeys, known_keys};
use super::{describe, guards, health, pages};
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
        .merge(recordings::routes());
    OpenApiRouter::with_openapi(Description::openapi()).nest(API, modules)
}

/// The description of the API: OpenAPI 3.1.
#[must_use]
pub fn description() -> Value {
    describe::document(api().into_openapi())
}

/// Everything that is served.
pub fn router(app: &App) -> Router {
    let (api, _) = api().split_for_parts();
    let description = description();
    let keys = QueryKeys::of(&description);
    let described = ([(header::CONTENT_TYPE, "application/json")], description.to_string());
    let api = api
        .layer(from_fn(move |request, next| known_keys(keys.clone(), request, next)))
        .route("/metrics", get(live::metrics))
        .layer(from_fn_with_state(app.clone(), auth::identify))
        .route(&format!("{API}/openapi.json"), get(described))
        .route(&format!("{API}/{{*rest}}"), axum::routing::any(no_such_path))
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .method_not_allowed_fallback(no_such_method)
        .fallback(pages::page)
        .with_state(app.clone());
    guards::around(api)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} cannot be asked for {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
