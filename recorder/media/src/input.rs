//! What goes in: one call's media flows and how they shall be kept.

use std::time::Duration;

use base::{FlowKey, Formats, MediaPacket, Side, Timestamp};

/// One direction between two endpoints, with every packet that was seen on it.
///
/// RTCP on a port of its own is a flow too, under its own key: sender reports are matched to their
/// streams by SSRC across the flows of one side.
#[derive(Clone, Debug)]
pub struct FlowInput<'a> {
    /// Who sent it to whom.
    pub key: FlowKey,
    /// Whose voice this direction carries.
    pub side: Side,
    /// The announced medium: `audio`, `video`, `image`, ...; `audio` where nothing was announced.
    pub media: String,
    /// What the payload types mean.
    pub formats: Formats,
    /// Whether SRTP was announced.
    pub secure: bool,
    /// In the order of arrival: RTP, and whatever else the endpoint was sent (RTCP, STUN, DTLS, junk).
    pub packets: Vec<MediaPacket<'a>>,
}

/// The call that the flows belong to.
#[derive(Clone, Debug, Default)]
pub struct CallInput {
    /// First INVITE, or first packet. Audio begins with its first sample, be that later or earlier.
    pub start: Timestamp,
    /// Name and value of each Vorbis comment in the FLAC files: Call-ID, parties, start.
    pub tags: Vec<(String, String)>,
}

/// How the two sides are laid out in an audio file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Caller left, callee right; bit-exact.
    #[default]
    Stereo,
    /// The average of both sides on one channel: half the size, and neither side can be had back exactly.
    Mono,
}

/// How a call is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Stereo or mono.
    pub layout: Layout,
    /// A longer recording becomes several files, cut between two samples.
    pub media_file_limit: Duration,
}

/// Half an hour a file.
impl Default for Params {
    fn default() -> Self {
        Self { layout: Layout::Stereo, media_file_limit: Duration::from_secs(30 * 60) }
    }
}
