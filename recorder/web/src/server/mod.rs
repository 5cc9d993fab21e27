//! HTTP: the router, what stands before every handler, TLS, the pages.
//!
//! ```text
//! router       all routes, and their description     document  what the description adds and checks
//! guards       time, number, size, headers           extract   query, path and body, or a problem
//! certificate  given, or made                        connections  how many
//! pages        the embedded front end                health    /live, /ready
//! ```

mod certificate;
mod connections;
mod document;
pub(crate) mod extract;
mod guards;
mod health;
mod pages;
mod router;
mod serve;

pub use certificate::ServerCertificate;
pub use router::{description, router};
pub use serve::{ServeError, Server};
