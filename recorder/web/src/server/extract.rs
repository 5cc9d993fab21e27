//! Query, path and body, as axum and axum-extra take them apart; what is wrong with them is said as a [`Problem`].

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::Problem;

/// The query string. A key may come more than once (`Vec`). Write `#[serde(deny_unknown_fields)]` on the type: a
/// search whose misspelt filter is ignored finds the wrong calls.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum_extra::extract::Query::from_request_parts(parts, state).await {
            Ok(axum_extra::extract::Query(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad_request(format!("query: {}", error.body_text()))),
        }
    }
}

/// What stands in the path.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(error) => Err(Problem::bad_request(format!("path: {}", error.body_text()))),
        }
    }
}

/// A body of JSON, in and out. What comes in is an object: serde would take a list of its fields' values for it too.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<Value>::from_request(request, state).await {
            Ok(axum::Json(value @ Value::Object(_))) => serde_json::from_value(value)
                .map(Self)
                .map_err(|error| Problem::bad_request(format!("body: {error}"))),
            Ok(_) => Err(Problem::bad_request("body: it must be an object")),
            Err(error) => {
                let status = match error.status() {
                    StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                    status => status,
                };
                Err(Problem::new(status, format!("body: {}", error.body_text())))
            }
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
