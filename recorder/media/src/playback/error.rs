//! Why sound cannot be given.

/// Why a recording's sound cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// Not a file that this crate wrote.
    #[error("this is not a FLAC file as Spanreel writes them: {0}")]
    Foreign(&'static str),
    /// It was one.
    #[error("the audio is damaged in frame {frame}: {cause}; restore it from a copy")]
    Damaged {
        /// Which, from 0.
        frame: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// No parts.
    #[error("there is no audio")]
    Nothing,
    /// Parts that do not belong together.
    #[error(
        "the parts differ in sample rate or channels; play them one by one, with their media ids"
    )]
    Unlike,
    /// One party alone, where both are on one channel.
    #[error("both parties were recorded on one channel; neither can be had alone")]
    OneChannel,
    /// More than 4 GiB of samples.
    #[error(
        "the audio is too long for a WAV file (4 GiB); take FLAC, or one part with its media id"
    )]
    TooLong,
    /// Opus knows 8, 12, 16, 24 and 48 kHz.
    #[error("the Opus encoder refused: {0}")]
    Opus(String),
}
