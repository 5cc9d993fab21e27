//! What can go wrong: nothing in the packets can, so only libFLAC and the packet writer remain.

/// Why a call's media could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// libFLAC refused a setting or ran out of memory.
    #[error(
        "{file}: libFLAC cannot encode it ({cause}); check the FLAC level (0 to 8) and free memory"
    )]
    Flac {
        /// Which file.
        file: String,
        /// libFLAC's own word.
        cause: String,
    },
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
