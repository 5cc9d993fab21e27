//! Who sent a request. It is found out once, before any handler.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::Right;
use crate::app::App;
use crate::problem::Problem;

/// Who calls: a user who has logged in, or an API token. A handler takes it as an argument (extractor); without one
/// the answer is 401.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's name, or `token:NAME`.
    pub name: String,
    /// What he may.
    pub rights: Vec<Right>,
    /// Where the request came from, for the audit log.
    pub address: IpAddr,
}

impl Caller {
    /// Somebody who may nothing by himself, for the audit log: whoever opens a shared link (`share:ID`).
    #[must_use]
    pub fn outsider(name: impl Into<String>, client: Client) -> Self {
        Self { name: name.into(), rights: Vec::new(), address: client.0 }
    }

    /// Whether he may.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::not_logged_in)
    }
}

/// Where a request came from (extractor), whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // IPv4 on an IPv6 socket is IPv4.
        info.map(|ConnectInfo(address)| Self(address.ip().to_canonical())).ok_or_else(|| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the client's address is not known")
        })
    }
}

/// Finds out who sent a request.
pub(crate) async fn identify(State(_app): State<App>, request: Request, next: Next) -> Response {
    next.run(request).await
}
