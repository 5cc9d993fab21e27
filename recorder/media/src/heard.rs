//! One stream, read: in order, counted, its sound taken out; and what shall become of it.

use std::collections::HashMap;

use base::recording::QualityPoint;
use base::{Formats, Timestamp};

use crate::input::FlowInput;
use crate::output::Tally;
use crate::quality::{self, mean_opinion_score};
use crate::rtcp::SenderClock;
use crate::sequence::{Counts, Ordered, order};
use crate::sound::{Kind, SAMPLES_PER_SECOND, Voice, kind_of, listen};
use crate::srtp::tag_bytes;
use crate::streams::{Packet, Stream};

/// Sender reports that are further apart tell the rate of a clock.
const REPORTS_SECONDS_MIN: f64 = 60.0;
/// A rate that differs by more is no clock's.
const REPORT_PPB_MAX: f64 = 2_000_000.0;

/// What becomes of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its sound is in a lane.
    Decoded,
    /// Its sound is in a lane, and all of its packets are kept as well, for what could not be decoded.
    DecodedAndKept(String),
    /// The same packets were seen on another flow: the stream so numbered.
    DuplicateOf(usize),
    /// Only its packets are kept.
    Kept(String),
}

impl Fate {
    pub(crate) const fn has_sound(&self) -> bool {
        matches!(self, Self::Decoded | Self::DecodedAndKept(_))
    }

    pub(crate) const fn is_kept(&self) -> bool {
        matches!(self, Self::DecodedAndKept(_) | Self::Kept(_))
    }
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) flow: usize,
    pub(crate) ssrc: u32,
    pub(crate) counts: Counts,
    /// Packets of the flow that fit nowhere in the stream.
    pub(crate) misfits: Vec<u32>,
    pub(crate) voice: Voice<'a>,
    pub(crate) jitter_milliseconds: f64,
    /// For G.711.
    pub(crate) mos: Option<f64>,
    pub(crate) quality: Vec<QualityPoint>,
    /// Name of what most packets carry.
    pub(crate) codec: String,
    /// For recognising the same stream on another flow; only kept while that may be.
    pub(crate) unique: Vec<Packet<'a>>,
    pub(crate) fate: Fate,
}

/// Reads a stream of `flow`, which is number `number`, and is SRTP from `encrypted_from` on.
pub(crate) fn hear<'a>(
    number: usize,
    flow: &FlowInput<'a>,
    stream: Stream<'a>,
    reference: Timestamp,
    encrypted_from: Timestamp,
) -> Heard<'a> {
    let (jitter_milliseconds, stretches) = quality::jitter(&stream.packets, &flow.formats);
    let Ordered { unique, misfits, counts } = order(stream.packets);
    let main = main_payload_type(&unique);
    let codec = codec_name(&flow.formats, main);
    // Where something was announced, it is believed: see `dialog` for keys in it.
    let announced = flow.secure || !flow.formats.0.is_empty();
    let tag = if announced { None } else { tag_bytes(&unique, &flow.formats) };
    let decodable = is_audio(flow) && !flow.secure && tag.is_none();
    let voice = match decodable {
        true => listen(&unique, &flow.formats, reference, encrypted_from),
        false => Voice::default(),
    };
    let g711 = matches!(kind_of(&flow.formats, main), Kind::Sound(_));
    let mos = g711.then(|| mean_opinion_score(unique.len() as u64, counts.lost, counts.bursts));
    let quality = quality::points(&stretches, &unique, counts.lost, g711);
    let fate = fate(flow, &unique, &voice, tag);
    Heard {
        flow: number,
        ssrc: stream.ssrc,
        counts,
        misfits,
        voice,
        jitter_milliseconds,
        mos,
        quality,
        codec,
        unique,
        fate,
    }
}

fn is_audio(flow: &FlowInput<'_>) -> bool {
    flow.media.eq_ignore_ascii_case("audio")
}

fn fate(
    flow: &FlowInput<'_>,
    unique: &[Packet<'_>],
    voice: &Voice<'_>,
    tag: Option<usize>,
) -> Fate {
    if flow.secure {
        return Fate::Kept("encrypted (SRTP), which is not decrypted yet".to_owned());
    }
    if let Some(bytes) = tag {
        return Fate::Kept(format!(
            "encrypted (SRTP), told by its packets, each {bytes} bytes longer than its sound; no signalling was seen"
        ));
    }
    let undecoded = undecoded(&flow.formats, unique, voice.encrypted > 0);
    if !is_audio(flow) {
        return Fate::Kept(format!("{} ({})", undecoded, flow.media));
    }
    match (voice.sounds.is_empty(), voice.other) {
        (false, 0) => Fate::Decoded,
        (false, _) => Fate::DecodedAndKept(undecoded),
        (true, 0) => Fate::Kept("it carries no sound, only events".to_owned()),
        (true, _) => Fate::Kept(undecoded),
    }
}

/// Why some of these packets are not decoded, for each payload type of that kind.
fn undecoded(formats: &Formats, unique: &[Packet<'_>], encrypted: bool) -> String {
    let mut seen = 0_u128;
    for packet in unique {
        seen |= 1 << (packet.payload_type & 0x7f);
    }
    let others = (0..128_u8).filter(|kind| seen >> kind & 1 == 1);
    let others = others.filter(|kind| kind_of(formats, *kind) == Kind::Other);
    let reason = |kind: u8| match formats.get(kind) {
        Some(format) => format!("{} is not decoded yet", format.encoding.name()),
        None => format!("payload type {kind} was not announced"),
    };
    let encrypted = encrypted.then(|| "keys were agreed on the media path (SRTP)".to_owned());
    let reasons: Vec<String> = others.map(reason).chain(encrypted).collect();
    if reasons.is_empty() { "it is not audio".to_owned() } else { reasons.join(", ") }
}

/// The payload type that most packets have.
fn main_payload_type(unique: &[Packet<'_>]) -> u8 {
    let mut counts = [0_u32; 128];
    for packet in unique {
        if let Some(count) = counts.get_mut(usize::from(packet.payload_type)) {
            *count += 1;
        }
    }
    (0..128)
        .zip(counts)
        .max_by_key(|(kind, count)| (*count, 128 - *kind))
        .map_or(0, |(kind, _)| kind)
}

fn codec_name(formats: &Formats, payload_type: u8) -> String {
    let format = formats.get(payload_type);
    format.map_or_else(|| format!("PT{payload_type}"), |format| format.encoding.name().to_owned())
}

impl Heard<'_> {
    /// Adds its packets to the account.
    pub(crate) fn count(&self, tally: &mut Tally) {
        let misfits = self.misfits.len() as u64;
        let packets = self.counts.packets;
        match self.fate {
            Fate::Kept(_) => tally.kept += packets,
            Fate::DuplicateOf(_) => {
                tally.kept += misfits;
                tally.duplicates += packets - misfits;
            }
            Fate::Decoded | Fate::DecodedAndKept(_) => {
                let sounded = self.voice.sounds.len() as u64;
                let silent = self.voice.events + self.voice.comfort_noise + self.voice.empty;
                tally.sounded += sounded;
                tally.silent += silent;
                tally.kept += misfits + self.voice.other;
                tally.duplicates += packets - misfits - self.voice.other - sounded - silent;
            }
        }
    }

    /// Whether every packet of this stream is one of `other`'s.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        if self.ssrc != other.ssrc || self.unique.len() > other.unique.len() {
            return false;
        }
        let known: HashMap<(u16, u32), &[u8]> =
            other.unique.iter().map(|p| ((p.sequence, p.timestamp), p.payload)).collect();
        self.unique.iter().all(|p| known.get(&(p.sequence, p.timestamp)) == Some(&p.payload))
    }
}

/// How much slower than its sender's own wall clock a stream's RTP clock runs, by its first and last
/// sender report: parts per billion.
pub(crate) fn report_ppb(clocks: &[SenderClock], ssrc: u32) -> Option<i64> {
    let mut own = clocks.iter().filter(|clock| clock.ssrc == ssrc);
    let first = own.next()?;
    let last = own.next_back()?;
    let wall = last.ntp.wrapping_sub(first.ntp).cast_signed() as f64 / 2_f64.powi(32);
    if wall < REPORTS_SECONDS_MIN {
        return None;
    }
    let rate = SAMPLES_PER_SECOND as f64;
    let units = f64::from(last.rtp.wrapping_sub(first.rtp));
    let turns = ((wall * rate - units) / 2_f64.powi(32)).round();
    let media = (units + turns * 2_f64.powi(32)) / rate;
    let ppb = (wall - media) / wall * 1e9;
    (ppb.abs() <= REPORT_PPB_MAX).then_some(ppb.round() as i64)
}
