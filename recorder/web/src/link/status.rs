//! What the recorder says of itself. All times are by the recorder's wall clock; shares are 0 to 1.

use base::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a recorder at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// The node's name.
    pub node: String,
    /// Program and version.
    pub build: String,
    /// Whether calls are being recorded.
    pub recording: Recording,
    /// Where packets come in.
    pub interface: Interface,
    /// Calls, now and since the start.
    pub calls: Calls,
    /// Packets, now.
    pub traffic: Traffic,
    /// The packet ledger.
    pub ledger: Ledger,
    /// The capture threads.
    pub workers: Vec<Worker>,
    /// Streams that calls which are up have announced, by codec; the most first.
    pub codecs: Vec<Codec>,
    /// How the calls of the last quarter of an hour sounded.
    pub quality: Quality,
    /// What the mirror port shows.
    pub span: Span,
    /// Calls on their way from the journal to the catalog.
    pub finishing: Finishing,
    /// Who listens to calls that are up.
    pub listening: Listening,
    /// Where journal and recordings are.
    pub disks: Vec<Disk>,
    /// The catalog.
    pub catalog: Part,
    /// The wall clock.
    pub clock: Clock,
    /// Certificates that recordings are sealed for, and the node's own.
    pub certificates: Vec<Certificate>,
    /// Alarms that are up, the worst first.
    pub alarms: Vec<Alarm>,
    /// Alarms that cleared lately, the newest first.
    pub cleared: Vec<Alarm>,
    /// The newest calls that were not or not wholly recorded, and why; the newest first.
    pub incomplete: Vec<Incomplete>,
}

/// Whether calls are being recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingState)]
pub struct Recording {
    /// `recording`, `refusing` (calls that are up are recorded, new ones are not), `blind` (the interface shows
    /// nothing or is down) or `stopping`.
    pub state: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why, if it is not `recording`.
    pub reason: Option<String>,
    /// Whether what an earlier run left is still being taken up.
    pub recovering: bool,
}

/// Where packets come in.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How frames are taken, in words, e.g. `native XDP, 4 queues, copy mode`.
    pub way: String,
    /// Whether there is carrier.
    pub up: bool,
}

/// Calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// Up now.
    pub concurrent: u64,
    /// Begun in the last second.
    pub per_second: f64,
    /// Seen since the start.
    pub seen: u64,
    /// Answered since the start.
    pub answered: u64,
    /// Not recorded since the start, because there was no room.
    pub refused: u64,
    /// Recordings made since the start.
    pub recorded: u64,
    /// Of those, not complete.
    pub incomplete: u64,
}

/// Packets.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Taken by the capture threads in the last second.
    pub packets_per_second: f64,
    /// Bits of frames that the interface received in the last second.
    pub bits_per_second: f64,
    /// Media flows that are open: RTP, and RTCP where it has a port of its own.
    pub streams: u64,
}

/// The packet ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// Every line, in the order of the packets' way.
    pub rows: Vec<LedgerRow>,
    /// Packets lost since the start, wherever.
    pub lost: u64,
    /// What does not add up. While packets are under way a difference of a moment is none.
    pub imbalances: Vec<String>,
}

/// A line of the ledger.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRow {
    /// `interface`, `program` (in the kernel), `sockets` or `cores`.
    pub stage: String,
    /// The counter's name.
    pub name: String,
    /// `received`, `journaled`, `filtered`, `dropped`, ...
    pub class: String,
    /// Packets since the start.
    pub count: u64,
    /// Packets in the last second.
    pub per_second: f64,
}

/// A capture thread.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Its number: that of its receive queue.
    pub queue: u32,
    /// The CPU it is kept on.
    pub cpu: Option<u32>,
    /// Share of time that it worked.
    pub load: f64,
    /// Share in use of the fullest of the rings that it fills for the thread which follows calls.
    pub ring: f64,
    /// Share of the journal's memory that is in use.
    pub journal_memory: f64,
    /// Packets in the last second.
    pub packets_per_second: f64,
}

/// A codec.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Codec {
    /// Encoding name, e.g. `PCMA`.
    pub name: String,
    /// Streams: two a call.
    pub streams: u64,
}

/// How calls sounded.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Recordings that this is of.
    pub recordings: u64,
    /// Median of their streams' MOS.
    pub mos: Option<f64>,
    /// Share of their packets that never came.
    pub loss: f64,
}

/// What the mirror port shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Share of packets that came more than once.
    pub duplicates: f64,
    /// Share of recordings with one direction only.
    pub one_direction: f64,
    /// Share of answered calls without media.
    pub without_media: f64,
    /// Streams without signalling.
    pub without_signalling: u64,
}

/// Calls on their way to the catalog.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finishing {
    /// Ended calls that are not finished yet.
    pub queued: u64,
    /// How long the oldest of them has been waiting, seconds.
    pub oldest_seconds: f64,
    /// Finished recordings that wait for their place or the catalog.
    pub spooled: u64,
}

/// Listening to calls that are up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// Listeners.
    pub listeners: u64,
    /// Packets that were recorded, but that no listener got because the way to him was full, since the start.
    pub missed: u64,
}

/// Where something is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// `journal` or `recordings`.
    pub purpose: String,
    /// Folder.
    pub path: String,
    /// Bytes.
    pub total: u64,
    /// Bytes.
    pub free: u64,
    /// How long the free space lasts at the pace of the last hours, days.
    pub days_left: Option<f64>,
    /// How long the slowest write and flush of the last minute took, milliseconds; absent where nothing was flushed.
    pub latency: Option<f64>,
    /// What is wrong.
    pub trouble: Option<String>,
}

/// A part of the machine that is well or not.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it is, e.g. `SQLite`, `PostgreSQL`.
    pub kind: String,
    /// What is wrong; absent: nothing.
    pub trouble: Option<String>,
}

/// The wall clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClockState)]
pub struct Clock {
    /// Whether a time service steers it.
    pub synchronised: bool,
    /// How: `free`, `rate`, `phaseLocked`, `pulses`, `unknown`.
    pub steering: String,
    /// How far off it is at most, seconds.
    pub error_max: f64,
}

/// A certificate.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `recording` (sealed for) or `node` (signed with).
    pub purpose: String,
    /// Whose.
    pub subject: String,
    /// When it expires.
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
}

/// An alarm: docs/ALARMS.md.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Which, e.g. `disk_low`.
    pub id: String,
    /// `critical`, `major`, `minor` or `warning`.
    pub severity: String,
    /// What exactly is wrong.
    pub detail: String,
    /// Since when its condition holds.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it rose.
    #[schema(value_type = String, format = DateTime)]
    pub raised: Timestamp,
    /// When it cleared.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cleared: Option<Timestamp>,
    /// How often its condition came while it was up.
    pub count: u64,
    /// What it means.
    pub meaning: String,
    /// What to do.
    pub action: String,
}

/// A call that was not or not wholly recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Incomplete {
    /// The recording, if there is one.
    #[schema(value_type = Option<String>)]
    pub id: Option<base::RecordingId>,
    /// When the call began.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Caller.
    pub caller: String,
    /// Callee.
    pub callee: String,
    /// Why, in words.
    pub reasons: Vec<String>,
}

/// A call that is up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveCall {
    /// Names it for `listen`; its recording will have this id where it is known already.
    pub id: String,
    /// Call-ID; absent for a call without signalling.
    pub call_id: Option<String>,
    /// Caller.
    pub caller: String,
    /// Callee.
    pub callee: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub start_time: Timestamp,
    /// When it was answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub answer_time: Option<Timestamp>,
    /// Encoding names of its streams.
    pub codecs: Vec<String>,
    /// Media packets so far, as counted at most a minute ago.
    pub packets: u64,
    /// Whether it can be listened to: its audio is decodable.
    pub audible: bool,
}
