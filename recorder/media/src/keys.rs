//! Keys pressed on a phone, as telephone events tell them (RFC 4733, 2.5): one press, however many packets.
//!
//! The packets of one event share their timestamp, and the last one is sent three times. A press longer than its
//! duration field can say goes on as a segment that begins where the one before stopped (2.5.1.3). Real senders also
//! repeat the marker, leave the end out, or move the timestamp on with every packet: nothing here hangs on the
//! marker, and a longer duration of an event that has not ended goes on with it.

use std::collections::HashSet;

use base::limits::MARKS_PER_RECORDING_MAX;
use base::{Side, Timestamp};

use crate::streams::Packet;

/// The events that are keys, by their number (RFC 4733, 3.2).
const KEYS: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];
/// The bit that says that the event has ended.
const END: u8 = 0x80;
/// An event that has not ended is told of again within this; packets come every 20 to 50 ms.
const GOES_ON_NANOS_MAX: i64 = 200_000_000;

/// One press of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// When its first packet came, on the recording's clock.
    pub time: Timestamp,
    /// Who pressed it.
    pub side: Side,
    /// `0` to `9`, `*`, `#`, `A` to `D`.
    pub key: char,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Press {
    time: Timestamp,
    timestamp: u32,
    key: char,
}

/// What one packet says.
#[derive(Clone, Copy, Debug)]
struct Said {
    time: Timestamp,
    timestamp: u32,
    event: u8,
    ended: bool,
    duration: u16,
}

impl Said {
    fn read(packet: &Packet<'_>) -> Option<Self> {
        let [event, flags, high, low, ..] = *packet.payload else { return None };
        Some(Self {
            time: packet.time,
            timestamp: packet.timestamp,
            event,
            ended: flags & END != 0,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// Whether it tells more of the event that `before` told of.
    fn goes_on_from(&self, before: &Self) -> bool {
        if self.event != before.event {
            return false;
        }
        let passed = self.timestamp.wrapping_sub(before.timestamp);
        let waited = self.time.signed_nanos_since(before.time);
        let segment = [before.duration, u16::MAX].map(u32::from).contains(&passed);
        let goes_on = segment || self.duration > before.duration;
        passed == 0 || (goes_on && !before.ended && waited <= GOES_ON_NANOS_MAX)
    }
}

/// The presses of one stream, told its event packets in the order of sending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presses {
    all: Vec<Press>,
    before: Option<Said>,
    left_out: u64,
}

impl Presses {
    /// Takes a packet with an event.
    #[cold]
    pub(crate) fn take(&mut self, packet: &Packet<'_>) {
        let Some(said) = Said::read(packet) else { return };
        let goes_on = self.before.is_some_and(|before| said.goes_on_from(&before));
        self.before = Some(said);
        let Some(key) = KEYS.get(usize::from(said.event)) else { return };
        let room = self.all.len() < MARKS_PER_RECORDING_MAX;
        match self.all.last_mut() {
            Some(press) if goes_on => press.time = press.time.min(said.time),
            _ if room => {
                self.all.push(Press { time: said.time, timestamp: said.timestamp, key: *key });
            }
            _ => self.left_out += u64::from(!goes_on),
        }
    }
}

/// The presses of all streams, in the order of time, and how many more there are. A stream that several flows
/// carry is told once.
pub(crate) fn all<'p>(
    streams: impl Iterator<Item = (Side, u32, &'p Presses)>,
) -> (Vec<KeyPress>, u64) {
    let (mut presses, mut left_out) = (Vec::new(), 0);
    let mut known = HashSet::new();
    for (side, ssrc, of) in streams {
        left_out += of.left_out;
        let new = of.all.iter().filter(|it| known.insert((side, ssrc, it.timestamp, it.key)));
        presses.extend(new.map(|it| KeyPress { time: it.time, side, key: it.key }));
    }
    presses.sort_by_key(|it| (it.time, it.side));
    left_out += presses.len().saturating_sub(MARKS_PER_RECORDING_MAX) as u64;
    presses.truncate(MARKS_PER_RECORDING_MAX);
    (presses, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Milliseconds, timestamp, event, whether it ended, duration.
    fn packet(payload: &[u8; 4], millis: u64, timestamp: u32) -> Packet<'_> {
        Packet {
            payload,
            time: Timestamp::from_nanos(millis * 1_000_000),
            place: 0,
            index: 0,
            timestamp,
            sequence: 0,
            payload_type: 101,
            missing: 0,
            late: false,
        }
    }

    fn pressed(packets: &[(u64, u32, u8, bool, u16)]) -> Vec<(u64, char)> {
        let mut presses = Presses::default();
        for (millis, timestamp, event, ended, duration) in packets {
            let [high, low] = duration.to_be_bytes();
            let payload = [*event, if *ended { END | 10 } else { 10 }, high, low];
            presses.take(&packet(&payload, *millis, *timestamp));
        }
        let (all, left_out) = all([(Side::Callee, 7, &presses)].into_iter());
        assert!(all.iter().all(|it| it.side == Side::Callee) && left_out == 0);
        all.iter().map(|it| (it.time.as_nanos() / 1_000_000, it.key)).collect()
    }

    #[test]
    fn one_press_is_one_however_often_its_end_is_sent() {
        let five = [
            (0, 800, 5, false, 0),
            (20, 800, 5, false, 160),
            (40, 800, 5, true, 320),
            (60, 800, 5, true, 320),
            (80, 800, 5, true, 320),
        ];
        assert_eq!(pressed(&five), [(0, '5')]);
        let again = five.map(|(millis, _, event, ended, duration)| {
            (millis + 120, 1_760, event, ended, duration)
        });
        assert_eq!(pressed(&[five, again].concat()), [(0, '5'), (120, '5')]);
        // All but the first ends are lost; then everything but the ends of another key.
        assert_eq!(pressed(&[five[2], (200, 2_400, 11, true, 320)]), [(40, '5'), (200, '#')]);
    }

    #[test]
    fn an_event_without_end_is_over_with_the_next() {
        let packets = [(0, 0, 1, false, 160), (20, 0, 1, false, 320), (500, 4_000, 1, false, 160)];
        assert_eq!(pressed(&packets), [(0, '1'), (500, '1')]);
    }

    #[test]
    fn a_long_press_goes_on_in_segments() {
        let long: Vec<_> = (0..500_u32)
            .map(|n| {
                let (segment, duration) = (n * 320 / 65_535, n * 320 % 65_535);
                (u64::from(n) * 40, segment * 65_535, 12, false, duration as u16)
            })
            .collect();
        let mut with_full = long.clone();
        with_full.insert(205, (8_190, 0, 12, false, u16::MAX));
        assert_eq!(pressed(&with_full), [(0, 'A')]);
    }

    #[test]
    fn a_sender_that_moves_its_timestamps_on_presses_once() {
        let moving: Vec<_> = (0..10_u16)
            .map(|n| (u64::from(n) * 20, u32::from(n) * 160, 10, n == 9, (n + 1) * 160))
            .collect();
        assert_eq!(pressed(&moving), [(0, '*')]);
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(
            pressed(&[(0, 0, 16, false, 0), (20, 160, 32, true, 160), (40, 320, 255, true, 1)]),
            []
        );
        let mut presses = Presses::default();
        presses.take(&Packet { payload: &[5, 10, 0], ..packet(&[0; 4], 0, 0) });
        assert!(presses.all.is_empty());
    }

    #[test]
    fn a_stream_on_two_flows_is_told_once_and_too_many_are_counted() {
        let mut presses = Presses::default();
        let count = MARKS_PER_RECORDING_MAX as u32 + 5;
        for n in 0..count {
            presses.take(&packet(&[3, END, 0, 160], u64::from(n) * 100, n * 800));
        }
        let twice = [(Side::Caller, 7, &presses), (Side::Caller, 7, &presses)];
        let (all, left_out) = all(twice.into_iter());
        assert_eq!((all.len(), left_out), (MARKS_PER_RECORDING_MAX, 10));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_at_most_a_press_a_packet(
            packets in prop::collection::vec((any::<[u8; 4]>(), 0_u64..1_000, any::<u32>()), 0..200),
        ) {
            let mut presses = Presses::default();
            packets.iter().for_each(|(payload, millis, timestamp)| presses.take(&packet(payload, *millis, *timestamp)));
            prop_assert!(presses.all.len() <= packets.len());
        }
    }
}
