//! Who sent a request, as handlers see it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::json;

use super::{Right, Role};
use crate::app::{Act, App};
use crate::problem::{Answer, Problem};

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
    /// The user: himself, or the owner of the token.
    pub(super) user: String,
    /// How he showed who he is.
    pub(super) means: Means,
}

/// How a caller showed who he is.
#[derive(Clone, Debug)]
pub(super) enum Means {
    /// By the cookie of a log-in.
    LogIn {
        /// What is kept of it.
        hash: String,
        /// What requests that change something come with.
        csrf: String,
        roles: Vec<Role>,
    },
    /// By an API token.
    Token {
        /// What is kept of it.
        hash: String,
    },
    /// Not at all.
    None,
}

impl Caller {
    /// Somebody who may nothing by himself, for the audit log: whoever opens a shared link (`share:ID`).
    #[must_use]
    pub fn outsider(name: impl Into<String>, client: Client) -> Self {
        let (user, rights, means) = (String::new(), Vec::new(), Means::None);
        Self { name: name.into(), rights, address: client.0, user, means }
    }

    /// Whether he may.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// The user who has logged in, and what is kept of his log-in: what concerns himself is for nobody else, his API
    /// tokens included.
    pub(super) fn person(&self, app: &App, act: Act) -> Answer<(&str, &str)> {
        if let Means::LogIn { hash, .. } = &self.means {
            return Ok((&self.user, hash));
        }
        app.note_refusal(self, act, "", json!({ "needs": "logIn" }))?;
        Err(Problem::forbidden("this is for people who log in, not for API tokens"))
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
