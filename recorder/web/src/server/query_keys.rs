//! Query keys that no operation knows are refused, by the description of the API, and so are keys without a value: a
//! filter that is misspelt or empty, and ignored, would find the wrong calls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::problem::Problem;

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
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Keys are plain words: one that is written otherwise is none.
            if !known.contains(key) {
                let mut words: Vec<_> = known.iter().map(String::as_str).collect();
                words.sort_unstable();
                let words = if words.is_empty() { "none".to_owned() } else { words.join(", ") };
                return Err(Problem::bad_request(format!(
                    "query: no key {key:?}; there are: {words}"
                )));
            }
            // Taken for "not asked for" it would find more than was meant.
            if value.is_empty() {
                let detail = format!("query: {key} has no value; leave it out, or give one");
                return Err(Problem::bad_request(detail));
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

/// Refuses a request with a query key that its operation does not know.
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
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_are_named() {
        let document = json!({ "paths": { "/api/v2/audit": { "get": { "parameters": [
            { "in": "query", "name": "limit" }, { "in": "path", "name": "id" } ] } } } });
        let keys = QueryKeys::of(&document);
        let check = |query: &str| keys.check(&Method::GET, "/api/v2/audit", query);
        assert!(check("limit=1&limit=2").is_ok() && check("").is_ok());
        for bad in ["limits=1", "limit=1&id=2", "%6cimit=1", "=", "limit[]=1", "limit=", "limit"] {
            assert_eq!(check(bad).unwrap_err().status, 400, "{bad}");
        }
        assert!(keys.check(&Method::HEAD, "/api/v2/audit", "x=1").is_err());
        assert!(keys.check(&Method::GET, "/elsewhere", "x=1").is_ok());
    }
}
