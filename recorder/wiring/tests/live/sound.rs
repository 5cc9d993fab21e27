//! What a listener heard of a call that was up, compared with what was sent.

use std::time::{Duration, Instant};

use wiring::synth::PACKET_SAMPLES;

use crate::callers::{CALLEE, CALLER, Heard, Sent};
use crate::wire::now;

const SAMPLES_PER_MILLISECOND: u64 = 8;
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Packets that go out more unevenly than this are jitter that a listener hears.
const UNEVEN_MAX: Duration = Duration::from_millis(60);

/// What was heard of a call.
#[derive(Default)]
pub(crate) struct Sound {
    /// When the first sample was sent, by the recorder: milliseconds since the epoch.
    begun: u64,
    sides: [Vec<i16>; 2],
    /// When each block came, and how many samples there were then.
    came: Vec<(usize, Instant)>,
    /// Why no more followed.
    pub(crate) ended: Option<String>,
}

/// A sound, taken apart into packets.
pub(crate) struct Told {
    /// None of a side that the machine did not let speak evenly.
    sides: [Option<Heard>; 2],
    packets: usize,
}

impl Sound {
    /// A block came, whose first sample was sent at that millisecond.
    pub(crate) fn take(&mut self, time: u64, samples: impl IntoIterator<Item = [i16; 2]>) {
        let before = self.samples() as u64;
        if before == 0 {
            self.begun = time;
        }
        let expected = self.begun + before / SAMPLES_PER_MILLISECOND;
        assert!(time.abs_diff(expected) <= 1, "a block is missing");
        for [caller, callee] in samples {
            self.sides[CALLER].push(caller);
            self.sides[CALLEE].push(callee);
        }
        self.came.push((self.samples(), now()));
    }

    /// Of each side.
    pub(crate) fn samples(&self) -> usize {
        self.sides[CALLER].len()
    }

    /// Every sample heard is one that was sent, in its place; and from the first packet on none is missing. Of a side
    /// that spoke unevenly, every sample heard is one that was sent, in their order.
    #[track_caller]
    pub(crate) fn assert_as_sent(&self, sent: &Sent) -> Told {
        let sides = [CALLER, CALLEE].map(|side| {
            if is_even(sent, side) {
                return Some(self.assert_whole(sent, side));
            }
            let name = sent.call.call_id();
            let said = (0..sent.call.packets).flat_map(|index| sent.call.samples(side, index));
            assert!(is_part_of(&self.sides[side], said), "{name}, side {side}: what nobody said");
            None
        });
        let heard = self.sides.iter().map(|side| side.iter().filter(|it| **it != 0).count());
        Told { sides, packets: heard.min().unwrap() / PACKET_SAMPLES }
    }

    #[track_caller]
    fn assert_whole(&self, sent: &Sent, side: usize) -> Heard {
        let heard = Heard::of(&sent.call, side, &self.sides[side]);
        let heard = heard.unwrap_or_else(|told| panic!("{told}"));
        let is_there = |place: &Option<usize>| place.is_some();
        let begin = heard.places.iter().position(is_there).unwrap_or(heard.places.len());
        // Who leaves does not hear the end.
        let end = match self.ended.as_deref() {
            Some("ended") => heard.places.len(),
            _ => heard.places.iter().rposition(is_there).map_or(begin, |last| last + 1),
        };
        let missing = heard.places[begin..end].iter().filter(|it| it.is_none()).count();
        let name = sent.call.call_id();
        assert_eq!(missing, 0, "{name}, side {side}: packets are missing after {begin}");
        assert_eq!(heard.shift(), 0, "{name}, side {side}: their distance is that of their sound");
        heard
    }

    /// How long after it was sent each packet was heard to its end, by callers who began then.
    pub(crate) fn delays(&self, told: &Told, sent: &Sent, began: Instant) -> Vec<Duration> {
        let of_side = |side: usize| {
            let heard = told.sides[side].iter();
            let places = heard.flat_map(move |heard| heard.places.iter().zip(sent.packets(side)));
            places.filter_map(move |(place, sent)| {
                let end = (*place)? + PACKET_SAMPLES;
                let block = self.came.partition_point(|(samples, _)| *samples < end);
                Some(self.came[block].1.duration_since(began + sent))
            })
        };
        [CALLER, CALLEE].into_iter().flat_map(of_side).collect()
    }
}

impl Told {
    /// How many packets were heard, of the side of which fewer were.
    pub(crate) const fn packets(&self) -> usize {
        self.packets
    }
}

/// Whether the packets of a side went out as telephones send them.
fn is_even(sent: &Sent, side: usize) -> bool {
    let late = |(index, sent): (u32, Duration)| sent.saturating_sub(PACKET_TIME * index);
    let late: Vec<_> = (0..).zip(sent.packets(side)).map(late).collect();
    let (least, most) = (late.iter().min(), late.iter().max());
    least.zip(most).is_none_or(|(least, most)| *most - *least < UNEVEN_MAX)
}

/// Whether all that is no silence is among what was said, in that order.
fn is_part_of(heard: &[i16], mut said: impl Iterator<Item = i16>) -> bool {
    heard.iter().filter(|sample| **sample != 0).all(|sample| said.any(|said| said == *sample))
}
