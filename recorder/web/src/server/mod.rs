//! HTTP: the router, what stands before every handler, TLS, the pages.
//!
//! ```text
//! router       all routes                         describe     their description (OpenAPI)
//! guards       time, number, size, headers        query_keys   refused if the description does not know them
//! extract      query, path and body, or a problem connections  how many there may be
//! pages        the embedded front end             health       /live, /ready
//! certificate  given, or made                     serve        the server while it runs
//! ```

mod certificate;
mod connections;
mod describe;
pub(crate) mod extract;
mod guards;
mod health;
mod pages;
mod query_keys;
mod router;
mod serve;

pub use certificate::ServerCertificate;
pub use router::{description, router};
pub use serve::{ServeError, Server};
