//! The shape of `recording.json`: what is known of one recording.
//!
//! Names follow the metadata of Genesys Interaction Recording where it has them (`callerPhoneNumber`,
//! `mediaFiles`, ...). The catalog, `list --json` and the API all speak this shape.

use serde::{Deserialize, Serialize};

use crate::{Endpoint, RecordingId, Side, Timestamp};

/// One recording: the kept result for one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    /// UUID version 7.
    pub id: RecordingId,
    /// The Call-ID (RFC 3261, 8.1.1.4); absent for a call whose signalling was never seen.
    pub call_id: Option<String>,
    /// User part of the From URI, or the whole URI when it has none; the source address without signalling.
    pub caller_phone_number: String,
    /// User part of the dialled URI (the first INVITE's Request-URI or To), likewise.
    pub dialed_phone_number: String,
    /// The From header field's value.
    pub from: Option<String>,
    /// The To header field's value.
    pub to: Option<String>,
    /// Which way it went, as the configured own numbers tell; absent without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// First INVITE, or first packet without signalling.
    pub start_time: Timestamp,
    /// First 2xx to an INVITE.
    pub answer_time: Option<Timestamp>,
    /// BYE or final failure, or the last packet.
    pub stop_time: Timestamp,
    /// `stopTime - startTime`, milliseconds.
    pub duration: u64,
    /// How the call ended, e.g. `BYE`, `CANCEL`, `final 486`, `timeout`, `captureEnd`, `interrupted`.
    pub end_reason: String,
    /// Whether everything that the parties sent is in the recording as far as can be known.
    pub complete: bool,
    /// Why it is not complete, in words, one entry a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete_reasons: Vec<String>,
    /// What is missing, when, on which side.
    pub gaps: Vec<Gap>,
    /// Holds and keys, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
    /// The SIP dialogs of the call.
    pub legs: Vec<Leg>,
    /// The RTP streams of the call.
    pub streams: Vec<Stream>,
    /// The kept media.
    pub media_files: Vec<MediaFile>,
    /// The SIP ladder.
    pub messages: Vec<Message>,
    /// The clock that its times are by; absent for what was made of a capture file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// What else a person should know, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The node that recorded it.
    pub node: String,
    /// Program and version that finished it.
    pub build: String,
}

/// Which way a call went, as seen from those whose numbers are the own ones (the call types of Genesys Interaction
/// Recording).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The callee's number is an own one.
    Inbound,
    /// The caller's is.
    Outbound,
    /// Both are.
    Internal,
    /// Neither is, or no signalling was seen.
    Unknown,
}

impl Direction {
    /// As `recording.json` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that happened in a call and is no sound: to be shown at its place on the waveform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// When it happened, or began.
    pub time: Timestamp,
    /// What.
    pub kind: MarkKind,
    /// Who did it.
    pub side: Side,
    /// The key that was pressed (`0` to `9`, `*`, `#`, `A` to `D`, or `?` where keys are masked); absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The kinds of [`Mark`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MarkKind {
    /// One side put the other on hold (RFC 3264, 8.4).
    Hold,
    /// That side took the other back, or the other way round where both held.
    Resume,
    /// A key was pressed (RFC 4733, or SIP INFO).
    Dtmf,
}

/// How the wall clock was while a call was up.
///
/// Times in a recording are by a clock that never steps (the kernel's `CLOCK_MONOTONIC`), set so that it shows what
/// the wall clock showed when the call began. So durations and distances are right whatever the wall clock did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    /// Whether a time service steered the wall clock when the call began.
    pub synchronised: bool,
    /// How: `free` (not at all), `rate`, `phaseLocked`, `pulses`; `unknown` if the kernel did not say.
    pub steering: String,
    /// How far off it was at most, and probably, as the time service said; microseconds.
    pub error_max_microseconds: u64,
    /// See there.
    pub error_estimated_microseconds: u64,
    /// Nanoseconds by which the wall clock had been stepped since the capture began, until the call did. All times
    /// of the recording have them added.
    pub offset_nanoseconds: i64,
    /// Steps of the wall clock while the call was up. No time of the recording has them added.
    pub steps: Vec<ClockStep>,
}

/// The wall clock was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClockStep {
    /// When, on the recording's clock.
    pub time: Timestamp,
    /// By how many nanoseconds; negative: back.
    pub nanoseconds: i64,
}

/// A stretch for which nothing was received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Whose voice is missing.
    pub side: Side,
    /// Begin, on the recording's clock.
    pub start_time: Timestamp,
    /// Milliseconds, to the microsecond.
    pub duration: f64,
    /// Packets missing, if they can be counted.
    pub packets: Option<u64>,
    /// `loss` (sequence numbers missing), `cut` (the capture cut a packet off), `journal`, `noMedia`, ...
    pub reason: String,
}

/// One SIP dialog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Leg {
    /// Its Call-ID.
    pub call_id: String,
    /// Tag of the From header field of the request that created it.
    pub from_tag: String,
    /// The other tag, once there was one.
    pub to_tag: Option<String>,
    /// First message.
    pub start_time: Timestamp,
    /// First 2xx.
    pub answer_time: Option<Timestamp>,
    /// BYE or final failure.
    pub stop_time: Option<Timestamp>,
    /// Where its INVITE was seen: source and destination, a pair per hop.
    pub hops: Vec<(Endpoint, Endpoint)>,
}

/// One SSRC from one source to one destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Synchronisation source, as `0x` and eight digits.
    pub ssrc: String,
    /// Whose voice.
    pub side: Side,
    /// `audio`, `video`, ...; as announced, `audio` if not.
    pub media: String,
    /// Encoding name of the payload type that most packets have.
    pub codec: String,
    /// RTP packets, duplicates included.
    pub packets: u64,
    /// Distinct RTP packets.
    pub unique: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after one with a higher sequence number.
    pub late: u64,
    /// Interarrival jitter at the end (RFC 3550, 6.4.1), milliseconds.
    pub jitter: f64,
    /// Mean opinion score by the E-model (ITU-T G.107), 1 to 4.5; absent for what it does not cover.
    pub mos: Option<f64>,
    /// How it was over time: a point for each stretch in which it had packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<QualityPoint>,
    /// First packet.
    pub start_time: Timestamp,
    /// Last packet.
    pub stop_time: Timestamp,
    /// `mediaId` of the media file that holds it, a line per file.
    pub media_files: Vec<String>,
    /// `decoded`, or why it was kept as packets.
    pub state: String,
}

/// How a stream was for a while.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct QualityPoint {
    /// When the stretch began; it lasts until the next point's, or for as long as the one before did.
    pub time: Timestamp,
    /// Packets that never came.
    pub lost: u64,
    /// Interarrival jitter (RFC 3550, 6.4.1), the highest in it, milliseconds.
    pub jitter: f64,
    /// Mean opinion score by the E-model; absent for what it does not cover.
    pub mos: Option<f64>,
}

/// One part of the kept media.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MediaFile {
    /// Unique within the recording: the file's name before it was sealed.
    pub media_id: String,
    /// File name in the recording's folder, as stored (with `.p7m` if sealed).
    pub path: String,
    /// Media type, e.g. `audio/flac`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// When its first sample was, on the recording's clock.
    pub start_time: Timestamp,
    /// When its last sample ends.
    pub stop_time: Timestamp,
    /// Milliseconds.
    pub duration: u64,
    /// Audio channels: 2 is caller left, callee right. 0 for packets.
    pub channels: u8,
    /// Bytes as stored.
    pub size: u64,
    /// SHA-256 of the stored bytes, hexadecimal.
    pub sha256: String,
    /// Peak amplitude of each 100 ms per channel, 0 to 255, interleaved; for a waveform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peaks: Vec<u8>,
}

/// One SIP message of the ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Arrival.
    pub time: Timestamp,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
    /// Start line without the version, e.g. `INVITE sip:bob@example.com` or `180 Ringing`.
    pub start_line: String,
    /// `CSeq`, e.g. `1 INVITE`.
    pub cseq: String,
    /// Whether it carried a session description.
    pub sdp: bool,
    /// Whether the same message had been seen on this hop.
    pub retransmission: bool,
}
