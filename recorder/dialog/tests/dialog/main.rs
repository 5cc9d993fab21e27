//! Calls out of scripted messages, out of real captures, and out of noise.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code outside of test functions: what cannot go on fails the test"
)]

mod calls;
mod captures;
mod holds;
mod measure;
mod offers;
mod properties;
mod script;
mod torture;
