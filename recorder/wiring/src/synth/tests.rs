//! The generator against itself: what is in the capture is what the truth says.

use std::collections::{HashMap, HashSet};

use base::{Encoding, Endpoint, Timestamp};
use capture::transmit::FRAME_BYTES_MAX;
use sha2::{Digest, Sha256};

use super::slice::{self, Running};
use super::*;

/// One RTP packet as it is in the capture.
struct Heard {
    time: Timestamp,
    sequence: u16,
    payload: Vec<u8>,
}

/// The RTP of a capture, by source and SSRC, in the order of arrival.
fn rtp(options: &Options) -> HashMap<(Endpoint, u32), Vec<Heard>> {
    let studio = Studio::new(options);
    let mut calls: Vec<Running> =
        (0..options.calls).map(|i| Running::new(studio.plan.call(i))).collect();
    let span = studio.plan.origin()..calls.iter().map(Running::end).max().unwrap() + 1;
    let mut heard: HashMap<_, Vec<Heard>> = HashMap::new();
    let mut slice = Slice::default();
    let mut last = Timestamp::ZERO;
    for part in slice::parts(&span, options.calls) {
        slice.fill(&studio, &mut calls, &part);
        for (time, frame) in slice.frames() {
            assert!(time >= last, "out of order");
            last = time;
            let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
            if word(34) != 5060 && word(34) % 2 == 0 {
                let source = Endpoint::v4(frame[26..30].try_into().unwrap(), word(34));
                let ssrc = u32::from_be_bytes(frame[50..54].try_into().unwrap());
                let packet = Heard { time, sequence: word(44), payload: frame[54..].to_vec() };
                heard.entry((source, ssrc)).or_default().push(packet);
            }
        }
    }
    heard
}

fn truth_of(options: &Options) -> Vec<Truth> {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("synth.pcap");
    write(options, &capture).unwrap();
    Truth::read(&capture).unwrap()
}

fn sha256(bytes: impl IntoIterator<Item = u8>) -> String {
    let bytes: Vec<u8> = bytes.into_iter().collect();
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn impaired(calls: u32, seconds: u32) -> Options {
    Options { loss: 3.0, reorder: 4.0, duplicate: 5.0, jitter: 12.0, ..Options::of(calls, seconds) }
}

#[test]
fn the_capture_is_as_the_truth_says() {
    for options in [Options::of(7, 3), impaired(7, 12)] {
        let heard = rtp(&options);
        let studio = Studio::new(&options);
        assert_eq!(heard.len(), 14);
        for truth in truth_of(&options) {
            for side in &truth.sides {
                let ssrc = u32::from_str_radix(&side.ssrc[2..], 16).unwrap();
                check_side(&studio, truth.call, side, &heard[&(side.source, ssrc)]);
            }
        }
    }
}

fn check_side(studio: &Studio, call: u32, truth: &SideTruth, heard: &[Heard]) {
    let lost: HashSet<u32> = truth.lost.iter().copied().collect();
    let (mut seen, mut highest, mut late, mut duplicates) = (HashMap::new(), 0, 0, 0);
    for packet in heard {
        let index = u32::from(packet.sequence.wrapping_sub(truth.first_sequence));
        let due =
            Timestamp::from_nanos(truth.first_time.as_nanos() + u64::from(index) * 20_000_000);
        assert!(
            packet.time >= due
                && packet.time.as_nanos() <= due.as_nanos() + studio.plan.delay_max()
        );
        assert!(!lost.contains(&index));
        assert_eq!(packet.payload, studio.payload(call, truth.side, index));
        if seen.insert(index, packet.payload.clone()).is_some() {
            duplicates += 1;
        } else {
            late += u32::from(index < highest);
            highest = highest.max(index);
        }
    }
    assert_eq!((late, duplicates), (truth.late, truth.duplicates));
    assert_eq!(seen.len() + lost.len(), truth.sent as usize);
    let delivered = (0..truth.sent).filter_map(|i| seen.get(&i)).flatten().copied();
    assert_eq!(Some(sha256(delivered)), truth.payload_sha256);
    let samples = (0..truth.sent).flat_map(|i| match seen.get(&i) {
        Some(payload) => payload.iter().map(|code| truth.codec.decode(*code)).collect(),
        None => vec![0; PACKET_SAMPLES],
    });
    assert_eq!(Some(sha256(samples.flat_map(i16::to_le_bytes))), truth.pcm_sha256);
}

#[test]
fn impairments_have_the_wanted_shares() {
    let sides: Vec<SideTruth> = truth_of(&Options { jitter: 0.0, ..impaired(20, 30) })
        .into_iter()
        .flat_map(|t| t.sides)
        .collect();
    let sent: u32 = sides.iter().map(|s| s.sent).sum();
    let share = |of: fn(&SideTruth) -> u32| {
        f64::from(sides.iter().map(of).sum::<u32>()) * 100.0 / f64::from(sent)
    };
    let (lost, duplicates, late) =
        (share(|s| s.lost.len() as u32), share(|s| s.duplicates), share(|s| s.late));
    assert_eq!(sent, 20 * 2 * 1_500);
    assert!((2.7..3.3).contains(&lost), "{lost}");
    assert!((4.6..5.1).contains(&duplicates), "{duplicates}");
    // Not those whose successor is lost or itself delayed.
    assert!((3.4..4.0).contains(&late), "{late}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let make = |seed, threads| {
        let capture = folder.path().join("synth.pcap");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = Options { seed, ..impaired(70, 2) };
        let summary = pool.install(|| write(&options, &capture)).unwrap();
        assert_eq!(summary.capture, capture);
        (std::fs::read(&capture).unwrap(), std::fs::read(truth_path(&capture)).unwrap())
    };
    let one = make(5, 1);
    assert!(one == make(5, 4));
    assert!(one.0 != make(6, 4).0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left behind");
}

/// What is sent in real time is what stands in a file of the same calls.
#[test]
fn a_timeline_has_the_same_frames_and_the_same_truth() {
    for options in [
        Options::of(40, 7),
        Options { loss: 4.0, ..Options::of(33, 6) },
        Options { srtp: true, ..Options::of(20, 6) },
    ] {
        let (mut making, mut slice) = (Making::new(&options), Slice::default());
        let mut made = Vec::new();
        while making.next(&mut slice) {
            made.extend(slice.frames().map(|(time, frame)| (time, frame.to_vec())));
        }
        let mut timeline = Timeline::new(&options);
        let (mut sent, mut room) = (Vec::new(), [0; FRAME_BYTES_MAX]);
        while let Some(time) = timeline.due() {
            let length = timeline.write(&mut room);
            sent.push((time, room[..length].to_vec()));
        }
        assert!(sent.is_sorted_by_key(|(time, _)| *time), "in the order of time");
        // Frames of one moment have no order.
        made.sort();
        sent.sort();
        assert!(made == sent, "{} frames, {} sent", made.len(), sent.len());
        let mut truths = making.finish().0;
        for side in truths.iter_mut().flat_map(|truth| &mut truth.sides) {
            (side.payload_sha256, side.pcm_sha256) = (None, None);
        }
        assert_eq!(timeline.finish().0, truths);
    }
}

/// A recording with another call's sound in it would be found out: no 20 ms are in two places.
#[test]
fn no_packet_is_in_two_places() {
    for codec in [Codecs::Pcmu, Codecs::Pcma] {
        let options = Options { codec, ..Options::of(40, 30) };
        let mut seen = HashSet::new();
        for packet in rtp(&options).into_values().flatten() {
            assert!(seen.insert(packet.payload));
        }
        assert_eq!(seen.len(), 40 * 2 * 1_500);
    }
}

#[test]
fn the_truth_names_codecs_as_the_recorder_does() {
    assert_eq!(Encoding::from_name(Law::Mu.name()), Encoding::Pcmu);
    assert_eq!(Encoding::from_name(Law::A.name()), Encoding::Pcma);
    for law in [Law::Mu, Law::A] {
        assert_eq!(serde_json::to_value(law).unwrap(), law.name());
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = write(&Options::of(1, 1), Path::new("/no/such/folder/a.pcap")).unwrap_err();
    assert!(format!("{error:#}").contains("/no/such/folder/a.pcap"), "{error:#}");
}
