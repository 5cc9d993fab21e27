//! Several streams in one call.

use super::*;

#[test]
fn each_side_has_its_channel() {
    let (caller, callee) = (steady(1, 100, 0), steady(2, 80, 400 * MILLI));
    let wires = [Wire::of(Side::Callee, &callee), Wire::of(Side::Caller, &caller)];
    let done = finished(&wires, &Params::default());
    let sides = channels(&done.files[0].bytes);
    assert_same(&sides[0], &sound(&caller));
    assert_eq!(sides[1][..3_200], [0; 3_200]);
    assert_eq!(sides[1][3_200..], sound(&callee));
}

#[test]
fn a_reinvite_that_moves_the_port_goes_on_on_the_same_channel() {
    let packets = steady(1, 300, 0);
    let wires = [
        Wire::of(Side::Caller, &packets[..150]),
        Wire::of(Side::Caller, &packets[150..]).on(key(7, 2)),
    ];
    let done = finished(&wires, &Params::default());
    assert_eq!(done.files.len(), 1);
    assert_same(&channels(&done.files[0].bytes)[0], &sound(&packets));
}

#[test]
fn forked_early_media_goes_to_a_second_file() {
    let (ringing, answered) = (steady(1, 200, 0), steady(2, 1_000, 1_000 * MILLI));
    let wires = [
        Wire::of(Side::Callee, &ringing).on(key(5, 1)),
        Wire::of(Side::Callee, &answered),
        Wire::of(Side::Caller, &steady(3, 1_000, 1_000 * MILLI)),
    ];
    let done = finished(&wires, &Params::default());
    let names: Vec<_> = done.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["audio.flac", "audio-2.flac"]);
    assert_same(&channels(&done.files[0].bytes)[1], &sound(&answered));
    assert_same(&channels(&done.files[1].bytes)[1], &sound(&ringing));
    assert_eq!(done.files[1].start, Timestamp::from_nanos(EPOCH_NANOS));
    assert_eq!(done.streams[0].stream.media_files, ["audio-2.flac"]);
}

#[test]
fn the_same_stream_on_another_flow_is_recognised() {
    let packets = steady(1, 300, 0);
    let mut relayed = packets.clone();
    relayed.remove(17);
    relayed.iter_mut().for_each(|packet| packet.at += 2 * MILLI);
    let wires = [Wire::of(Side::Caller, &relayed).on(key(2, 3)), Wire::of(Side::Caller, &packets)];
    let done = finished(&wires, &Params::default());
    assert_eq!(done.files.len(), 1);
    assert_same(&channels(&done.files[0].bytes)[0], &sound(&packets));
    let state = &done.streams[0].stream.state;
    assert_eq!(state, "duplicate of the same stream from 10.0.0.1:4000 to 10.0.0.2:4000");
    assert!(done.gaps.is_empty(), "the copy's loss is none");
    assert_eq!(done.tally.duplicates, 299);
}

#[test]
fn the_echo_of_a_voice_is_the_other_side() {
    let packets = steady(1, 100, 0);
    let wires = [Wire::of(Side::Caller, &packets), Wire::of(Side::Callee, &packets)];
    let done = finished(&wires, &Params::default());
    let sides = channels(&done.files[0].bytes);
    assert_eq!(sides[0], sides[1]);
}

#[test]
fn too_many_at_once_are_kept_as_packets() {
    let wires: Vec<Wire> = (0..12)
        .map(|n| Wire::of(Side::Caller, &steady(n, 50, 0)).on(key(n as u8 + 1, 200)))
        .collect();
    let done = finished(&wires, &Params::default());
    let audio = done.files.iter().filter(|file| file.media_type == "audio/flac").count();
    assert_eq!(audio, base::limits::LANES_MAX);
    let kept = done.files.last().unwrap();
    assert_eq!((kept.name.as_str(), kept.samples), ("packets.pcapng", 200));
    let states = done.streams.iter().filter(|r| r.stream.state.contains("at the same time"));
    assert_eq!(states.count(), 4);
}
