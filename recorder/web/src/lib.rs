//! The window for people: status page, search, listening, sharing, and the API behind them.
//!
//! In: the catalog and the recordings' folder, and what the recorder says of itself ([`link`]). Out: HTTP over TLS.
//! It runs in a process of its own (`spanreel web`, which `spanreel run` starts), at a lower priority, and reads:
//! it can neither slow a recording down nor change one. Private keys for listening are here, never in the process
//! that takes packets from the wire.
//!
//! ```text
//! app         what every request needs: settings, database, catalog, audit, recorder; the router
//! auth/       users, log-in, API tokens, roles and what each may, CSRF, rate limits
//! audit/      who did what: a hash-chained log, verifiable offline
//! link/       the words and the wire between recorder and window
//! live/       status, calls that are up, listening to one, history, nodes, metrics
//! recordings/ search, metadata, labels, non-deletion, saved searches, export of the list
//! media/      sound of a recording (FLAC, WAV, Opus; by range), bundles, evidence, sharing
//! server/     the router, what stands before every handler, TLS, the pages
//! problem     errors as RFC 9457 problems
//! frontend/   the pages (Svelte), built by `cargo xtask web` and embedded
//! ```
//!
//! Invariants:
//! - Every look, search, play, download, share and refusal is in the audit log before it is answered.
//! - A handler asks [`app::App::allow`] for a [`auth::Right`] before it touches anything.
//! - The API is described from the code (`/api/v2/openapi.json`).
#![forbid(unsafe_code)]

pub mod app;
pub mod audit;
pub mod auth;
pub mod link;
pub mod problem;

mod live;
mod media;
mod recordings;
pub mod server;
