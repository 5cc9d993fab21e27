//! HTTP: the router, what stands before every handler, TLS, the pages.

mod describe;
pub(crate) mod extract;
mod router;

pub use router::router;
