//! Many calls at once, each compared with the truth: every sample, on its side, in its place, nobody else's.
//!
//! `SPANREEL_TEST_CALLS` and `SPANREEL_TEST_SECONDS` scale it up (1000 and 30 are the numbers).

use std::path::Path;

use base::Side;
use base::recording::{MediaFile, Recording, Stream};
use rayon::prelude::*;
use wiring::synth::{SideTruth, Truth};

use crate::audio::{self, Audio, Sound};
use crate::harness::{Data, sha256, synth, tell};
use crate::rtp::{self, Rtp};

/// How far the two sides may be from their true offset, in samples: 20 ms.
const OFFSET_SAMPLES: i64 = 160;

fn scale(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

#[test]
fn many_calls_are_bit_exact_each_side_on_its_own_channel() {
    let (calls, seconds) =
        (scale("SPANREEL_TEST_CALLS", "100"), scale("SPANREEL_TEST_SECONDS", "10"));
    check(&["--calls", &calls, "--seconds", &seconds]);
}

#[test]
fn loss_reordering_copies_and_jitter_cost_no_other_sample() {
    let trouble = ["--loss", "3", "--reorder", "3", "--duplicate", "3", "--jitter", "15"];
    check(&[&["--calls", "30", "--seconds", "10", "--seed", "4"][..], &trouble].concat());
}

#[test]
fn a_long_call_in_parts_loses_no_sample() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, &["--calls", "1", "--seconds", "150", "--seed", "2"]);
    let data = Data::new();
    let (file, out) = (capture.display().to_string(), data.path().display().to_string());
    crate::harness::run(&["replay", &file, "--out", &out, "--media-file-minutes", "1"]).ok();
    let recordings = data.list();
    assert_eq!(audio_files(&recordings[0]).len(), 3);
    compare(&data, &capture, &recordings);
}

fn check(arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = synth(&folder, arguments);
    let data = Data::of(&capture);
    compare(&data, &capture, &data.list());
}

fn compare(data: &Data, capture: &Path, recordings: &[Recording]) {
    let truths = Truth::read(capture).unwrap();
    let packets = rtp::streams(capture);
    assert_eq!(recordings.len(), truths.len());
    truths.par_iter().for_each(|truth| {
        let recording = recordings.iter().find(|r| r.call_id.as_deref() == Some(&truth.call_id));
        let recording =
            recording.unwrap_or_else(|| panic!("no recording of call {}", truth.call_id));
        signalling(truth, recording);
        let audio = Audio::read(&data.export(recording), &audio_files(recording));
        let starts = truth.sides.each_ref().map(|side| {
            let stream = recording.streams.iter().find(|s| s.source == side.source);
            let stream = stream.unwrap_or_else(|| panic!("no stream from {}", side.source));
            counts(side, stream);
            let ssrc = u32::from_str_radix(&side.ssrc[2..], 16).unwrap();
            sound(side, &audio, &packets[&(side.source, side.destination, ssrc)])
        });
        let offset = (starts[1] - starts[0]) - truth.callee_offset_nanos / 125_000;
        assert!(offset.abs() <= OFFSET_SAMPLES, "call {}: {} ms apart", truth.call_id, offset / 8);
    });
    tell(&format!("{} recordings are as the truth says", truths.len()));
}

fn audio_files(recording: &Recording) -> Vec<&MediaFile> {
    recording.media_files.iter().filter(|file| file.media_type == "audio/flac").collect()
}

fn signalling(truth: &Truth, recording: &Recording) {
    let found =
        (&recording.caller_phone_number, &recording.dialed_phone_number, &*recording.end_reason);
    assert_eq!(found, (&truth.caller, &truth.dialed, "BYE"));
    let times = (recording.start_time, recording.answer_time, recording.stop_time);
    assert_eq!(times, (truth.start_time, Some(truth.answer_time), truth.stop_time));
    let lost: usize = truth.sides.iter().map(|side| side.lost.len()).sum();
    assert_eq!(recording.complete, lost == 0, "{:?}", recording.incomplete_reasons);
    let missing: u64 = recording
        .gaps
        .iter()
        .filter(|gap| gap.reason == "loss")
        .filter_map(|gap| gap.packets)
        .sum();
    assert_eq!(missing, lost as u64, "{:?}", recording.gaps);
}

fn counts(truth: &SideTruth, found: &Stream) {
    assert_eq!(
        (found.destination, &found.ssrc, &*found.codec),
        (truth.destination, &truth.ssrc, truth.codec.name())
    );
    let unique = u64::from(truth.sent) - truth.lost.len() as u64;
    let expected =
        (truth.side, unique + u64::from(truth.duplicates), unique, truth.lost.len() as u64);
    assert_eq!((found.side, found.packets, found.unique, found.lost), expected);
    assert_eq!((found.duplicates, found.late), (truth.duplicates.into(), truth.late.into()));
    assert_eq!(found.state, "decoded");
}

/// Every packet is where it belongs, what is between them is silence, and the whole is what the truth says.
/// Gives the place of the side's first sample.
fn sound(truth: &SideTruth, audio: &Audio, packets: &[Rtp]) -> i64 {
    let unique = rtp::unique(packets);
    let sounds: Vec<Sound> =
        unique.packets.into_iter().map(|packet| decode(truth, packet)).collect();
    let channel = usize::from(truth.side == Side::Callee);
    let places =
        audio::place(audio, channel, &sounds).unwrap_or_else(|e| panic!("{}: {e}", truth.source));
    assert_eq!(audio::uncalled_for(audio, channel, &places), None, "{}", truth.source);
    let first = places[0].start;
    let samples = &audio.channels[channel][first..first + truth.samples as usize];
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    assert_eq!(Some(sha256(bytes)), truth.pcm_sha256, "{}", truth.source);
    first as i64
}

fn decode(truth: &SideTruth, packet: &Rtp) -> Sound {
    let samples = packet.payload.iter().map(|code| truth.codec.decode(*code)).collect();
    Sound { arrival: packet.time, timestamp: packet.timestamp, samples }
}
