//! What stands before and behind every handler: time, number, size, and what a browser is told to allow.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use base::limits::{
    ANSWER_SECONDS_MAX, CLIENT_SECONDS_MAX, REQUEST_BODY_BYTES_MAX, REQUESTS_AT_ONCE_MAX,
};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::problem::Problem;

/// Everything from here alone, and nothing inline: neither scripts nor styles. The hash is that of the style which
/// wavesurfer.js gives its waveform (`frontend/src/parts/Player.svelte`); the tests in a browser see whether it is.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-fF0LBso7Nz75zaFRDBUefBDvPe19hjaiDnnc8lt+2Js='; img-src 'self'; media-src 'self'; \
    connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Every answer has these, unless its handler says otherwise.
const HEADERS: [(HeaderName, &str); 9] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // What the API says is for who asked, and for now.
    (header::CACHE_CONTROL, "no-store"),
];

/// Puts the guards around `router`.
pub(super) fn around(router: Router) -> Router {
    let compressed = DefaultPredicate::new()
        .and(NotForContentType::const_new("audio/"))
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/zip"))
        .and(NotForContentType::const_new("application/x-pcapng"))
        .and(NotForContentType::const_new("application/x-tar"));
    let places = Arc::new(Semaphore::new(REQUESTS_AT_ONCE_MAX));
    // The last is the outermost.
    router
        .layer(DefaultBodyLimit::max(REQUEST_BODY_BYTES_MAX))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(CLIENT_SECONDS_MAX)))
        .layer(from_fn_with_state(places, in_time_and_number))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(from_fn(with_headers))
}

async fn in_time_and_number(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let busy = |detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1);
    let Ok(_place) = places.try_acquire() else {
        return busy("too much to do; try again").into_response();
    };
    match tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), next.run(request)).await {
        Ok(response) => response,
        Err(_) => busy("this took too long; try again").into_response(),
    }
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn panicked(reason: Box<dyn Any + Send>) -> Response {
    let text = reason.downcast_ref::<&str>().copied();
    let text = text.or_else(|| reason.downcast_ref::<String>().map(String::as_str));
    tracing::error!("a request failed: {}", text.unwrap_or("it panicked"));
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this request failed; the log says why")
        .into_response()
}
