//! Finished recordings, kept: each in a folder of its own, all in one catalog.
//!
//! In: the files of a recording as they are to be stored, and its metadata. Out: the folder
//! `recordings/<id>/`, a row in `catalog.db`, and what can be asked of both. Below a data folder:
//!
//! ```text
//! DIR/recordings/<id>/recording.json[.p7m]  audio.flac[.p7m]  ...  manifest.json  manifest.p7s
//! DIR/recordings/.<id>.new-...              being written, or left by a crash: removed at the next start
//! DIR/recordings/.spanreel-place            a UUID: marks a place of its own (folder/place.rs)
//! DIR/catalog.db                            SQLite; an index, which can be rebuilt from the folders
//! DIR/annotations.db                        SQLite; what people say of recordings. Or both in PostgreSQL
//! ```
//!
//! Invariants:
//! - A folder without a leading dot is complete and on the disk, whatever happened while it was written.
//! - The folders are the truth. The catalog says nothing that is not in a `recording.json`.
//! - [`verify()`] trusts nothing but certificates: neither the catalog nor the manifest before its signature.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod checked;
pub mod database;
pub mod folder;
pub mod verify;

pub use catalog::{Annotations, Catalog, CatalogError, Count, Cursor, Filter, Hold, Order};
pub use checked::Checked;
pub use database::{Database, DatabaseError, DatabasePlace, PostgresSettings};
pub use folder::{Existing, Files, FolderError, NewRecording, PlaceMark, Published, Recordings};
pub use verify::{Finding, Problem, Report, verify, verify_exported};

/// The folder of recordings in a data folder.
pub const RECORDINGS_NAME: &str = "recordings";
/// The catalog in a data folder.
pub const CATALOG_NAME: &str = "catalog.db";
/// The metadata in a recording's folder; with [`seal::manifest::SEALED_SUFFIX`] if sealed.
pub const METADATA_NAME: &str = "recording.json";
