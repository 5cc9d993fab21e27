//! What a listener heard of a call that was up, compared with what was sent.

use std::time::{Duration, Instant};

use wiring::synth::PACKET_SAMPLES;

use crate::callers::{CALLEE, CALLER, Heard, Sent};
use crate::wire::now;

const SAMPLES_PER_MILLISECOND: u64 = 8;

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
    sides: [Heard; 2],
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

    /// Every sample heard is one that was sent, in its place; and from the first packet on none is missing.
    #[track_caller]
    pub(crate) fn assert_as_sent(&self, sent: &Sent) -> Told {
        let sides = [CALLER, CALLEE].map(|side| {
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
            assert_eq!(
                heard.shift(),
                0,
                "{name}, side {side}: their distance is that of their sound"
            );
            heard
        });
        Told { sides }
    }

    /// How long after it was sent each packet was heard to its end, by callers who began then.
    pub(crate) fn delays(&self, told: &Told, sent: &Sent, began: Instant) -> Vec<Duration> {
        let of_side = |side: usize| {
            let places = told.sides[side].places.iter().zip(sent.packets(side));
            places.filter_map(move |(place, sent)| {
                let end = (*place)? + PACKET_SAMPLES;
                let block = self.came.partition_point(|(samples, _)| *samples < end);
                Some(self.came[block].1.duration_since(began + sent))
            })
        };
        [CALLER, CALLEE].into_iter().flat_map(of_side).collect()
    }

    /// By how many milliseconds the two sides are off each other's place.
    pub(crate) fn skew(&self, told: &Told, sent: &Sent) -> i64 {
        let [caller, callee] = [CALLER, CALLEE].map(|side| {
            let places = &told.sides[side].places;
            let first = places.iter().position(Option::is_some).unwrap();
            let place = places[first].unwrap() as u64 / SAMPLES_PER_MILLISECOND;
            place as i64 - sent.packets(side).nth(first).unwrap().as_millis() as i64
        });
        caller - callee
    }
}

impl Told {
    /// How many packets were heard, of the side of which fewer were.
    pub(crate) fn packets(&self) -> usize {
        let heard = self.sides.iter().map(|side| side.places.len() - side.missing());
        heard.min().unwrap()
    }
}
