//! The sound of a call that is up, as it comes: both sides on one time line, a little behind the wire.
//!
//! A stream's first packet is placed where it arrived, those after it by their RTP timestamps, so that jitter below
//! [`DELAY`] is not heard. What comes later than that moves its stream's place; so does a sender whose clock runs
//! faster or slower. Where nothing came there is silence. No sample is altered: what is heard is what was sent.
//!
//! Of the streams that carry a side's voice (a relay shows it twice, a transfer makes a new one) the one is heard
//! that came first and still comes.

use std::time::Duration;

use base::{Formats, Side, Timestamp};
use journal::FlowId;
use media::g711::Law;
use media::rtp::Rtp;

/// Samples a second, and how long one takes.
pub(super) const RATE: u32 = 8_000;
const SAMPLE_NANOS: u64 = 125_000;
/// Samples of a block: 40 ms.
pub(super) const BLOCK: usize = 320;
/// How much later than its place a packet may come to be in its block.
const DELAY: Duration = Duration::from_millis(80);
/// So long after it came, everything has been heard: the delay, and what is left of two blocks.
pub(super) const LASTING: Duration = Duration::from_millis(160);
/// Samples of each side that are kept at once: a second and a bit, as a power of two.
const RING: usize = 8_192;
/// A stream that has not come for so long is no longer the side's.
const LEAD_FOR: Duration = Duration::from_millis(100);
/// Packets over which a stream's place is judged, and how far off it may be, in samples: 20 ms.
const JUDGED_PACKETS: u32 = 100;
const OFF_MAX: i64 = 160;
/// So many packets one after the other that come too late are no accident.
const LATE_MAX: u32 = 3;
/// A leap of this many samples is no jitter: the timestamps began anew.
const LEAP: i64 = 4_000;

/// Which flow of which core.
pub(super) type Source = (u8, FlowId);

/// One call's sound.
pub(super) struct Mixer {
    begun: Timestamp,
    /// Samples that have gone out.
    out: i64,
    sides: [Track; 2],
}

/// One side.
struct Track {
    samples: Box<[i16; RING]>,
    lead: Option<Lead>,
}

/// The stream that is heard.
struct Lead {
    source: Source,
    ssrc: u32,
    last: Timestamp,
    /// This timestamp is at this sample.
    timestamp: u32,
    place: i64,
    /// How much later than its place the packets of the last while came, at least and at most; of how many.
    lag: (i64, i64),
    packets: u32,
    /// Packets one after the other that came after their block had gone out.
    late: u32,
}

impl Mixer {
    /// Listening begins at `now` on the capture clock.
    pub(super) fn new(now: Timestamp) -> Self {
        let track = || Track { samples: Box::new([0; RING]), lead: None };
        Self { begun: now, out: 0, sides: [track(), track()] }
    }

    /// A packet of one side came.
    pub(super) fn packet(
        &mut self,
        (side, formats): (Side, &Formats),
        source: Source,
        time: Timestamp,
        payload: &[u8],
    ) {
        let Ok(rtp) = Rtp::parse(payload, true) else { return };
        let Some(law) = formats.get(rtp.payload_type).as_ref().and_then(Law::of) else { return };
        if time < self.begun || rtp.payload.len() > RING / 2 {
            return;
        }
        let arrived = self.sample_at(time);
        let [caller, callee] = &mut self.sides;
        let track = if side == Side::Caller { caller } else { callee };
        let Some(lead) = track.lead_of(source, &rtp, (time, arrived)) else { return };
        let place = lead.place_of(&rtp, arrived, self.out);
        track.write(place, self.out, law, rtp.payload);
    }

    /// The next block, if it is due when everything has been told that came until then: when its first sample was sent,
    /// and its samples.
    pub(super) fn block(&mut self, until: Timestamp) -> Option<(Timestamp, Vec<[i16; 2]>)> {
        let time = self.begun.plus(Duration::from_nanos(self.out.unsigned_abs() * SAMPLE_NANOS));
        let length = Duration::from_nanos(BLOCK as u64 * SAMPLE_NANOS);
        if until < time.plus(length).plus(DELAY) {
            return None;
        }
        let [caller, callee] = &mut self.sides;
        let mut samples = Vec::with_capacity(BLOCK);
        for sample in self.out..self.out + BLOCK as i64 {
            samples.push([caller.take(sample), callee.take(sample)]);
        }
        self.out += BLOCK as i64;
        Some((time, samples))
    }

    fn sample_at(&self, time: Timestamp) -> i64 {
        (time.since(self.begun).as_nanos() / u128::from(SAMPLE_NANOS)) as i64
    }
}

impl Track {
    /// The stream of this packet, if it is the one to be heard.
    fn lead_of(
        &mut self,
        source: Source,
        rtp: &Rtp<'_>,
        (time, arrived): (Timestamp, i64),
    ) -> Option<&mut Lead> {
        let is_of = |lead: &Lead| lead.source == source && lead.ssrc == rtp.ssrc;
        let has_other =
            self.lead.as_ref().is_some_and(|lead| !is_of(lead) && time.since(lead.last) < LEAD_FOR);
        if has_other {
            return None;
        }
        let lead = self.lead.take().filter(is_of);
        let lead = self.lead.insert(lead.unwrap_or(Lead {
            source,
            ssrc: rtp.ssrc,
            last: time,
            timestamp: rtp.timestamp,
            place: arrived,
            lag: (i64::MAX, i64::MIN),
            packets: 0,
            late: 0,
        }));
        lead.last = lead.last.max(time);
        Some(lead)
    }

    /// Writes what has not gone out yet, and does not reach beyond the ring.
    #[expect(
        clippy::indexing_slicing,
        reason = "the tables have a place for every remainder and every byte"
    )]
    fn write(&mut self, place: i64, out: i64, law: Law, payload: &[u8]) {
        let table = law.table();
        for (sample, code) in (place..).zip(payload) {
            if (out..out + RING as i64).contains(&sample) {
                self.samples[sample as usize % RING] = table[usize::from(*code)];
            }
        }
    }

    /// Takes a sample out; silence is left in its place.
    #[expect(clippy::indexing_slicing, reason = "the ring has a place for every remainder")]
    fn take(&mut self, sample: i64) -> i16 {
        std::mem::take(&mut self.samples[sample as usize % RING])
    }
}

impl Lead {
    /// Where the packet's first sample belongs. The stream is moved if its place is wrong, or `out` is beyond it.
    fn place_of(&mut self, rtp: &Rtp<'_>, arrived: i64, out: i64) -> i64 {
        let ahead = i64::from(rtp.timestamp.wrapping_sub(self.timestamp).cast_signed());
        let mut place = self.place + ahead;
        let lag = arrived - place;
        let is_late = place + rtp.payload.len() as i64 <= out;
        self.late = if is_late { self.late + 1 } else { 0 };
        if lag.abs() > LEAP || self.late >= LATE_MAX {
            place = self.move_by(lag, place);
        } else if is_late {
            // One packet that was held up somewhere: the others are where they belong.
            return place;
        }
        // The next timestamps are counted from here: they wrap after six days.
        (self.timestamp, self.place) = (rtp.timestamp, place);
        self.judge(arrived - place);
        place
    }

    /// Off for a while in the same direction: the sender's clock runs otherwise, or the first packet was late.
    fn judge(&mut self, lag: i64) {
        self.lag = (self.lag.0.min(lag), self.lag.1.max(lag));
        self.packets += 1;
        if self.packets >= JUDGED_PACKETS {
            let (least, most) = self.lag;
            let off = match (least > OFF_MAX, most < -OFF_MAX) {
                (true, _) => least,
                (_, true) => most,
                _ => 0,
            };
            self.place = self.move_by(off, self.place);
        }
    }

    fn move_by(&mut self, samples: i64, place: i64) -> i64 {
        (self.lag, self.packets) = ((i64::MAX, i64::MIN), 0);
        place.saturating_add(samples)
    }
}

#[cfg(test)]
mod tests {
    use base::sound::static_format;
    use proptest::prelude::*;

    use super::*;

    const BEGIN: u64 = 1_700_000_000_000_000_000;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_nanos(BEGIN).plus(Duration::from_micros(micros))
    }

    fn formats() -> Formats {
        Formats(vec![static_format(8).unwrap()])
    }

    fn source(flow: u8) -> Source {
        (flow, FlowId::default())
    }

    fn rtp(ssrc: u32, number: u32, code: u8) -> Vec<u8> {
        let mut packet = vec![0x80, 8];
        packet.extend((number as u16).to_be_bytes());
        packet.extend((number.wrapping_mul(160)).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend([code; 160]);
        packet
    }

    /// All samples of one side up to a time.
    fn heard(mixer: &mut Mixer, until: u64, side: usize) -> Vec<i16> {
        let mut all = Vec::new();
        while let Some((time, block)) = mixer.block(at(until)) {
            assert_eq!(time, at(all.len() as u64 * 125));
            all.extend(block.iter().map(|pair| pair[side]));
        }
        all
    }

    /// Silence left out, and runs of equal samples put together.
    fn runs(samples: &[i16]) -> Vec<(i16, usize)> {
        let mut runs: Vec<(i16, usize)> = Vec::new();
        for sample in samples {
            match runs.last_mut() {
                Some((value, count)) if value == sample => *count += 1,
                _ => runs.push((*sample, 1)),
            }
        }
        runs.into_iter().filter(|(value, _)| *value != 0).collect()
    }

    #[test]
    fn jitter_and_wrong_order_are_not_heard_and_a_loss_is_silence() {
        let mut mixer = Mixer::new(at(0));
        let formats = formats();
        // Each 20 ms; the third is 40 ms late, the fifth is lost.
        for (number, late) in [(0, 0), (1, 3), (3, 0), (2, 40), (5, 1), (6, 0), (7, 9)] {
            let time = at(u64::from(number) * 20_000 + late * 1_000 + 10_000);
            let packet = rtp(1, number, number as u8);
            mixer.packet((Side::Callee, &formats), source(0), time, &packet);
        }
        let samples = heard(&mut mixer, 400_000, 1);
        let table = Law::A.table();
        let expected: Vec<_> =
            [0, 1, 2, 3, 5, 6, 7].iter().map(|number| (table[*number], 160)).collect();
        assert_eq!(runs(&samples), expected);
        assert_eq!(samples[80], table[0], "10 ms: where it arrived");
        assert_eq!(samples[80 + 4 * 160..80 + 5 * 160], [0; 160], "lost");
    }

    #[test]
    fn of_two_copies_of_a_voice_one_is_heard_and_the_other_takes_over() {
        let (mut mixer, formats) = (Mixer::new(at(0)), formats());
        for number in 0..20_u32 {
            let time = at(u64::from(number) * 20_000);
            if number < 10 {
                mixer.packet((Side::Caller, &formats), source(0), time, &rtp(1, number, 1));
            }
            mixer.packet((Side::Caller, &formats), source(1), time, &rtp(2, number, 2));
        }
        let table = Law::A.table();
        // It ends at 180 ms; at 280 ms the other is the side's.
        assert_eq!(runs(&heard(&mut mixer, 600_000, 0)), [(table[1], 1_600), (table[2], 6 * 160)]);
    }

    #[test]
    fn a_sender_with_another_clock_stays_in_reach() {
        // 1 % too slow, and too fast: after a minute 600 ms off, were it not followed.
        for micros in [20_200, 19_800] {
            let (mut mixer, formats) = (Mixer::new(at(0)), formats());
            let mut samples = Vec::new();
            for number in 0..3_000_u32 {
                let time = u64::from(number) * micros;
                let packet = rtp(1, number, 1 + number as u8 % 2);
                mixer.packet((Side::Caller, &formats), source(0), at(time), &packet);
                while let Some((_, block)) = mixer.block(at(time)) {
                    samples.extend(block);
                }
            }
            let lead = mixer.sides[0].lead.as_ref().unwrap();
            let off = mixer.sample_at(at(2_999 * micros)) - lead.place;
            assert!(off.abs() <= 2 * OFF_MAX, "{micros}: {off} samples off");
            let voiced = samples.iter().filter(|pair| pair[0] != 0).count();
            assert!(voiced * 100 > samples.len() * 96, "{micros}: {voiced} of {}", samples.len());
        }
    }

    #[test]
    fn timestamps_that_begin_anew_are_heard_at_once() {
        let (mut mixer, formats) = (Mixer::new(at(0)), formats());
        for (number, time) in [(0, 0), (1, 20), (400_000, 40), (400_001, 60)] {
            let packet = rtp(1, number, 3);
            mixer.packet((Side::Caller, &formats), source(0), at(time * 1_000), &packet);
        }
        assert_eq!(runs(&heard(&mut mixer, 300_000, 0)), [(Law::A.table()[3], 640)]);
    }

    #[test]
    fn what_is_no_voice_is_silence() {
        let (mut mixer, formats) = (Mixer::new(at(0)), formats());
        let mut event = rtp(1, 0, 9);
        event[1] = 101;
        for packet in [&event[..], &[0x80, 200, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], &[], &[0xff; 40]] {
            mixer.packet((Side::Caller, &formats), source(0), at(1_000), packet);
        }
        assert_eq!(runs(&heard(&mut mixer, 300_000, 0)), []);
    }

    proptest! {
        #[test]
        fn any_packets_at_any_times_are_taken(
            packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0_u32..3, 0_u64..3_000_000, 0_usize..400), 0..200)
        ) {
            let (mut mixer, formats) = (Mixer::new(at(0)), formats());
            for (sequence, timestamp, ssrc, time, length) in packets {
                let mut packet = vec![0x80, 8];
                packet.extend(sequence.to_be_bytes());
                packet.extend(timestamp.to_be_bytes());
                packet.extend(ssrc.to_be_bytes());
                packet.resize(12 + length, 0x2a);
                mixer.packet((Side::Caller, &formats), source(0), at(time), &packet);
                if let Some((_, block)) = mixer.block(at(time)) {
                    prop_assert_eq!(block.len(), BLOCK);
                }
            }
        }
    }
}
