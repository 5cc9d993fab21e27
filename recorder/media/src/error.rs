//! What can go wrong: nothing in the packets can, so only settings and the packet writer remain.

/// Why a call's media could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The packet file could not be written.
    #[error("{file}: the packets cannot be written: {cause}")]
    Packets {
        /// Which file.
        file: String,
        /// What the writer said.
        cause: String,
    },
    /// The limit for one media file is too short to be one.
    #[error("a media file limit of {0:?} is too short; give at least one second")]
    FileLimit(std::time::Duration),
}
