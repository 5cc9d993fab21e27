//! Session descriptions (RFC 8866) as an observer needs them: where media goes, in which formats.
//!
//! The scanner is our own and reads line by line, each line for itself. `sdp-types` 0.3.1 was tried first: it
//! makes a complete model, and refuses the whole description for one line that it cannot read, be it one
//! that we do not need. Of 430 different bodies in the captures it refuses one that a real phone sent
//! (`m=video 0 RTP/AVP`, a rejected line without formats) and two made ones (a cut `z=`, trailing
//! words). An observer cannot ask the sender to repeat, and a call whose media is not found is a call not
//! recorded. It serves as the oracle in the tests: where it parses, both see the same media lines. Using
//! it where it parses and a scanner elsewhere would mean two readings of the same bytes to keep alike; and
//! the scanner alone takes about 60 % of its time.

mod attributes;
mod scan;

use base::{Endpoint, Formats};

/// What one media line is about (RFC 8866, 5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
    /// `m=image`: fax (T.38).
    Image,
    /// `m=application`: data channels, BFCP.
    Application,
    /// `m=message`: MSRP.
    Message,
    /// `m=text`: real-time text (T.140).
    Text,
    /// Anything else.
    Other,
}

impl MediaKind {
    pub(crate) const fn of(name: &[u8]) -> Self {
        match name {
            b"audio" => Self::Audio,
            b"video" => Self::Video,
            b"image" => Self::Image,
            b"application" => Self::Application,
            b"message" => Self::Message,
            b"text" => Self::Text,
            _ => Self::Other,
        }
    }

    /// As written in SDP and in `recording.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Image => "image",
            Self::Application => "application",
            Self::Message => "message",
            Self::Text => "text",
            Self::Other => "other",
        }
    }
}

/// The transport protocol of a media line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `RTP/AVP` (RFC 3551).
    RtpAvp,
    /// `RTP/AVPF` (RFC 4585).
    RtpAvpf,
    /// `RTP/SAVP` (RFC 3711), also over DTLS (RFC 5764).
    RtpSavp,
    /// `RTP/SAVPF` (RFC 5124), also over DTLS.
    RtpSavpf,
    /// `udptl`: T.38 fax.
    Udptl,
    /// Anything else, such as what runs over TCP.
    Other,
}

impl Profile {
    pub(crate) fn of(name: &[u8]) -> Self {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        match name.len() {
            7 if is(b"RTP/AVP") => Self::RtpAvp,
            8 if is(b"RTP/AVPF") => Self::RtpAvpf,
            8 if is(b"RTP/SAVP") => Self::RtpSavp,
            9 if is(b"RTP/SAVPF") => Self::RtpSavpf,
            16 if is(b"UDP/TLS/RTP/SAVP") => Self::RtpSavp,
            17 if is(b"UDP/TLS/RTP/SAVPF") => Self::RtpSavpf,
            5 if is(b"udptl") => Self::Udptl,
            _ => Self::Other,
        }
    }

    /// Whether the formats are RTP payload types.
    #[must_use]
    pub const fn is_rtp(self) -> bool {
        matches!(self, Self::RtpAvp | Self::RtpAvpf | Self::RtpSavp | Self::RtpSavpf)
    }

    /// Whether it is SRTP by name.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::RtpSavp | Self::RtpSavpf)
    }
}

/// Which way media flows, as seen by who says it (RFC 8866, 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; also when nothing is said.
    #[default]
    SendRecv,
    /// Only from the announcing side: it has put the other on hold, or plays something.
    SendOnly,
    /// Only to the announcing side.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// How SRTP keys are agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Keying {
    /// Nothing is said.
    #[default]
    None,
    /// `a=crypto` (RFC 4568): the keys are in the signalling.
    Sdes,
    /// `a=fingerprint` (RFC 5763): DTLS beside the media.
    Dtls,
}

/// One `m=` line with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// What kind of media.
    pub media: MediaKind,
    /// Where the announcing side wants to receive it. `None` if the address is a host name or missing;
    /// port 0 says that the line is rejected or removed.
    pub endpoint: Option<Endpoint>,
    /// The port by itself.
    pub port: u16,
    /// RTP or what else.
    pub profile: Profile,
    /// Payload types in order of preference; those that neither `a=rtpmap` nor RFC 3551 explains are
    /// left out. Empty if the line is not RTP.
    pub formats: Formats,
    /// Which way it flows.
    pub direction: Direction,
    /// `a=ptime`, milliseconds.
    pub ptime_ms: Option<u16>,
    /// Where RTCP goes: `a=rtcp` (RFC 3605), with `a=rtcp-mux` the endpoint itself, else the next port.
    pub rtcp: Option<Endpoint>,
    /// Whether SRTP keys are offered.
    pub keying: Keying,
    /// Addresses of UDP candidates (RFC 8839, 5.1) other than the endpoint and its RTCP.
    pub candidates: Vec<Endpoint>,
    /// `a=label` (RFC 4574), which SIPREC's metadata refers to.
    pub label: Option<Box<str>>,
    /// `a=mid` (RFC 5888).
    pub mid: Option<Box<str>>,
    /// SSRCs that `a=ssrc` names (RFC 5576).
    pub ssrcs: Vec<u32>,
}

/// The media lines of a description, in order: the position of a line is its identity in later offers
/// and answers (RFC 3264, 8). Lines beyond the limit are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Rejected ones too.
    pub media: Vec<MediaLine>,
}

impl Description {
    /// Reads what can be read. Never fails: what is no SDP has no media lines.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        scan::description(bytes)
    }
}

#[cfg(test)]
mod tests;
