//! Two parties, one clock.

use super::*;
use crate::Reason;

/// The sound that both sides of a test end up with, as (left, right).
fn both(caller: &[Sent], callee: &[Sent]) -> (Finished, Vec<i32>, Vec<i32>) {
    let wires = [Wire::of(Side::Caller, caller), Wire::of(Side::Callee, callee)];
    let done = finished(&wires, &Params::default());
    let mut sides = channels(&done.files[0].bytes);
    let right = sides.remove(1);
    (done, sides.remove(0), right)
}

/// Where the first samples of `part` are in `whole`.
fn find(whole: &[i32], part: &[i32]) -> usize {
    let found = whole.windows(40).position(|window| *window == part[..40]);
    found.expect("the sound is somewhere")
}

/// Delays every packet by up to `most`, never letting one overtake another.
fn jittered(seed: u64, packets: &[Sent], most: u64) -> Vec<Sent> {
    let mut packets = packets.to_vec();
    let mut last = 0;
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.at = (packet.at + chance(seed, index as u64, most)).max(last);
        last = packet.at;
    }
    packets
}

#[test]
fn two_sides_offset_within_20ms_under_jitter() {
    for seed in 0..20 {
        let offset = 1_000 + chance(seed, 999_999, 5_000);
        let caller = jittered(seed, &steady(1, 1_500, 0), 80 * MILLI);
        let callee = jittered(seed + 100, &steady(2, 1_400, offset * MILLI), 80 * MILLI);
        let (done, left, right) = both(&caller, &callee);
        assert_same(&without_silence(&left), &sound(&caller));
        assert_same(&without_silence(&right), &sound(&callee));
        let apart = find(&right, &sound(&callee)) as i64 - find(&left, &sound(&caller)) as i64;
        assert!((apart - offset as i64 * 8).abs() <= 160, "seed {seed}: {apart} for {offset} ms");
        assert!(done.streams.iter().all(|report| report.corrections.is_empty()));
    }
}

#[test]
fn a_late_first_packet_does_not_shift_the_stream() {
    let mut caller = steady(1, 500, 0);
    let callee = steady(2, 500, 0);
    caller[0].at += 400 * MILLI;
    caller[1].at += 350 * MILLI;
    let (done, left, right) = both(&caller, &callee);
    assert_eq!((find(&left, &sound(&caller)), find(&right, &sound(&callee))), (0, 0));
    assert_eq!(done.files[0].start, Timestamp::from_nanos(EPOCH_NANOS));
}

/// Nothing for three seconds, then all at once, and on time again.
#[test]
fn a_stall_of_the_network_inserts_nothing() {
    let mut caller = steady(1, 1_000, 0);
    for packet in &mut caller[200..350] {
        packet.at = 350 * PACKET_NANOS;
    }
    let (done, left) = caller_alone(&caller);
    assert_same(&left, &sound(&caller));
    assert!(done.streams[0].corrections.is_empty());
}

#[test]
fn a_change_of_route_inserts_nothing() {
    let mut caller = steady(1, 10_000, 0);
    caller[4_000..].iter_mut().for_each(|packet| packet.at += 80 * MILLI);
    let (done, left) = caller_alone(&caller);
    assert_same(&left, &sound(&caller));
    assert!(done.streams[0].corrections.is_empty());
}

/// `count` packets of a sender whose clock is `ppm` too fast (negative: too slow).
fn drifting(seed: u64, count: usize, ppm: i64) -> Vec<Sent> {
    let mut packets = steady(seed, count, 0);
    for packet in &mut packets {
        packet.at = (packet.at as i64 - packet.at as i64 / 1_000_000 * ppm) as u64;
    }
    packets
}

#[test]
fn ordinary_clocks_need_no_correction_in_ten_minutes() {
    for ppm in [-99, 99] {
        let caller = jittered(3, &drifting(1, 30_000, ppm), 40 * MILLI);
        let (done, left) = caller_alone(&caller);
        assert_same(&left, &sound(&caller));
        assert!(done.streams[0].corrections.is_empty());
    }
}

/// Where each minute's first packet is, against where its arrival (without jitter) says it should be.
fn offsets(channel: &[i32], ideal: &[Sent], start: u64) -> Vec<i64> {
    let mut found = Vec::new();
    for packet in ideal.iter().step_by(3_000) {
        let due = ((packet.at - start) / 125_000) as i64;
        let sound = decoded(&packet.payload);
        let near = (due - 4_000).max(0) as usize..(due + 8_000) as usize;
        let near = &channel[near.start..near.end.min(channel.len())];
        found.push(find(near, &sound) as i64 + (due - 4_000).max(0) - due);
    }
    found
}

#[test]
fn drift_100ppm_one_hour_stays_in_step() {
    let ideal = drifting(1, 180_000, -100);
    let caller = jittered(3, &ideal, 40 * MILLI);
    let callee = jittered(4, &steady(2, 180_000, 0), 40 * MILLI);
    let (done, left, right) = both_hour(&caller, &callee);
    assert_same(&without_silence(&left), &sound(&caller));
    assert_same(trimmed(&right), &sound(&callee));
    let slow = &done.streams[0];
    assert!((slow.clock_slow_ppm - 100.0).abs() < 5.0, "{}", slow.clock_slow_ppm);
    let inserted: i64 = slow.corrections.iter().map(|correction| correction.samples).sum();
    assert!(
        (2_600..=2_900).contains(&inserted),
        "360 ms, less what the threshold leaves: {inserted}"
    );
    assert!(slow.corrections.iter().all(|c| c.reason == Reason::Drift && c.samples > 0));
    assert!(slow.corrections.iter().all(|c| c.samples <= 300), "never much at once");
    for offset in offsets(&left, &ideal, 0) {
        assert!(offset.abs() <= 320, "{offset} samples from its time");
    }
    assert!(done.streams[1].corrections.is_empty());
    assert_eq!(done.clock_stretch_ppb, 0);
}

/// Hours are long for one file's default limit.
fn both_hour(caller: &[Sent], callee: &[Sent]) -> (Finished, Vec<i32>, Vec<i32>) {
    let wires = [Wire::of(Side::Caller, caller), Wire::of(Side::Callee, callee)];
    let limit = std::time::Duration::from_secs(2 * 3_600);
    let done = finished(&wires, &Params { media_file_limit: limit, ..Params::default() });
    let mut sides = channels(&done.files[0].bytes);
    let right = sides.remove(1);
    (done, sides.remove(0), right)
}

/// A fast sender without a pause: the recording's clock follows it, and the other side gets the silence.
#[test]
fn fast_sender_loses_nothing() {
    let caller = jittered(3, &drifting(1, 180_000, 100), 40 * MILLI);
    let callee = jittered(4, &steady(2, 180_000, 0), 40 * MILLI);
    let (done, left, right) = both_hour(&caller, &callee);
    assert_same(trimmed(&left), &sound(&caller));
    assert_same(&without_silence(&right), &sound(&callee));
    assert!((done.clock_stretch_ppb - 100_000).abs() < 5_000, "{}", done.clock_stretch_ppb);
    let inserted: i64 = done.streams[1].corrections.iter().map(|c| c.samples).sum();
    assert!((2_600..=2_900).contains(&inserted), "{inserted}");
}

/// A fast sender that pauses: the pauses get shorter, nobody else is touched.
#[test]
fn fast_sender_is_corrected_in_its_pauses() {
    let mut ideal = drifting(1, 90_000, 100);
    for (index, packet) in ideal.iter_mut().enumerate() {
        // Half a second of silence suppression every ten seconds.
        let pauses = (index / 500) as u64;
        packet.timestamp = packet.timestamp.wrapping_add(pauses as u32 * 4_000);
        packet.at += pauses * 500 * MILLI - pauses * 50_000;
    }
    let caller = jittered(3, &ideal, 40 * MILLI);
    let callee = jittered(4, &steady(2, 90_000, 0), 40 * MILLI);
    let (done, left, right) = both_hour(&caller, &callee);
    assert_same(&without_silence(&left), &sound(&caller));
    assert_same(trimmed(&right), &sound(&callee));
    assert_eq!(done.clock_stretch_ppb, 0);
    assert!(done.streams[0].corrections.iter().all(|c| c.samples < 0));
    for offset in offsets(&left, &ideal, 0) {
        assert!(offset.abs() <= 320, "{offset} samples from its time");
    }
}

/// Both devices fast by the same: they stay in step, and neither is touched.
#[test]
fn two_fast_senders_need_no_silence() {
    let caller = jittered(3, &drifting(1, 90_000, 150), 40 * MILLI);
    let callee = jittered(4, &drifting(2, 90_000, 150), 40 * MILLI);
    let (done, left, right) = both_hour(&caller, &callee);
    assert_same(trimmed(&left), &sound(&caller));
    assert_same(trimmed(&right), &sound(&callee));
    assert!(done.streams.iter().all(|report| report.corrections.is_empty()));
}

#[test]
fn timestamp_restart_is_placed_by_arrival() {
    let mut packets = steady(1, 400, 0);
    for packet in &mut packets[100..] {
        packet.timestamp = packet.timestamp.wrapping_add(0x1234_5678);
    }
    for packet in &mut packets[200..] {
        packet.timestamp = packet.timestamp.wrapping_sub(0x3333_3333);
        packet.at += 2_000 * MILLI;
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&without_silence(&left), &sound(&packets));
    assert_eq!(silences(&left), [(200 * PACKET, 16_000)]);
    let reasons: Vec<_> =
        done.streams[0].corrections.iter().map(|c| (c.samples, c.reason)).collect();
    assert_eq!(reasons, [(16_000, Reason::Restart)]);
    assert!(done.gaps.is_empty());
}

/// A device that stops counting while it is silent (hold, mute): the silence is found by arrival.
#[test]
fn a_pause_that_timestamps_do_not_count() {
    let mut packets = steady(1, 2_000, 0);
    packets[1_000..].iter_mut().for_each(|packet| packet.at += 5_000 * MILLI);
    let jittery = jittered(1, &packets, 30 * MILLI);
    let (done, left) = caller_alone(&jittery);
    assert_same(&without_silence(&left), &sound(&packets));
    let silences = silences(&left);
    assert_eq!((silences.len(), silences[0].0), (1, 1_000 * PACKET));
    assert!((silences[0].1 as i64 - 40_000).abs() < 160, "{silences:?}");
    assert_eq!(done.streams[0].corrections[0].reason, Reason::Pause);
}

#[test]
fn a_timestamp_slip_of_one_packet_is_ignored() {
    let mut packets = steady(1, 200, 0);
    packets[77].timestamp += 1_234;
    packets[99].timestamp -= 5_000;
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    assert!(done.streams[0].corrections.is_empty());
}

#[test]
fn timestamps_that_do_not_advance() {
    let mut packets = steady(1, 500, 0);
    packets.iter_mut().for_each(|packet| packet.timestamp = 7);
    packets.remove(100);
    let (done, left) = caller_alone(&packets);
    assert_eq!(silences(&left), [(100 * PACKET, PACKET)]);
    assert_same(&without_silence(&left), &sound(&packets));
    assert_eq!(done.gaps.len(), 1);
}

#[test]
fn timestamps_that_are_random() {
    let mut packets = steady(1, 500, 0);
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.timestamp = chance(5, index as u64, u64::from(u32::MAX)) as u32;
    }
    let (_, left) = caller_alone(&jittered(1, &packets, 60 * MILLI));
    assert_same(&left, &sound(&packets));
}

/// 30 ms of sound in a packet, but timestamps as for 20 ms; and the other way round.
#[test]
fn timestamps_that_advance_by_a_wrong_step() {
    for (samples, units) in [(240, 160), (160, 240), (160, 320)] {
        let mut packets = steady(1, 500, 0);
        for (index, packet) in packets.iter_mut().enumerate() {
            packet.at = (index * samples) as u64 * 125_000;
            packet.timestamp = (index * units) as u32;
            packet.payload = codes(1, (index * samples) as u64, samples);
        }
        let whole = packets.clone();
        packets.drain(200..203);
        let (done, left) = caller_alone(&packets);
        let mut expected = sound(&whole);
        expected[200 * samples..203 * samples].fill(0);
        assert_same(&left, &expected);
        assert!(done.streams[0].corrections.is_empty());
    }
}

/// More sound than time: nothing can be right but to keep it all.
#[test]
fn more_samples_than_time_are_laid_end_to_end() {
    let mut packets = steady(1, 300, 0);
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.payload = codes(1, (index * 240) as u64, 240);
    }
    let (_, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
}

#[test]
fn sound_before_the_call_starts_is_kept() {
    let mut call = CallInput { start: Timestamp::from_nanos(EPOCH_NANOS), ..CallInput::default() };
    call.start = call.start.plus(std::time::Duration::from_secs(1));
    let packets = steady(1, 100, 0);
    let wire = Wire::of(Side::Caller, &packets);
    let done = finish(&call, &[wire.input()], &Params::default()).unwrap();
    assert_same(&channels(&done.files[0].bytes)[0], &sound(&packets));
    assert_eq!(done.files[0].start, Timestamp::from_nanos(EPOCH_NANOS));
}

/// Sender reports that agree about the rate are believed: the figure is theirs to a millionth.
#[test]
fn sender_reports_refine_the_rate() {
    use rtcp_types::prelude::*;
    let ideal = drifting(1, 60_000, -130);
    let mut wire = Wire::of(Side::Caller, &jittered(3, &ideal, 60 * MILLI));
    for packet in ideal.iter().step_by(250) {
        let report = rtcp_types::SenderReport::builder(packet.ssrc)
            .ntp_timestamp((u128::from(packet.at + EPOCH_NANOS) * (1 << 32) / 1_000_000_000) as u64)
            .rtp_timestamp(packet.timestamp);
        let mut bytes = vec![0; report.calculate_size().unwrap()];
        report.write_into(&mut bytes).unwrap();
        wire.datagrams.push((packet.at + 10 * MILLI, bytes));
    }
    let done = finished(&[wire], &Params::default());
    let ppm = done.streams[0].clock_slow_ppm;
    assert!((ppm - 130.0).abs() < 0.1, "{ppm}");
    let kept = done.files.iter().find(|file| file.name == "packets.pcapng").unwrap();
    assert_eq!(kept.samples, 240, "the reports themselves are kept");
}

/// Telephone events whose sender counts half a second for each quarter that passes: each pause is as long
/// as time says, not as the timestamps do.
#[test]
fn pauses_that_timestamps_count_too_long() {
    let mut packets = steady(1, 3_000, 0);
    for (index, packet) in packets.iter_mut().enumerate() {
        let events = (index / 500) as u32;
        packet.timestamp = packet.timestamp.wrapping_add(events * 4_000);
        packet.at += u64::from(events) * 250 * MILLI;
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&without_silence(&left), &sound(&packets));
    let pauses: Vec<_> = silences(&left);
    let expected: Vec<_> = (1..6).map(|n| (n * 500 * PACKET + (n - 1) * 2_000, 2_000)).collect();
    assert_eq!(pauses, expected);
    assert!(
        done.streams[0]
            .corrections
            .iter()
            .all(|c| (c.samples, c.reason) == (-2_000, Reason::Pause))
    );
}
