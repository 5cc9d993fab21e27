//! Who did what: an append-only, hash-chained log.
//!
//! `DIR/audit/NNNNNNNNNNNNNNNN.jsonl`, sixteen digits: the number of the first entry in the file. A file that has
//! grown to [`AUDIT_FILE_BYTES_MAX`] is followed by the next. An entry is one line:
//!
//! ```text
//! {"number":7,"time":"2026-11-23T10:15:30.123456Z","who":"anna","address":"192.0.2.7","act":"play",
//!  "subject":"0192f1c4-...","detail":{...},"allowed":true,"previous":"HASH"      without the line breaks
//!  ,"hash":"HASH"}
//! ```
//!
//! Numbers count from 1 over all files. `hash` is the SHA-256, in lower-case hexadecimal, of the line's bytes before
//! `,"hash":`; `previous` is the `hash` of the entry before, and 64 zeros in entry 1. So every byte of a line is either
//! under its hash or fixed, and a line that is altered, removed, added or moved breaks the chain at a line that can be
//! named.
//!
//! How far the log goes is signed by the node every few seconds ([`head`]), so that a tail that was cut off is missed.
//!
//! An entry is on the disk before what it says is answered: entries that come at the same time share one flush. What
//! cannot be noted is not done. What a crash left of a line was never answered; it is cut off, and an entry
//! says so.

mod api;
mod chain;
mod entry;
mod files;
mod head;
mod log;
mod past;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use api::routes;
pub use entry::{Act, Entry, What};
pub use log::{Audit, AuditError};
pub use verify::{AuditFinding, AuditReport, verify};
