//! What comes out: finished files, what is known of each stream, and an account of every packet.

use base::Timestamp;
use base::recording::{Gap, Stream};

use crate::keys::KeyPress;

/// Everything that was made of one call's media.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    /// Audio files, then packet files.
    pub files: Vec<File>,
    /// One report a stream, flow by flow, in the order in which they began.
    pub streams: Vec<StreamReport>,
    /// Stretches in which packets are missing, in the order of time.
    pub gaps: Vec<Gap>,
    /// Keys that telephone events tell of (RFC 4733), in the order of time.
    pub keys: Vec<KeyPress>,
    /// What else a person should know, in words.
    pub notes: Vec<String>,
    /// Where every packet went.
    pub tally: Tally,
    /// By how much the audio's clock was made to run ahead of the capture clock, in parts per billion:
    /// more than zero only for a sender that was too fast for the whole of a long call and never paused.
    pub clock_stretch_ppb: i64,
}

/// One finished file, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// `audio.flac`, `audio.part2.flac`, ...; `audio-2.flac`, ... for streams that ran at the same time as
    /// others of their side; `packets.pcapng`, `packets.part2.pcapng`, ...
    pub name: String,
    /// `audio/flac` or `application/x-pcapng`.
    pub media_type: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
    /// When its first sample (its first packet) was.
    pub start: Timestamp,
    /// When its last sample ends (its last packet was).
    pub stop: Timestamp,
    /// Samples on each channel; packets in a packet file.
    pub samples: u64,
    /// 2: caller left, callee right. 1: both. 0: packets.
    pub channels: u8,
    /// Loudest amplitude of each 100 ms, 0 to 255, channels interleaved.
    pub peaks: Vec<u8>,
}

/// What became of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    /// The part that goes into `recording.json`. Its `media_files` are names of [`File`]s.
    pub stream: Stream,
    /// Which of the given flows.
    pub flow: usize,
    /// Where its sound is: 0 is `audio.flac`, 1 is `audio-2.flac`, ...
    pub lane: Option<usize>,
    /// Samples decoded into it.
    pub samples: u64,
    /// Packets with telephone events (RFC 4733); their time is silence.
    pub events: u64,
    /// Packets with comfort noise (RFC 3389); their time is silence.
    pub comfort_noise: u64,
    /// Packets whose end the capture cut off.
    pub truncated: u64,
    /// Packets with the sequence number of another one but other content, or with a sequence number that
    /// fits nowhere. Counted among `duplicates` or not at all; kept as packets.
    pub misfits: u64,
    /// How often the sequence numbers began anew under the same SSRC.
    pub restarts: u64,
    /// How much slower than the capture clock its sender's clock was, parts per million; zero while it
    /// cannot be told from nothing.
    pub clock_slow_ppm: f64,
    /// Where the sound was moved against its own timestamps.
    pub corrections: Vec<Correction>,
}

/// A place where a stream's own timestamps were not followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Correction {
    /// When, on the recording's clock.
    pub time: Timestamp,
    /// Samples of silence inserted (positive) or taken out of a pause (negative). Sound is never taken out.
    pub samples: i64,
    /// Why.
    pub reason: Reason,
}

/// Why a stream's own timestamps were not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The sender's clock runs differently from the recording's.
    Drift,
    /// Arrival moved against the timestamps for good: the sender miscounted a pause, or did not count it.
    Pause,
    /// The timestamps began anew, or jumped where time did not; placed by arrival.
    Restart,
    /// The stream before it on the same channel ended later than this one began.
    Seam,
}

/// Where every packet went; each is in exactly one of the four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets given.
    pub received: u64,
    /// In an audio file (and perhaps also in a packet file).
    pub sounded: u64,
    /// Telephone events, comfort noise and empty packets of a decoded stream: silence in the audio file.
    pub silent: u64,
    /// Copies of a packet that is accounted for elsewhere.
    pub duplicates: u64,
    /// Only in a packet file.
    pub kept: u64,
}

impl Tally {
    /// Whether every packet is accounted for.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.received == self.sounded + self.silent + self.duplicates + self.kept
    }
}
