//! What this crate writes is opened and checked by Debian's `openssl`, and the other way round.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod certificates;
mod envelope;
mod pki;
mod signature;
mod tampering;
