//! What the capture crate promises, on made files and on real ones.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy knows only functions marked #[test] for such"
)]

mod captures;
mod damage;
mod errors;
mod formats;
mod merge;
mod samples;
mod seen;
mod writers;
