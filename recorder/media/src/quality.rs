//! What a listener had of a stream, as a whole and over time: loss, interarrival jitter, and the E-model's mean opinion
//! score.
//!
//! The time of a stream is cut into whiles by searching for their borders, not by a look at each packet, so that the
//! points over time cost nothing a packet.

use std::time::Duration;

use base::limits::QUALITY_POINTS_PER_STREAM_MAX;
use base::recording::QualityPoint;
use base::{Formats, Timestamp};

use crate::sequence::lost_between;
use crate::streams::Packet;

/// For how long a point of the quality over time stands.
const STRETCH: Duration = Duration::from_secs(10);

/// ITU-T G.107 (06/2015): the rating with every parameter at its default.
const DEFAULT_RATING: f64 = 93.2;
/// ITU-T G.113, appendix I: G.711's impairment without loss.
const EQUIPMENT_IMPAIRMENT: f64 = 0.0;
/// Likewise, its robustness to loss without concealment (lost packets are silence in the recording too).
const LOSS_ROBUSTNESS: f64 = 4.3;
/// Timestamp differences beyond this are jumps, not jitter.
const JUMP_SECONDS: f64 = 1.0;

/// Interarrival jitter (RFC 3550, 6.4.1 and A.8) of packets in the order of arrival.
///
/// Packets that repeat a timestamp (telephone events, parts of a video frame) and jumps do not count; `formats` gives
/// the clock rates, 8,000 Hz where it does not.
struct Jitter<'p, 'a> {
    formats: &'p Formats,
    /// Payload type, and units a second.
    rate: (u8, f64),
    seconds: f64,
    before: Option<&'p Packet<'a>>,
}

impl<'p, 'a> Jitter<'p, 'a> {
    fn new(formats: &'p Formats) -> Self {
        Self { formats, rate: (u8::MAX, 8_000.0), seconds: 0.0, before: None }
    }

    /// Takes the next packets. Returns the highest jitter there was meanwhile.
    fn take(&mut self, packets: &'p [Packet<'a>]) -> f64 {
        let mut highest = 0.0_f64;
        for packet in packets {
            if packet.payload_type != self.rate.0 {
                let format = self.formats.get(packet.payload_type);
                let hertz = format.map_or(8_000, |format| format.clock_rate_hz);
                self.rate = (packet.payload_type, f64::from(hertz.max(1)));
            }
            if let Some(before) = self.before.filter(|it| it.timestamp != packet.timestamp) {
                let units =
                    f64::from(packet.timestamp.wrapping_sub(before.timestamp).cast_signed());
                let waited = packet.time.signed_nanos_since(before.time) as f64 / 1e9;
                let difference = (waited - units / self.rate.1).abs();
                if difference < JUMP_SECONDS {
                    self.seconds += (difference - self.seconds) / 16.0;
                    highest = highest.max(self.seconds);
                }
            }
            self.before = Some(packet);
        }
        highest
    }
}

/// A while of a stream, and the highest jitter in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    from: Timestamp,
    until: Timestamp,
    jitter_milliseconds: f64,
}

/// The jitter of a stream, in the order of arrival, at its end and for each while: milliseconds.
///
/// The whiles are [`STRETCH`] long, or so much longer that there are no more than
/// `limits::QUALITY_POINTS_PER_STREAM_MAX`; those without packets are left out.
pub(crate) fn jitter(packets: &[Packet<'_>], formats: &Formats) -> (f64, Vec<Stretch>) {
    let (Some(first), Some(last)) = (packets.first(), packets.last()) else {
        return (0.0, Vec::new());
    };
    let nanos = STRETCH.as_nanos() as u64;
    let span = last.time.as_nanos().saturating_sub(first.time.as_nanos());
    let step = nanos * (span / (nanos * QUALITY_POINTS_PER_STREAM_MAX) + 1);
    let mut jitter = Jitter::new(formats);
    let mut stretches = Vec::with_capacity((span / step) as usize + 1);
    let mut rest = packets;
    while let Some(next) = rest.first() {
        let number = next.time.as_nanos().saturating_sub(first.time.as_nanos()) / step;
        let from = first.time.plus(Duration::from_nanos(number * step));
        let mut until = from.plus(Duration::from_nanos(step));
        // Arrival times may go back: then no more is promised than an end.
        if stretches.len() as u64 >= QUALITY_POINTS_PER_STREAM_MAX {
            until = Timestamp::MAX;
        }
        let count = rest.partition_point(|packet| packet.time < until).max(1);
        let (now, later) = rest.split_at(count.min(rest.len()));
        let jitter_milliseconds = jitter.take(now) * 1e3;
        stretches.push(Stretch { from, until, jitter_milliseconds });
        rest = later;
    }
    (jitter.seconds * 1e3, stretches)
}

/// How a stream was in each while: its unique packets in order, of which `lost` are missing, say what was lost.
/// `scored`: whether the E-model covers it.
pub(crate) fn points(
    stretches: &[Stretch],
    unique: &[Packet<'_>],
    lost: u64,
    scored: bool,
) -> Vec<QualityPoint> {
    let mut before = None;
    let mut rest = unique;
    let mut points = Vec::with_capacity(stretches.len());
    for (number, stretch) in stretches.iter().enumerate() {
        let is_last = number + 1 == stretches.len();
        let count = rest.partition_point(|packet| is_last || packet.time < stretch.until);
        let (now, later) = rest.split_at(count.min(rest.len()));
        let Some(newest) = now.last() else { continue };
        let (lost, bursts) = if lost == 0 { (0, 0) } else { losses(before, now) };
        let mos = scored.then(|| mean_opinion_score(now.len() as u64, lost, bursts));
        points.push(QualityPoint {
            time: stretch.from,
            lost,
            jitter: rounded(stretch.jitter_milliseconds),
            mos: mos.map(rounded),
        });
        (before, rest) = (Some(newest), later);
    }
    points
}

/// Packets missing before these, and in how many places.
fn losses<'p, 'a>(mut before: Option<&'p Packet<'a>>, packets: &'p [Packet<'a>]) -> (u64, u64) {
    let (mut all, mut bursts) = (0, 0);
    for packet in packets {
        let lost = before.map_or(0, |before| lost_between(before, packet));
        (all, bursts) = (all + lost, bursts + u64::from(lost > 0));
        before = Some(packet);
    }
    (all, bursts)
}

/// To the microsecond, or the thousandth of a score.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Mean opinion score (ITU-T G.107, annex B) of a G.711 stream, 1 to 4.41.
///
/// `bursts` is the number of stretches of lost packets. What a tap cannot see is taken as good: delay
/// below 100 ms, no echo, no noise, and a jitter buffer that drops nothing.
pub(crate) fn mean_opinion_score(unique: u64, lost: u64, bursts: u64) -> f64 {
    let expected = (unique + lost).max(1) as f64;
    let loss_percent = 100.0 * lost as f64 / expected;
    // BurstR (G.107, 3.5): how long bursts are against those of random loss.
    let burst = lost as f64 / bursts.max(1) as f64 * (1.0 - lost as f64 / expected);
    let burst_ratio = burst.max(1.0);
    let impairment = EQUIPMENT_IMPAIRMENT
        + (95.0 - EQUIPMENT_IMPAIRMENT) * loss_percent
            / (loss_percent / burst_ratio + LOSS_ROBUSTNESS);
    let rating = (DEFAULT_RATING - impairment).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    fn packet(millis: u64, timestamp: u32) -> Packet<'static> {
        Packet {
            payload: &[],
            time: Timestamp::from_nanos(millis * 1_000_000),
            place: 0,
            index: 0,
            timestamp,
            sequence: 0,
            payload_type: 8,
            missing: 0,
            late: false,
        }
    }

    #[test]
    fn no_loss_is_the_default_rating() {
        assert!((mean_opinion_score(1_000, 0, 0) - 4.41).abs() < 0.005);
    }

    #[test]
    fn loss_costs_what_the_e_model_says() {
        // 2 % random: Ie,eff = 95 * 2 / (2 + 4.3) = 30.16, R = 63.04, MOS = 3.255.
        assert!((mean_opinion_score(980, 20, 20) - 3.255).abs() < 0.005);
        // The same loss in bursts of four hurts more.
        assert!(mean_opinion_score(980, 20, 5) < 3.2);
        assert!((mean_opinion_score(1, 1_000_000, 1) - 1.0).abs() < 0.1);
    }

    fn jitter_milliseconds(packets: &[Packet<'_>], formats: &Formats) -> f64 {
        jitter(packets, formats).0
    }

    #[test]
    fn jitter_is_the_rfcs() {
        let even: Vec<_> = (0..100).map(|i| packet(i * 20, i as u32 * 160)).collect();
        assert!(jitter_milliseconds(&even, &Formats::default()).abs() < 1e-9);
        // Every second packet 8 ms late: differences of 8 ms throughout, and the mean goes there.
        let uneven: Vec<_> = (0..300).map(|i| packet(i * 20 + i % 2 * 8, i as u32 * 160)).collect();
        assert!((jitter_milliseconds(&uneven, &Formats::default()) - 8.0).abs() < 1e-3);
        // One packet 16 ms late moves the estimate up by 1 ms twice (less a sixteenth).
        let mut once = even[..3].to_vec();
        once[1].time = Timestamp::from_nanos(36_000_000);
        assert!(
            (jitter_milliseconds(&once, &Formats::default()) - (1.0 + 15.0 / 16.0)).abs() < 1e-9
        );
    }
    /// A minute of packets of 20 ms, with the places of their numbers.
    fn minute() -> Vec<Packet<'static>> {
        let numbered = |i: u64| Packet { place: i as i64, ..packet(i * 20, i as u32 * 160) };
        (0..3_000).map(numbered).collect()
    }

    #[test]
    fn quality_over_time_says_when_it_was_bad() {
        let mut packets = minute();
        // From 20 to 30 s, each second packet is 8 ms late.
        packets.iter_mut().take(1_500).skip(1_000).step_by(2).for_each(|packet| {
            packet.time = packet.time.plus(Duration::from_millis(8));
        });
        // Of those from 40 to 50 s, 2 % are lost, one by one.
        packets.retain(|packet| !(2_000..2_500).contains(&packet.place) || packet.place % 50 != 25);
        let (at_end, stretches) = jitter(&packets, &Formats::default());
        let points = points(&stretches, &packets, 10, true);
        let seconds = points.iter().map(|it| it.time.as_nanos() / 1_000_000_000);
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50]);
        let lost: Vec<u64> = points.iter().map(|it| it.lost).collect();
        assert_eq!(lost, [0, 0, 0, 0, 10, 0]);
        assert!((points[2].jitter - 8.0).abs() < 0.01 && points[1].jitter == 0.0, "{points:?}");
        assert!(points[3].jitter < 8.0 && at_end < 0.001, "{points:?}");
        // The scores of the test above, to the thousandth.
        let scores: Vec<f64> = points.iter().map(|it| it.mos.unwrap()).collect();
        assert_eq!(scores[4], rounded(mean_opinion_score(490, 10, 10)));
        assert!((scores[4] - 3.255).abs() < 0.005 && scores[3] == 4.409, "{scores:?}");
        assert!(points.iter().all(|it| it.lost == 0 || it.time == points[4].time));
    }

    #[test]
    fn a_pause_has_no_points_and_a_day_has_a_thousand_at_most() {
        let mut packets = minute();
        packets.retain(|packet| !(500..2_000).contains(&packet.place));
        let (_, stretches) = jitter(&packets, &Formats::default());
        let seconds = |it: &Stretch| it.from.as_nanos() / 1_000_000_000;
        assert_eq!(stretches.iter().map(seconds).collect::<Vec<_>>(), [0, 40, 50]);
        let points = points(&stretches, &packets, 1_500, false);
        assert_eq!(points.iter().map(|it| it.lost).collect::<Vec<_>>(), [0, 1_500, 0]);
        assert!(points.iter().all(|it| it.mos.is_none()));

        let day: Vec<_> = (0..86_400).map(|i| packet(i * 1_000, i as u32 * 8_000)).collect();
        let (_, stretches) = jitter(&day, &Formats::default());
        assert_eq!((stretches.len(), stretches[1].from.as_nanos() / 1_000_000_000), (960, 90));
    }

    #[test]
    fn times_that_go_back_are_borne() {
        let packets: Vec<_> = (0..5_000_u64)
            .map(|i| packet(if i % 2 == 0 { i } else { 50_000_000 - i * 9_000 }, i as u32))
            .collect();
        let (_, stretches) = jitter(&packets, &Formats::default());
        assert!(stretches.len() as u64 <= QUALITY_POINTS_PER_STREAM_MAX + 1);
        assert!(points(&stretches, &packets, 1, true).len() <= stretches.len());
    }
}
