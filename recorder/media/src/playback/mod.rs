//! The sound of a recording, for those who hear it: from its FLAC files to what a player or an editor takes.
//!
//! A recording's audio may have several files, one after the other in time. Each is opened once to see where its
//! frames are ([`Outline`]); all together are a [`Track`]. Of a track there is:
//!
//! - a [`View`]: a WAV or FLAC file that is never whole anywhere. Its length is known at once and any of its bytes are
//!   made from the few frames that they come from, so that a player may begin anywhere in an hour-long call.
//! - a [`Converter`]: an Opus file, or a FLAC file of one party, which is made from its begin to its end.
//!
//! Neither holds the files: whoever asks for bytes hands over the part that is needed. Both are pure: the same track
//! gives the same bytes every time.
//!
//! Invariants:
//! - The samples of a WAV or FLAC file are those of the recording, bit by bit. Opus is for listening.
//! - A file that is not as this crate writes it, or damaged, is an error, never other sound.

mod convert;
mod error;
mod opus;
mod outline;
mod tags;
#[cfg(test)]
mod tests;
mod track;
mod view;
mod wav;

pub use convert::Converter;
pub use error::PlaybackError;
pub use outline::Outline;
pub use track::Track;
pub use view::View;

/// Whose voice is to be heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Voices {
    /// As recorded: caller left, callee right; or both on one channel, if it was kept so.
    #[default]
    Both,
    /// The caller alone.
    Caller,
    /// The callee alone.
    Callee,
}

/// What is to be said in a file about where it comes from: name and value, as a Vorbis comment has them.
pub type Remarks = [(String, String)];
