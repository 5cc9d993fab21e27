//! A recorder that is killed in mid-call and started again makes one recording of each call, with a gap.

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base::recording::{Gap, Recording};

use crate::rig::Rig;
use crate::wire::{eventually, play, with_wire};

/// Samples in a millisecond.
const RATE: f64 = 8.0;
/// Bytes before the samples of a WAV file.
const WAV_HEADER_BYTES: usize = 44;

fn spanreel(arguments: &[&str], data: &Path) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    let output = command.args(arguments).arg("--data").arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn list(data: &Path) -> Vec<Recording> {
    let text = String::from_utf8(spanreel(&["list", "--json"], data)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The samples of caller and callee.
fn sound(data: &Path, recording: &Recording) -> [Vec<i16>; 2] {
    let wav = data.with_extension("wav");
    spanreel(&["play", &recording.id.to_string(), "--to", wav.to_str().unwrap()], data);
    let bytes = std::fs::read(&wav).unwrap();
    let mut sides = [Vec::new(), Vec::new()];
    for (index, sample) in bytes[WAV_HEADER_BYTES..].as_chunks::<2>().0.iter().enumerate() {
        sides[index % 2].push(i16::from_le_bytes(*sample));
    }
    sides
}

fn without_silence_before(samples: &[i16]) -> &[i16] {
    let begin = samples.iter().position(|sample| *sample != 0).unwrap_or(samples.len());
    &samples[begin..]
}

fn without_silence_after(samples: &[i16]) -> &[i16] {
    let end = samples.iter().rposition(|sample| *sample != 0).map_or(0, |last| last + 1);
    &samples[..end]
}

/// One side is, sample for sample, what was sent, but for its gaps, which have their exact length.
fn assert_whole_but_for(gaps: &[&Gap], recording: &Recording, recorded: &[i16], sent: &[i16]) {
    let sent = without_silence_after(without_silence_before(sent));
    let begin = recording.media_files[0].start_time;
    let place = |gap: &Gap| {
        let from = gap.start_time.since(begin).as_nanos() as f64 / 1e6 * RATE;
        (from.round() as usize, (gap.duration * RATE).round() as usize)
    };
    let silence = recorded.len() - without_silence_before(recorded).len();
    let (mut at, mut known) = (silence, 0);
    for (from, length) in gaps.iter().map(|gap| place(gap)) {
        assert_eq!(recorded[at..from], sent[known..known + from - at], "before a gap");
        assert!(recorded[from..from + length].iter().all(|sample| *sample == 0), "in a gap");
        known += from - at + length;
        at = from + length;
    }
    assert_eq!(without_silence_after(&recorded[at..]), &sent[known..], "after the gaps");
}

/// Every call has one recording, which is what was sent but for so many gaps on each side.
fn assert_one_recording_each(rig: &Rig, restarts: RangeInclusive<usize>) {
    let (data, whole) = (rig.data(), rig.path("whole"));
    let recordings = list(&data);
    let mut calls: Vec<_> = recordings.iter().filter_map(|it| it.call_id.clone()).collect();
    calls.sort();
    let mut expected: Vec<_> = rig.truth.iter().map(|truth| truth.call_id.clone()).collect();
    expected.sort();
    assert_eq!((calls, recordings.len()), (expected, rig.truth.len()), "one each, no doubles");
    spanreel(&["verify"], &data);
    let mut replay = Command::new(env!("CARGO_BIN_EXE_spanreel"));
    let replayed = replay.arg("replay").arg(rig.capture()).arg("--out").arg(&whole).output();
    assert!(replayed.unwrap().status.success());
    for sent in list(&whole) {
        let recording = recordings.iter().find(|it| it.call_id == sent.call_id).unwrap();
        assert!(!recording.complete && recording.end_reason == "BYE", "{recording:?}");
        let reason = &recording.incomplete_reasons;
        assert!(reason.iter().any(|it| it.contains("not running")), "{reason:?}");
        let (recorded, sent) = (sound(&data, recording), sound(&whole, &sent));
        for (index, side) in [base::Side::Caller, base::Side::Callee].into_iter().enumerate() {
            let gaps: Vec<_> = recording.gaps.iter().filter(|gap| gap.side == side).collect();
            let restart = gaps.iter().filter(|gap| gap.reason == "restart");
            assert_eq!(restart.count(), gaps.len(), "{gaps:?}");
            assert!(restarts.contains(&gaps.len()), "{gaps:?}");
            assert_whole_but_for(&gaps, recording, &recorded[index], &sent[index]);
        }
    }
}

/// Kills the recorder in mid-call, each time after so many milliseconds, and starts it again a second later.
#[expect(clippy::disallowed_methods, reason = "calls go on meanwhile")]
fn killed_after(mode: &'static str, milliseconds: &'static [u64], gaps: RangeInclusive<usize>) {
    with_wire(move || {
        let rig = Rig::new(4, 14);
        let mut recorder = rig.start(&["--mode", mode]);
        let capture = rig.capture();
        let calls = std::thread::spawn(move || {
            play(&capture);
        });
        for wait in milliseconds {
            std::thread::sleep(Duration::from_millis(*wait));
            recorder.kill();
            std::thread::sleep(Duration::from_secs(1));
            recorder = rig.start(&["--mode", mode]);
        }
        calls.join().unwrap();
        eventually("the calls", || list(&rig.data()).len() == rig.truth.len());
        let ledger = recorder.stop();
        assert_eq!(ledger["ledgerBalances"], true, "{ledger}");
        assert_one_recording_each(&rig, gaps);
        let left = std::fs::read_dir(rig.data().join("journal")).unwrap();
        let left = left.filter(|it| it.as_ref().unwrap().path().extension().is_some());
        assert_eq!(left.count(), 0, "the journal has done its work");
    });
}

#[test]
fn killed_in_mid_call_by_packet_socket() {
    killed_after("packet", &[5_000], 1..=1);
}

#[test]
fn killed_in_mid_call_by_xdp() {
    killed_after("xdp", &[5_000], 1..=1);
}

#[test]
fn killed_again_while_it_takes_up_where_it_was() {
    // Something may have come in between.
    killed_after("packet", &[4_000, 0], 1..=2);
}

#[test]
fn killed_twice_in_one_call() {
    killed_after("packet", &[4_000, 3_000], 2..=2);
}
