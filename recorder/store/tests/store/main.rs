//! The store with real files, real signatures and real crashes.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod annotations;
mod catalog;
mod checked;
mod crash;
mod database;
mod folder;
mod killed;
mod places;
mod rebuild;
mod sample;
mod search;
mod verify;
