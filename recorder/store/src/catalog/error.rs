//! Why the catalog does not answer.

use std::path::PathBuf;

use base::RecordingId;

use crate::database::DatabaseError;

/// Why the catalog does not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such file, or no such tables.
    #[error(
        "there is no catalog {0}: give the data folder that `spanreel replay --out` made, or make the catalog with `spanreel list --rebuild`"
    )]
    Missing(String),
    /// Damaged, or no SQLite file.
    #[error(
        "the catalog {place} is damaged ({reason}): make it anew from the recordings with `spanreel list --rebuild`"
    )]
    Damaged {
        /// Which.
        place: String,
        /// What was found.
        reason: String,
    },
    /// Another process holds it, or it is too slow.
    #[error(
        "the catalog {place} is in use by another process or too slow ({reason}): try again when that is done"
    )]
    InUse {
        /// Which.
        place: String,
        /// What it says.
        reason: String,
    },
    /// No space, or not writable.
    #[error(
        "cannot write the catalog {place}: {reason}; free some space or make it writable for this user"
    )]
    NotWritable {
        /// Which.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// The folder of recordings cannot be listed.
    #[error("cannot read the recordings in {}: {reason}; give a data folder that holds recordings", .path.display())]
    NoRecordings {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// No recording has this id, or begins with it.
    #[error("no recording has an id that is or begins with {0:?}")]
    NotFound(String),
    /// Several begin with it.
    #[error("{prefix:?} is the beginning of several recordings' ids, e.g. {}: give more of it", .examples.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Some of them.
        examples: Vec<RecordingId>,
    },
    /// A question, or people's words, that are out of bounds.
    #[error("{0}")]
    Asked(String),
    /// Anything else that a database may have.
    #[error(transparent)]
    Database(DatabaseError),
}

impl CatalogError {
    /// Whether only a new catalog helps: this one is damaged, or gone.
    #[must_use]
    pub const fn needs_rebuild(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing(_))
    }
}

impl From<DatabaseError> for CatalogError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Missing(place) => Self::Missing(place),
            DatabaseError::Damaged { place, reason } => Self::Damaged { place, reason },
            DatabaseError::InUse { place, reason } => Self::InUse { place, reason },
            DatabaseError::NotWritable { place, reason } => Self::NotWritable { place, reason },
            other => Self::Database(other),
        }
    }
}
