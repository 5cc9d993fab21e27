//! The pages, from the binary: `frontend/dist`, as `cargo xtask web` built it. Without them the server works all the
//! same, and `/` says what is missing.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::Embed;

use crate::problem::Problem;

#[derive(Embed)]
#[folder = "frontend/dist"]
#[allow_missing = true]
struct Pages;

/// The one page that all addresses of the application lead to.
const INDEX: &str = "index.html";
/// Files with the hash of their content in their name: they never change.
const HASHED: &str = "assets/";

const MISSING: &str = "<!doctype html><html lang=en><title>Spanreel</title><h1>Spanreel</h1>\
    <p>This build has no pages: <code>cargo xtask web</code> makes them (it needs npm); then build again.</p>\
    <p>The API is there: <a href=\"/api/v2/openapi.json\">/api/v2/openapi.json</a>.</p></html>";

/// A file of the pages, or the application itself for an address within it (`/s/...`).
pub(super) async fn page(method: Method, uri: Uri) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "pages can only be read")
            .into_response();
    }
    // Names are looked up as they stand: nothing is decoded, and nothing leads out of the list.
    let name = uri.path().trim_start_matches('/');
    let is_file = name.rsplit('/').next().is_some_and(|last| last.contains('.'));
    if name.contains("..") || name.contains('\\') || name.contains('%') {
        return no_such_page();
    }
    match (Pages::get(name), is_file || name.starts_with(HASHED)) {
        (Some(found), _) => file(name, found.data.into_owned()),
        (None, true) => no_such_page(),
        (None, false) => match Pages::get(INDEX) {
            Some(index) => file(INDEX, index.data.into_owned()),
            None => file(INDEX, MISSING.into()),
        },
    }
}

fn no_such_page() -> Response {
    Problem::not_found("there is no such page").into_response()
}

fn file(name: &str, content: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(content));
    let caching =
        if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
