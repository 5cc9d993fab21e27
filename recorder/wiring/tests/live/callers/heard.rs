//! What is in a recording, compared with what a call said.

use std::collections::HashMap;

use wiring::synth::PACKET_SAMPLES;

use super::call::Call;

/// Samples that tell a packet from all others of its side.
const MARK: usize = 8;

/// Which packets of a side one hears.
pub(crate) struct Heard {
    /// For each packet, at which sample it begins.
    pub(crate) places: Vec<Option<usize>>,
}

impl Heard {
    /// Takes a channel apart. An error says where it has anything but packets that were sent, each whole, once,
    /// and in their order, and silence. A packet in which the channel ends counts as missing.
    pub(crate) fn of(call: &Call, side: usize, channel: &[i16]) -> Result<Self, String> {
        let marks: HashMap<[i16; MARK], u32> = (0..call.packets)
            .map(|index| (*call.samples(side, index).first_chunk().unwrap(), index))
            .collect();
        let mut places = vec![None; call.packets as usize];
        let (mut at, mut next) = (0, 0);
        while let Some(silence) = channel[at..].iter().position(|sample| *sample != 0) {
            at += silence;
            let told =
                |what: &str| Err(format!("{}, side {side}, sample {at}: {what}", call.call_id()));
            let rest = &channel[at..];
            if rest.len() < PACKET_SAMPLES
                && (next..call.packets).any(|it| call.samples(side, it).starts_with(rest))
            {
                break;
            }
            let mark = rest.first_chunk().and_then(|mark| marks.get(mark));
            let Some(index) = mark.copied() else { return told("what nobody said") };
            if index < next {
                return told(&format!("packet {index} after packet {next}"));
            }
            if channel.get(at..at + PACKET_SAMPLES) != Some(&call.samples(side, index)) {
                return told(&format!("packet {index} is not as it was sent"));
            }
            places[index as usize] = Some(at);
            (at, next) = (at + PACKET_SAMPLES, index + 1);
        }
        Ok(Self { places })
    }

    /// Packets that are not there.
    pub(crate) fn missing(&self) -> usize {
        self.places.iter().filter(|place| place.is_none()).count()
    }

    /// By how many samples packets are off the place that the first one says, at worst.
    pub(crate) fn shift(&self) -> usize {
        let mut offsets = self.places.iter().enumerate().filter_map(|(index, place)| {
            place.map(|place| place as i64 - (index * PACKET_SAMPLES) as i64)
        });
        let Some(first) = offsets.next() else { return 0 };
        offsets.map(|offset| offset.abs_diff(first) as usize).max().unwrap_or(0)
    }
}
