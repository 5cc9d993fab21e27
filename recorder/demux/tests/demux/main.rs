//! The demultiplexer from outside: frames in, packets and outcomes out.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod build;
mod captures;
mod fragments;
mod hostile;
mod observe;
mod shapes;
mod tcp;
