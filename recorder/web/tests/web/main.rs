//! The window, from outside: a real server on loopback with TLS, and a real database.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests: what is not as it should be may panic"
)]

mod attacks;
mod audit;
mod live;
mod log_in;
mod matrix;
mod play;
mod postgres;
mod recorded;
mod rig;
mod said;
mod samples;
mod search;
mod searches;
mod server;
mod share;
