//! A call as an observer knows it: parties, legs, announced media, how it ended.

use std::fmt;
use std::sync::Arc;

use base::{Domain, Endpoint, Formats, Side, Timestamp};

use crate::keys::KeyPress;
use crate::ladder::Ladder;
use crate::sdp::{Direction, Keying, MediaKind, Profile};

/// All that is known of one call: every message with its Call-ID, on every hop where it was seen.
///
/// Text is as it was on the wire with folds undone, bytes that are not UTF-8 replaced, and cut at the
/// limits of `base::limits`.
#[derive(Clone, Debug)]
pub struct Call {
    /// The Call-ID.
    pub call_id: String,
    /// Who sent the first INVITE, from its From.
    pub caller: Party,
    /// Who was called, from its To.
    pub callee: Party,
    /// The From value of the first message.
    pub from: String,
    /// The To value of the first message.
    pub to: String,
    /// The Request-URI of the first INVITE; empty if the capture began later.
    pub request_uri: String,
    /// The first message: the first INVITE, unless [`joined_midway`](Self::joined_midway).
    pub started: Timestamp,
    /// The first 180 to 189.
    pub ringing: Option<Timestamp>,
    /// The first 2xx to an INVITE.
    pub answered: Option<Timestamp>,
    /// When and why it ended. It never changes once set.
    pub ended: Option<(Timestamp, EndReason)>,
    /// The capture began after the call did: its first INVITE was not seen.
    pub joined_midway: bool,
    /// The SIP dialogs; at least one.
    pub legs: Vec<Leg>,
    /// Where media was asked for, in the order in which it was said.
    pub announced: Vec<Announced>,
    /// Announcements beyond the limits.
    pub announced_not_kept: u64,
    /// Keys that were pressed and told of in INFO.
    pub keys: Vec<KeyPress>,
    /// Keys beyond the limit, on every hop.
    pub keys_not_kept: u64,
    /// Every message.
    pub ladder: Ladder,
}

impl Call {
    /// Whether the last word of either side on some audio line in force is anything but `sendrecv`.
    #[must_use]
    pub fn on_hold(&self) -> bool {
        self.announced.iter().any(|it| {
            it.until.is_none()
                && it.media == MediaKind::Audio
                && it.direction != Direction::SendRecv
        })
    }
}

/// One of the two parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The URI without brackets and header parameters.
    pub uri: String,
    /// The display name without quotes.
    pub display: Option<String>,
    /// The user part of the URI with its escapes undone; the whole URI if it has none.
    pub number: String,
}

/// One SIP dialog (RFC 3261, 12), complete or early: two tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The caller's tag; empty for a device of RFC 2543 without one.
    pub from_tag: String,
    /// The callee's tag, once there was one. A forked INVITE makes a leg per answering device.
    pub to_tag: Option<String>,
    /// Its first message.
    pub started: Timestamp,
    /// Its first 2xx to an INVITE.
    pub answered: Option<Timestamp>,
    /// Its BYE.
    pub ended: Option<Timestamp>,
    /// Where it was seen, each from the caller's towards the callee's end, in order of appearance.
    pub hops: Vec<(Endpoint, Endpoint)>,
}

/// A place where one side wants to receive media, and normally sends from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// When it was said. Media may use it from then on.
    pub time: Timestamp,
    /// When a later offer or answer replaced it, or the re-INVITE that brought it failed. Packets that
    /// were under way may still come a moment later.
    pub until: Option<Timestamp>,
    /// Whether it was said as an answer to an offer (RFC 3264, 6).
    pub answers: bool,
    /// The capture domain of the message that said it.
    pub domain: Domain,
    /// Address and port of the media line. After a hold by `c=0.0.0.0` the address is the one before.
    pub endpoint: Endpoint,
    /// Where its RTCP goes; the endpoint itself with `a=rtcp-mux`.
    pub rtcp: Endpoint,
    /// Its other ICE candidates.
    pub candidates: Box<[Endpoint]>,
    /// Who receives there.
    pub side: Side,
    /// Index into [`Call::legs`].
    pub leg: usize,
    /// The hop of the message that said it, from the caller's towards the callee's end.
    pub hop: (Endpoint, Endpoint),
    /// The position of its media line. Caller and callee at the same position on one hop talk to each other.
    pub line: usize,
    /// Audio or what else.
    pub media: MediaKind,
    /// RTP or what else.
    pub profile: Profile,
    /// What the payload types of packets sent *to* it mean.
    pub formats: Arc<Formats>,
    /// Which way it flows, as this side says.
    pub direction: Direction,
    /// Whether what is sent to it is encrypted, as far as the description of this and the other side say.
    pub secure: bool,
    /// How this side offers to agree on keys.
    pub keying: Keying,
    /// Packet duration, milliseconds.
    pub ptime_ms: Option<u16>,
    /// `a=label` (SIPREC).
    pub label: Option<Box<str>>,
    /// `a=mid`.
    pub mid: Option<Box<str>>,
    /// SSRCs it says it will send with.
    pub ssrcs: Box<[u32]>,
}

impl Announced {
    /// Every address on which its media or RTCP may come: endpoint, RTCP, candidates; each once.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> + '_ {
        let rtcp = (self.rtcp != self.endpoint).then_some(self.rtcp);
        std::iter::once(self.endpoint).chain(rtcp).chain(self.candidates.iter().copied())
    }
}

/// Why a call ended; its text form is what `recording.json` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// One side hung up.
    Bye,
    /// The caller gave up, and no final response was seen.
    Cancel,
    /// Refused, redirected or failed with this status.
    Final(u16),
    /// Neither signalling nor media for too long.
    Timeout,
    /// The capture ended first.
    CaptureEnd,
    /// The recorder was stopped first.
    Interrupted,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bye => f.write_str("BYE"),
            Self::Cancel => f.write_str("CANCEL"),
            Self::Final(status) => write!(f, "final {status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::CaptureEnd => f.write_str("captureEnd"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}
