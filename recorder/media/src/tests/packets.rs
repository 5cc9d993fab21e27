//! What can happen to the packets of one stream.

use super::*;
use crate::Reason;

#[test]
fn plain_stream_is_bit_exact() {
    let packets = steady(1, 500, 0);
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    let file = &done.files[0];
    assert_eq!((file.name.as_str(), file.samples, file.channels), ("audio.flac", 80_000, 2));
    assert_eq!(file.start, Timestamp::from_nanos(EPOCH_NANOS));
    assert_eq!(file.stop.since(file.start).as_millis(), 10_000);
    assert_eq!(file.peaks.len(), 200);
    assert_eq!(file.peaks[1], 0, "the callee was silent");
    let loudest = left[..800].iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert_eq!(u32::from(file.peaks[0]), loudest >> 7);
    let report = &done.streams[0];
    assert_eq!((report.stream.codec.as_str(), report.stream.state.as_str()), ("PCMA", "decoded"));
    assert_eq!(report.stream.media_files, ["audio.flac"]);
    assert!(report.corrections.is_empty() && done.gaps.is_empty() && done.notes.is_empty());
    assert!(report.stream.mos.unwrap() > 4.4 && report.stream.jitter < 0.01);
}

#[test]
fn sequence_and_timestamp_wrap() {
    let mut packets = steady(1, 70_000, 0);
    for packet in &mut packets {
        packet.sequence = packet.sequence.wrapping_add(60_000);
        packet.timestamp = packet.timestamp.wrapping_add(u32::MAX - 60_000);
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    let stream = &done.streams[0].stream;
    assert_eq!((stream.packets, stream.unique, stream.lost), (70_000, 70_000, 0));
}

#[test]
fn duplicate_is_ignored() {
    let packets = steady(1, 100, 0);
    let mut doubled: Vec<Sent> = packets.iter().flat_map(|p| [p.clone(), p.clone()]).collect();
    doubled.iter_mut().skip(1).step_by(2).for_each(|copy| copy.at += 30 * MILLI);
    let (done, left) = caller_alone(&doubled);
    assert_same(&left, &sound(&packets));
    let stream = &done.streams[0].stream;
    assert_eq!((stream.packets, stream.unique, stream.duplicates), (200, 100, 100));
    assert_eq!((done.tally.sounded, done.tally.duplicates, done.tally.kept), (100, 100, 0));
}

#[test]
fn another_packet_of_the_same_number_is_kept_not_played() {
    let mut packets = steady(1, 100, 0);
    let mut twin = packets[50].clone();
    twin.payload = codes(9, 0, PACKET);
    twin.at += MILLI;
    packets.push(twin);
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets[..100]));
    assert_eq!((done.streams[0].misfits, done.streams[0].stream.duplicates), (1, 1));
    assert_eq!((done.files[1].name.as_str(), done.files[1].samples), ("packets.pcapng", 1));
    assert!(done.notes[0].contains("1 RTP packets"), "{:?}", done.notes);
}

#[test]
fn reordered_by_1000_packets() {
    let packets = steady(1, 3_000, 0);
    let mut late = packets.clone();
    for index in (100..200).chain([1_500]) {
        late[index].at += 1_000 * PACKET_NANOS + MILLI;
    }
    let (done, left) = caller_alone(&late);
    assert_same(&left, &sound(&packets));
    let report = &done.streams[0];
    assert_eq!((report.stream.late, report.stream.lost, report.restarts), (101, 0, 0));
    assert_eq!(done.files[0].start, Timestamp::from_nanos(EPOCH_NANOS));
}

#[test]
fn lost_packets_become_silence_of_exact_duration() {
    let packets = steady(1, 300, 0);
    let received: Vec<Sent> = packets
        .iter()
        .enumerate()
        .filter(|(i, _)| !matches!(i, 50 | 100..=104))
        .map(|(_, p)| p.clone())
        .collect();
    let (done, left) = caller_alone(&received);
    let mut expected = sound(&packets);
    expected[50 * PACKET..51 * PACKET].fill(0);
    expected[100 * PACKET..105 * PACKET].fill(0);
    assert_same(&left, &expected);
    assert_eq!(done.gaps.len(), 2);
    let second = &done.gaps[1];
    assert_eq!(
        (second.side, second.packets, second.reason.as_str()),
        (Side::Caller, Some(5), "loss")
    );
    assert!((second.duration - 100.0).abs() < 1e-9);
    assert_eq!(second.start_time, Timestamp::from_nanos(EPOCH_NANOS + 2_000 * MILLI));
    let stream = &done.streams[0].stream;
    assert_eq!((stream.lost, stream.unique), (6, 294));
    assert!(stream.mos.unwrap() < 4.0);
}

#[test]
fn silence_suppression_keeps_time() {
    let mut packets = steady(1, 400, 0);
    // 3.2 s of pause with timestamps that count on, then 1 s.
    for packet in &mut packets[100..] {
        packet.at += 3_200 * MILLI;
        packet.timestamp += 25_600;
    }
    for packet in &mut packets[300..] {
        packet.at += 1_000 * MILLI;
        packet.timestamp += 8_000;
    }
    let (done, left) = caller_alone(&packets);
    assert_eq!(silences(&left), [(16_000, 25_600), (300 * PACKET + 25_600, 8_000)]);
    assert_same(&without_silence(&left), &sound(&packets));
    assert!(done.gaps.is_empty(), "a pause is not a loss");
    assert!(done.streams[0].corrections.is_empty());
}

#[test]
fn comfort_noise_and_telephone_events_are_silence_not_loss() {
    let mut packets = steady(1, 100, 0);
    for packet in &mut packets[20..30] {
        (packet.payload_type, packet.payload) = (13, vec![70]);
    }
    // An event repeats the timestamp of its begin (RFC 4733, 2.3).
    let begin = packets[50].timestamp;
    for packet in &mut packets[50..60] {
        (packet.payload_type, packet.payload, packet.timestamp) = (101, vec![1, 10, 0, 160], begin);
    }
    let (done, left) = caller_alone(&packets);
    assert_eq!(silences(&left), [(20 * PACKET, 10 * PACKET), (50 * PACKET, 10 * PACKET)]);
    let report = &done.streams[0];
    assert_eq!((report.comfort_noise, report.events, report.stream.lost), (10, 10, 0));
    assert_eq!((done.tally.sounded, done.tally.silent, done.tally.kept), (80, 20, 0));
    assert!(done.gaps.is_empty());
}

#[test]
fn padding_and_extension_are_not_sound() {
    let packets = steady(1, 20, 0);
    let mut wire = Wire::of(Side::Caller, &packets);
    for (_, datagram) in &mut wire.datagrams {
        datagram[0] |= 0x30;
        datagram.splice(12..12, [0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        datagram.extend([0, 0, 0, 4]);
    }
    let done = finished(&[wire], &Params::default());
    assert_same(&channels(&done.files[0].bytes)[0], &sound(&packets));
}

#[test]
fn packets_of_changing_length() {
    let mut packets = Vec::new();
    let mut at = 0;
    for (index, samples) in
        [80, 160, 240, 160, 480, 80, 1, 160].into_iter().cycle().take(200).enumerate()
    {
        packets.push(Sent {
            at: at as u64 * 125_000,
            ssrc: 1,
            sequence: index as u16,
            timestamp: at as u32,
            payload_type: PCMA,
            payload: codes(1, at as u64, samples),
        });
        at += samples;
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    assert!(done.streams[0].corrections.is_empty());
}

#[test]
fn sequence_restarts_under_one_ssrc() {
    let mut packets = steady(1, 200, 0);
    for packet in &mut packets[100..] {
        packet.sequence = packet.sequence.wrapping_add(20_000);
        packet.timestamp = packet.timestamp.wrapping_add(0x3000_0000);
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    let report = &done.streams[0];
    assert_eq!((report.restarts, report.stream.lost, report.stream.unique), (1, 0, 200));
}

/// A sender that plays a recorded file over and over, numbers and all.
#[test]
fn a_looped_file_is_heard_each_time() {
    let once = steady(1, 150, 0);
    let mut packets = Vec::new();
    for turn in 0..3_u64 {
        packets.extend(once.iter().map(|p| Sent { at: p.at + turn * 3_000 * MILLI, ..p.clone() }));
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    let report = &done.streams[0];
    assert_eq!((report.restarts, report.stream.duplicates, report.stream.lost), (2, 0, 0));
}

#[test]
fn a_packet_whose_number_fits_nowhere_moves_nothing() {
    let mut packets = steady(1, 200, 0);
    let wild =
        Sent { at: packets[99].at + MILLI, sequence: 40_000, timestamp: 7, ..packets[99].clone() };
    packets.insert(100, wild);
    let (done, left) = caller_alone(&packets);
    packets.remove(100);
    assert_same(&left, &sound(&packets));
    assert_eq!((done.streams[0].misfits, done.streams[0].stream.lost), (1, 0));
    assert_eq!(done.files[1].name, "packets.pcapng");
}

#[test]
fn ssrc_changes() {
    let mut packets = steady(1, 200, 0);
    let second = steady(2, 200, 0);
    for (packet, other) in packets[100..].iter_mut().zip(&second) {
        let at = packet.at;
        *packet = Sent { at, ..other.clone() };
    }
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&packets));
    assert_eq!(done.streams.len(), 2);
    assert!(done.streams.iter().all(|report| report.lane == Some(0)));
    assert_eq!(done.files.len(), 1);
}

/// The new source's first packets overtake the old one's last: nothing is lost, the later stream moves.
#[test]
fn ssrc_changes_with_an_overlap() {
    let first = steady(1, 100, 0);
    let second = steady(2, 100, 100 * PACKET_NANOS - 60 * MILLI);
    let mut packets = first.clone();
    packets.extend(second.clone());
    let (done, left) = caller_alone(&packets);
    assert_same(&left, &sound(&[first, second].concat()));
    let corrections = &done.streams[1].corrections;
    assert_eq!(corrections.len(), 1);
    assert_eq!((corrections[0].samples, corrections[0].reason), (480, Reason::Seam));
}

#[test]
fn a_cut_packet_leaves_its_rest_silent() {
    let packets = steady(1, 50, 0);
    let wire = Wire::of(Side::Caller, &packets);
    let mut input = wire.input();
    input.packets[10].payload = &input.packets[10].payload[..12 + 100];
    let done = finish(&CallInput::default(), &[input], &Params::default()).unwrap();
    let left = channels(&done.files[0].bytes).remove(0);
    assert_eq!(silences(&left), [(10 * PACKET + 100, 60)]);
    assert_eq!(done.streams[0].truncated, 1);
    let [gap] = &done.gaps[..] else { panic!("{:?}", done.gaps) };
    assert_eq!((gap.reason.as_str(), gap.packets, gap.duration), ("cut", None, 7.5));
    assert_eq!(gap.start_time, Timestamp::from_nanos(EPOCH_NANOS + 212_500_000));
}

#[test]
fn a_capture_that_cuts_every_packet_leaves_each_at_its_place() {
    let mut packets = steady(1, 200, 0);
    packets.remove(120); // lost
    let wire = Wire::of(Side::Caller, &packets);
    let mut input = wire.input();
    input.packets.iter_mut().for_each(|packet| packet.payload = &packet.payload[..12 + 100]);
    let done = finish(&CallInput::default(), &[input], &Params::default()).unwrap();
    let left = channels(&done.files[0].bytes).remove(0);
    assert_eq!(left.len(), 200 * PACKET - 60);
    for index in (0..200).filter(|index| *index != 120) {
        let (begin, sent) = (index * PACKET, decoded(&codes(1, (index * PACKET) as u64, 100)));
        assert_same(&left[begin..begin + 100], &sent);
        let rest = left.get(begin + 100..begin + PACKET).unwrap_or_default();
        assert!(rest.iter().all(|sample| *sample == 0), "after packet {index}");
    }
    let lost: Vec<_> = done.gaps.iter().filter(|gap| gap.reason == "loss").collect();
    assert_eq!((lost.len(), lost[0].duration, done.gaps.len()), (1, 27.5, 198));
    assert!(done.streams[0].corrections.is_empty());
}

/// Keys agreed within the media flow, by either side, that SDP did not announce.
#[test]
fn sound_ends_where_encryption_begins() {
    let (caller, callee) = (steady(1, 100, 0), steady(2, 100, 0));
    let agreement = b"\x10\0\0\x07ZRTP\0\0\0\x01\x50\x5a\0\x03Conf2ACK".to_vec();
    let mut answer = Wire::of(Side::Callee, &callee);
    answer.datagrams.push((50 * PACKET_NANOS - MILLI, agreement));
    let done = finished(&[Wire::of(Side::Caller, &caller), answer], &Params::default());
    let sides = channels(&done.files[0].bytes);
    assert_same(&sides[0], &sound(&caller[..50]));
    assert_same(&sides[1], &sound(&callee[..50]));
    let state = "decoded, and kept as packets: keys were agreed on the media path (SRTP)";
    assert!(done.streams.iter().all(|report| report.stream.state == state));
    assert_eq!((done.tally.sounded, done.tally.kept), (100, 101));
}
