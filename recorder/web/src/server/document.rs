//! The description of the API, made from the code, and what it is checked against: query keys that no operation knows.
//!
//! Handlers describe what they take and what they themselves answer. What is answered before them, to any request, is
//! added here once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::auth::COOKIE;
use crate::problem::Problem;

const PROBLEM: &str = "application/problem+json";

/// Answers to any request that is not public, or has a body; with their reasons.
const ANSWERS: [(&str, &str); 7] = [
    ("400", "The request is wrong: the detail says what"),
    ("401", "Nobody is logged in, and no API token was sent"),
    ("403", "The caller may not do this, or the request was forged"),
    ("413", "The body is too long"),
    ("415", "The body is not JSON"),
    ("429", "Too many requests: `Retry-After` says when to try again"),
    ("503", "Something behind the server does not answer"),
];

/// The whole description.
pub(super) fn complete(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    set(&mut document, "/info", "license", json!({ "name": "MIT OR Apache-2.0" }));
    set(&mut document, "", "security", json!([{ "cookie": [] }, { "token": [] }]));
    set(
        &mut document,
        "/components",
        "securitySchemes",
        json!({
            "cookie": { "type": "apiKey", "in": "cookie", "name": COOKIE,
                "description": "From POST /login. Requests that change something need the header x-csrf-token besides: `csrf` of GET /me." },
            "token": { "type": "http", "scheme": "bearer", "bearerFormat": "spr_...",
                "description": "From POST /tokens." },
        }),
    );
    for operations in objects(&mut document, "paths") {
        for (method, operation) in
            operations.iter_mut().filter(|(name, _)| name.as_str() != "parameters")
        {
            complete_operation(method, operation);
        }
    }
    document
}

fn set(document: &mut Value, place: &str, name: &str, value: Value) {
    if let Some(object) = document.pointer_mut(place).and_then(Value::as_object_mut) {
        object.insert(name.to_owned(), value);
    }
}

/// The objects within an object.
fn objects<'a>(
    value: &'a mut Value,
    name: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let found = value.get_mut(name).and_then(Value::as_object_mut);
    found.into_iter().flat_map(|object| object.values_mut()).filter_map(Value::as_object_mut)
}

fn complete_operation(method: &str, operation: &mut Value) {
    let public = is_public(operation);
    let body = operation.get("requestBody").is_some();
    let changes = !matches!(method, "get" | "head");
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
        return;
    };
    for (status, why) in ANSWERS {
        let applies = match status {
            "401" => !public,
            "403" => !public || changes,
            "413" | "415" => body,
            _ => true,
        };
        if applies && !answers.contains_key(status) {
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            answers.insert(
                status.to_owned(),
                json!({ "description": why, "content": { PROBLEM: { "schema": schema } } }),
            );
        }
    }
    for (status, answer) in answers {
        let content = answer.get_mut("content").and_then(Value::as_object_mut);
        if status.starts_with(['4', '5'])
            && let Some(content) = content
            && let Some(schema) = content.remove("application/json")
        {
            content.insert(PROBLEM.to_owned(), schema);
        }
    }
}

/// Whether it asks for nobody: `security(())`.
fn is_public(operation: &Value) -> bool {
    let security = operation.get("security").and_then(Value::as_array);
    security.is_some_and(|all| all.iter().any(|one| one.as_object().is_some_and(Map::is_empty)))
}

/// Which query keys each operation knows.
#[derive(Clone, Debug)]
pub(super) struct QueryKeys(Arc<HashMap<(Method, String), HashSet<String>>>);

impl QueryKeys {
    pub(super) fn of(document: &Value) -> Self {
        let mut known = HashMap::new();
        let paths = document.get("paths").and_then(Value::as_object);
        for (path, operations) in paths.into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                    continue;
                };
                known.insert((method, path.clone()), keys(operation));
            }
        }
        Self(Arc::new(known))
    }

    /// What is wrong with the keys of `query`.
    fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), Problem> {
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let Some(known) = self.0.get(&(method, path.to_owned())) else { return Ok(()) };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let key = pair.split('=').next().unwrap_or_default();
            // Keys are plain words: one that is written otherwise is none.
            if !known.contains(key) {
                let mut words: Vec<_> = known.iter().map(String::as_str).collect();
                words.sort_unstable();
                let words = if words.is_empty() { "none".to_owned() } else { words.join(", ") };
                return Err(Problem::bad_request(format!(
                    "query: no key {key:?}; there are: {words}"
                )));
            }
        }
        Ok(())
    }
}

fn keys(operation: &Value) -> HashSet<String> {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let query = |parameter: &&Value| parameter.get("in").and_then(Value::as_str) == Some("query");
    let name = |parameter: &Value| Some(parameter.get("name")?.as_str()?.to_owned());
    parameters.into_iter().flatten().filter(query).filter_map(name).collect()
}

/// Refuses a request with a query key that its operation does not know: a filter that is misspelt and ignored would
/// find the wrong calls.
pub(super) async fn known_keys(keys: QueryKeys, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    if let (Some(path), Some(query)) = (path, request.uri().query())
        && let Err(problem) = keys.check(request.method(), &path, query)
    {
        return problem.into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_named() {
        let document = json!({ "paths": { "/api/v2/audit": { "get": { "parameters": [
            { "in": "query", "name": "limit" }, { "in": "path", "name": "id" } ] } } } });
        let keys = QueryKeys::of(&document);
        let check = |query: &str| keys.check(&Method::GET, "/api/v2/audit", query);
        assert!(check("limit=1&limit=2").is_ok() && check("").is_ok());
        for bad in ["limits=1", "limit=1&id=2", "%6cimit=1", "=", "limit[]=1"] {
            assert_eq!(check(bad).unwrap_err().status, 400, "{bad}");
        }
        assert!(keys.check(&Method::HEAD, "/api/v2/audit", "x=1").is_err());
        assert!(keys.check(&Method::GET, "/elsewhere", "x=1").is_ok());
    }
}
