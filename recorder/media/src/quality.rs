//! What a listener had of a stream: interarrival jitter and the E-model's mean opinion score.

use base::Formats;

use crate::streams::Packet;

/// ITU-T G.107 (06/2015): the rating with every parameter at its default.
const DEFAULT_RATING: f64 = 93.2;
/// ITU-T G.113, appendix I: G.711's impairment without loss.
const EQUIPMENT_IMPAIRMENT: f64 = 0.0;
/// Likewise, its robustness to loss without concealment (lost packets are silence in the recording too).
const LOSS_ROBUSTNESS: f64 = 4.3;
/// Timestamp differences beyond this are jumps, not jitter.
const JUMP_SECONDS: f64 = 1.0;

/// Interarrival jitter in milliseconds at the end of the stream (RFC 3550, 6.4.1 and A.8), over packets in
/// the order of arrival. Packets that repeat a timestamp (telephone events, parts of a video frame) and
/// jumps do not count; `formats` gives the clock rates, 8,000 Hz where it does not.
pub(crate) fn jitter_milliseconds(packets: &[Packet<'_>], formats: &Formats) -> f64 {
    let mut rate = (u8::MAX, 8_000.0);
    let mut jitter = 0.0_f64;
    let mut before: Option<&Packet<'_>> = None;
    for packet in packets {
        if packet.payload_type != rate.0 {
            let hertz =
                formats.get(packet.payload_type).map_or(8_000, |format| format.clock_rate_hz);
            rate = (packet.payload_type, f64::from(hertz.max(1)));
        }
        if let Some(before) = before.filter(|before| before.timestamp != packet.timestamp) {
            let units = f64::from(packet.timestamp.wrapping_sub(before.timestamp).cast_signed());
            let waited = packet.time.signed_nanos_since(before.time) as f64 / 1e9;
            let difference = (waited - units / rate.1).abs();
            if difference < JUMP_SECONDS {
                jitter += (difference - jitter) / 16.0;
            }
        }
        before = Some(packet);
    }
    jitter * 1e3
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
    use base::Timestamp;

    fn packet(millis: u64, timestamp: u32) -> Packet<'static> {
        Packet {
            payload: &[],
            time: Timestamp::from_nanos(millis * 1_000_000),
            place: 0,
            index: 0,
            timestamp,
            sequence: 0,
            payload_type: 8,
            cut: false,
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
}
