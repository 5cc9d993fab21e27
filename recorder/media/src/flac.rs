//! FLAC files in memory: libFLAC's frames behind a header of our own.
//!
//! flac-bound's safe functions read past slices that are shorter than they are told, give no tags, no
//! total number of samples and no MD5; [`encoder`] hands them only what was checked, and [`metadata`] writes
//! the header anew (RFC 9639, 8).

pub(crate) mod encoder;
mod metadata;

/// What one file is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'t> {
    /// 1 or 2.
    pub(crate) channels: usize,
    pub(crate) sample_rate_hz: u32,
    /// libFLAC's, 0 to 8.
    pub(crate) level: u32,
    /// Name and value of each Vorbis comment.
    pub(crate) tags: &'t [(String, String)],
}
