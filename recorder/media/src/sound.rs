//! The packets of one stream that carry sound which can be decoded, in order, and a count of the others.

use base::limits::RECORDING_HOURS_MAX;
use base::{Encoding, Formats, Timestamp};

use crate::g711::Law;
use crate::keys::Presses;
use crate::sequence::{lost_between, same_epoch};
use crate::streams::Packet;

/// The rate of everything decoded so far, and of the recording.
pub(crate) const SAMPLES_PER_SECOND: i64 = 8_000;
/// One sample at that rate.
pub(crate) const SAMPLE_NANOS: i64 = 1_000_000_000 / SAMPLES_PER_SECOND;
/// Later arrivals count as this late: the wire's times cannot make a recording grow without bound.
const ARRIVAL_NANOS_MAX: i64 = RECORDING_HOURS_MAX as i64 * 3_600 * 1_000_000_000;

/// One packet of G.711.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sound<'a> {
    /// One byte a sample; never empty.
    pub(crate) payload: &'a [u8],
    /// Nanoseconds after the recording's reference.
    pub(crate) arrival: i64,
    pub(crate) timestamp: u32,
    /// Packets missing since the sound before.
    pub(crate) lost: u32,
    /// Samples of it that the capture cut off.
    pub(crate) missing: u16,
    pub(crate) law: Law,
}

impl Sound<'_> {
    /// Samples in it.
    pub(crate) const fn samples(&self) -> i64 {
        self.payload.len() as i64
    }

    /// Samples that its sender put into it.
    pub(crate) const fn whole(&self) -> i64 {
        self.samples() + self.missing as i64
    }
}

/// What a payload type is to the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sound(Law),
    Event,
    ComfortNoise,
    /// Not decoded yet, or not announced.
    Other,
}

/// A stream as the decoder sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Voice<'a> {
    pub(crate) sounds: Vec<Sound<'a>>,
    pub(crate) samples: u64,
    pub(crate) events: u64,
    pub(crate) presses: Presses,
    pub(crate) comfort_noise: u64,
    pub(crate) empty: u64,
    /// Packets that cannot be decoded.
    pub(crate) other: u64,
    /// Those of them that are encrypted.
    pub(crate) encrypted: u64,
}

/// Tells what `payload_type` is in a flow with these formats.
pub(crate) fn kind_of(formats: &Formats, payload_type: u8) -> Kind {
    let Some(format) = formats.get(payload_type) else { return Kind::Other };
    if let Some(law) = Law::of(&format) {
        return Kind::Sound(law);
    }
    match format.encoding {
        Encoding::TelephoneEvent => Kind::Event,
        Encoding::ComfortNoise => Kind::ComfortNoise,
        _ => Kind::Other,
    }
}

/// Takes the sounds out of a stream's packets in order. What came at or after `encrypted_from` is noise to
/// a decoder.
pub(crate) fn listen<'a>(
    packets: &[Packet<'a>],
    formats: &Formats,
    reference: Timestamp,
    encrypted_from: Timestamp,
) -> Voice<'a> {
    let mut voice = Voice { sounds: Vec::with_capacity(packets.len()), ..Voice::default() };
    let mut known = (u8::MAX, Kind::Other);
    let mut lost = 0;
    let mut before: Option<&Packet<'_>> = None;
    for packet in packets {
        if let Some(before) = before.filter(|before| same_epoch(before, packet)) {
            lost += lost_between(before, packet);
        }
        before = Some(packet);
        if packet.payload_type != known.0 {
            known = (packet.payload_type, kind_of(formats, packet.payload_type));
        }
        match known.1 {
            _ if packet.time >= encrypted_from => {
                voice.other += 1;
                voice.encrypted += 1;
            }
            Kind::Sound(law) if !packet.payload.is_empty() => {
                voice.samples += packet.payload.len() as u64;
                let arrival = packet.time.signed_nanos_since(reference);
                voice.sounds.push(Sound {
                    payload: packet.payload,
                    arrival: arrival.clamp(0, ARRIVAL_NANOS_MAX),
                    timestamp: packet.timestamp,
                    lost: u32::try_from(std::mem::take(&mut lost)).unwrap_or(u32::MAX),
                    missing: packet.missing,
                    law,
                });
            }
            Kind::Sound(_) => voice.empty += 1,
            Kind::Event => {
                voice.events += 1;
                voice.presses.take(packet);
            }
            Kind::ComfortNoise => voice.comfort_noise += 1,
            Kind::Other => voice.other += 1,
        }
    }
    voice
}
