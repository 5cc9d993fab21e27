//! What a hostile wire cannot do.

use super::*;
use crate::Layout;

/// Two packets half the timestamp range apart: a second of silence at most, not three days.
#[test]
fn far_timestamps_do_not_make_long_silence() {
    let mut packets = steady(1, 100, 0);
    packets[50..]
        .iter_mut()
        .for_each(|packet| packet.timestamp = packet.timestamp.wrapping_add(1 << 31));
    packets[60..]
        .iter_mut()
        .for_each(|packet| packet.timestamp = packet.timestamp.wrapping_add(1 << 30));
    let (done, left) = caller_alone(&packets);
    assert_same(&without_silence(&left), &sound(&packets));
    assert!(left.len() < 110 * PACKET, "{}", left.len());
    assert!(done.files[0].bytes.len() < 50_000);
}

/// Timestamps that leap ahead by just less than what is told to be a jump, again and again.
#[test]
fn timestamps_that_leap_ahead_again_and_again() {
    let mut packets = steady(1, 2_000, 0);
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.timestamp = packet.timestamp.wrapping_add((index / 2) as u32 * 7_000);
    }
    let (_, left) = caller_alone(&packets);
    assert_same(&without_silence(&left), &sound(&packets));
    assert!(left.len() < 2_000 * PACKET * 3 / 2, "{}", left.len());
}

#[test]
fn far_sequence_numbers_cost_nothing() {
    let mut packets = steady(1, 1_000, 0);
    for (index, packet) in packets.iter_mut().enumerate() {
        packet.sequence = chance(4, index as u64, 65_536) as u16;
    }
    let (done, left) = caller_alone(&packets);
    let kept = done.tally.kept as usize;
    assert_eq!(without_silence(&left).len(), (1_000 - kept) * PACKET);
    assert!(left.len() < 2_000 * PACKET, "{}", left.len());
}

/// Arrival times are the capture's and may be anything too: a recording has its most hours.
#[test]
fn far_arrival_times_are_bounded() {
    let mut packets = steady(1, 4, 0);
    packets[2].at = u64::MAX / 4;
    packets[3].at = u64::MAX / 2;
    let limit = std::time::Duration::from_secs(1);
    let params = Params { layout: Layout::Mono, media_file_limit: limit };
    let done = finished(&[Wire::of(Side::Caller, &packets)], &params);
    assert!(done.files.len() as u64 <= base::limits::AUDIO_PARTS_MAX);
    let hours = done.files.iter().map(|file| file.samples).sum::<u64>() / 8_000 / 3_600;
    assert_eq!(hours, base::limits::RECORDING_HOURS_MAX);
}

#[test]
fn more_ssrcs_than_are_told_apart_are_kept() {
    let packets: Vec<Sent> = (0..300).flat_map(|ssrc| steady(ssrc, 2, ssrc * 40 * MILLI)).collect();
    let (done, left) = caller_alone(&packets);
    assert_eq!(done.streams.len(), base::limits::STREAMS_PER_FLOW_MAX);
    assert_same(&left, &sound(&packets[..512]));
    assert_eq!((done.tally.sounded, done.tally.kept), (512, 88));
    assert!(done.notes[0].contains("88 RTP packets of more SSRCs"));
}
